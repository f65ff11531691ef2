"""Writing a ledger to a file, whole and consistent, for the plane that takes over.

Rules
- A hand-over seals the ledger in the very transaction that reads it: what the file does not hold
  was never planned or signed, and never will be.
- A snapshot reads only, beside a running service. It can be looked at and rehearsed with; it hands
  nothing over, and `import` does not take it.
"""

import os
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

from agent_runtime.handover import seal
from agent_runtime.handover.document import BYTES_MAX, About, Export, Row, encode
from agent_runtime.handover.errors import HandoverRefusal
from agent_runtime.handover.tables import TABLES, check_columns, make_tables
from agent_runtime.migrations import VERSION
from agent_runtime.store import open_store


@dataclass(frozen=True)
class Origin:
    """The plane that exports."""

    plane: str
    build: str
    network: str
    account: str
    public_key: str


def hand_over(path: str, origin: Origin) -> Export:
    """Seal a ledger and read all of it; once more if it is sealed already, with the same result.

    Raises:
        HandoverRefusal: there is no ledger, or it is of another build.
        StoreHeldError: a runtime uses it.
        sqlite3.Error, OSError: it cannot be opened or written.
    """
    _must_be_there(path)
    db = open_store(path, sealed_too=True)
    try:
        make_tables(db)
        _check(db)
        db.execute("BEGIN IMMEDIATE")
        with db:
            seal.seal(db, origin.plane, time.time())
            at = seal.sealed_at(db)
            if at is None:
                raise HandoverRefusal("the ledger cannot be sealed; nothing was handed over")
            return _read(db, origin, sealed=True, at=at)
    finally:
        db.close()


def snapshot(path: str, origin: Origin) -> Export:
    """Read a ledger as it is at one moment, without changing it; a service may be using it.

    Raises:
        HandoverRefusal: there is no ledger, or it is of another build.
        sqlite3.Error: it cannot be read.
    """
    db = read_only(path)
    try:
        _check(db)
        db.execute("BEGIN")
        return _read(db, origin, sealed=False, at=time.time())
    finally:
        db.close()


def read_only(path: str) -> sqlite3.Connection:
    """A ledger's file, to be read only.

    Raises:
        HandoverRefusal: there is none.
        sqlite3.Error: it cannot be opened.
    """
    _must_be_there(path)
    return sqlite3.connect(f"{Path(path).resolve().as_uri()}?mode=ro", uri=True, timeout=5.0)


def write(export: Export, path: Path) -> bytes:
    """Write an export, readable by its owner alone; it is there whole or not at all.

    Raises:
        HandoverRefusal: the file is there already, or it would be larger than an import reads.
        OSError: it cannot be written.
    """
    raw = encode(export)
    if len(raw) > BYTES_MAX:
        raise HandoverRefusal(f"the export has {len(raw)} bytes, an import reads {BYTES_MAX}")
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        os.link(beside, path)
    except FileExistsError as error:
        raise HandoverRefusal(f"{path} is there already; name a new file") from error
    finally:
        beside.unlink()
    _sync(path.parent)
    return raw


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _must_be_there(path: str) -> None:
    if not Path(path).is_file():
        raise HandoverRefusal(f"there is no ledger at {path}; set PAYMENTS_DB to the plane's own")


def _check(db: sqlite3.Connection) -> None:
    found = int(db.execute("PRAGMA user_version").fetchone()[0])
    if found != VERSION:
        raise HandoverRefusal(
            f"the ledger's tables are version {found}, this build's are {VERSION}; start this"
            " build's runtime with it once, or use the ledger's own build"
        )
    wrong = check_columns(db)
    if wrong:
        raise HandoverRefusal(f"{'; '.join(wrong)}; use the ledger's own build")


def _read(db: sqlite3.Connection, origin: Origin, *, sealed: bool, at: float) -> Export:
    there = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type='table'")}
    rows: dict[str, list[Row]] = {}
    for table in TABLES:
        if table.name in there:
            columns = ", ".join(table.columns)
            found = db.execute(f"SELECT {columns} FROM {table.name} ORDER BY rowid")  # noqa: S608 - constants
            rows[table.name] = found.fetchall()
    about = About(
        VERSION,
        origin.plane,
        origin.build,
        origin.network,
        origin.account,
        origin.public_key,
        sealed,
        at,
    )
    return Export(about, rows)
