"""The journal's file: its tables, and the three ways to open it.

An SQLite database in WAL mode with `synchronous=FULL`: a commit has reached the disk before it
returns. Triggers refuse to change or remove an entry; the chain tells when somebody did anyway.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from cutover.errors import JournalError
from cutover.journal.chain import FORMAT, genesis
from cutover.journal.entry import PAYLOAD_BYTES_MAX

APPLICATION_ID: Final = 0x4355544A  # "CUTJ": what the file says it is
SNAPSHOT_BYTES_MAX: Final = 64 << 20
BUSY_SECONDS: Final = 5.0
WRITER_BUSY_MS: Final = 20
"""The writer waits no longer at a time: it stands in the way of everything else meanwhile."""
WAL_BYTES_MAX: Final = 16 << 20

TABLES: Final = """
CREATE TABLE entries (
  seq     INTEGER PRIMARY KEY CHECK (seq > 0),
  at_ms   INTEGER NOT NULL CHECK (typeof(at_ms) = 'integer' AND at_ms >= 0),
  wall_ms INTEGER NOT NULL CHECK (typeof(wall_ms) = 'integer'),
  payload BLOB NOT NULL CHECK (typeof(payload) = 'blob'),
  hash    BLOB NOT NULL CHECK (typeof(hash) = 'blob' AND length(hash) = 32)
);
CREATE TABLE head (
  one  INTEGER PRIMARY KEY CHECK (one = 1),
  run  TEXT NOT NULL,
  seq  INTEGER NOT NULL,
  hash BLOB NOT NULL
);
CREATE TABLE snapshots (
  upto   INTEGER PRIMARY KEY,
  sha256 TEXT NOT NULL,
  data   BLOB NOT NULL
);
CREATE TRIGGER entries_no_update BEFORE UPDATE ON entries
BEGIN SELECT RAISE(ABORT, 'an entry is never changed'); END;
CREATE TRIGGER entries_no_delete BEFORE DELETE ON entries
BEGIN SELECT RAISE(ABORT, 'an entry is never removed'); END;
CREATE TRIGGER entries_in_order BEFORE INSERT ON entries
WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM entries)
BEGIN SELECT RAISE(ABORT, 'an entry only follows the last'); END;
"""


class BusyError(JournalError):
    """Another program holds the file; nothing was done, and it may be done again."""


@contextmanager
def explained(path: Path, doing: str) -> Iterator[None]:
    """Turn the database's and the system's complaints into ours, with advice."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorname", "") or type(error).__name__
        kind = BusyError if code.startswith("SQLITE_BUSY") else JournalError
        raise kind(f"{doing} {path}: {error} ({code}); {_advice(code)}") from error
    except UnicodeDecodeError as error:  # the database quotes damaged text in its complaint
        raise JournalError(f"{doing} {path}: {error}; {_advice('SQLITE_CORRUPT')}") from error
    except OSError as error:
        raise JournalError(f"{doing} {path}: {error.strerror}; {_advice('')}") from error


def _advice(code: str) -> str:
    known = {
        "SQLITE_FULL": "free space on its disk; nothing of this was recorded",
        "SQLITE_BUSY": "another program holds it; close that program",
        "SQLITE_NOTADB": "expected a journal.db that `cutover run` wrote",
        "SQLITE_CORRUPT": "the file is damaged; keep a copy and go on from a backup of it",
        "SQLITE_READONLY": "expected a file and a folder that this user may write",
        "SQLITE_CANTOPEN": "expected a readable file; copy it and its -wal to a folder of yours",
    }
    prefix = next((key for key in known if code.startswith(key)), "")
    return known.get(prefix, "look at the disk, the folder and their permissions")


def lock(path: Path) -> int:
    """Hold the journal for one writer, until the descriptor is closed or the process ends.

    A lock file stands beside the journal, because closing any descriptor of the database itself
    would drop SQLite's own locks in this process.

    Raises:
        JournalError: another conductor holds it.
    """
    beside = path.with_name(path.name + ".lock")
    descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise JournalError(
            f"{path} is written by another conductor (process {holder}); expected none. Use "
            "`cutover status` to talk to it, or stop it first"
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def make_file(path: Path) -> None:
    """Create the empty file for its owner's eyes only, and make its name durable."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def connect(path: Path) -> sqlite3.Connection:
    """A connection for the one writer."""
    database = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        _restrict(database)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_MAX}")
    except BaseException:
        database.close()
        raise
    return database


def connect_read_only(path: Path) -> sqlite3.Connection:
    """A connection that writes nothing, also to a copied file in a folder that is read-only.

    A writer at work keeps a `-wal` beside the file, which must be read too. Without one the file
    is complete and stands alone, and is opened so that none is made.
    """
    alone = not path.with_name(path.name + "-wal").exists()
    options = "mode=ro&immutable=1" if alone else "mode=ro"
    address = f"{path.absolute().as_uri()}?{options}"
    database = sqlite3.connect(
        address, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    _restrict(database)
    return database


def _restrict(database: sqlite3.Connection) -> None:
    """The file may come from a stranger: its schema gets no power and its values a bound."""
    database.text_factory = lambda text: text.decode("utf-8", "replace")
    database.execute("PRAGMA trusted_schema = OFF")
    database.execute("PRAGMA cell_size_check = ON")
    database.setlimit(
        sqlite3.SQLITE_LIMIT_LENGTH, max(PAYLOAD_BYTES_MAX, SNAPSHOT_BYTES_MAX) + (1 << 20)
    )


def begun(path: Path) -> bool:
    """Whether there is a journal; a start that was killed may leave a file with nothing in it.

    Raises:
        JournalError: there is a file that cannot be read.
    """
    if not path.exists():
        return False
    with explained(path, "opening"), closing(connect_read_only(path)) as database:
        return not is_empty(database)


def is_empty(database: sqlite3.Connection) -> bool:
    """Whether nothing was ever committed to it (also after a crash while it was made)."""
    return database.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None


def create(database: sqlite3.Connection, run_id: str) -> None:
    """Make the tables, all or none."""
    database.execute("BEGIN IMMEDIATE")
    try:
        for statement in _statements():
            database.execute(statement)
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {FORMAT}")
        database.execute("INSERT INTO head VALUES (1, ?, 0, ?)", (run_id, genesis(run_id)))
        database.execute("COMMIT")
    except BaseException:
        database.rollback()
        raise


def _statements() -> Iterator[str]:
    """`TABLES` one by one; `executescript` would commit the transaction around it."""
    held = ""
    for line in TABLES.strip().splitlines():
        held += line + "\n"
        if sqlite3.complete_statement(held):
            yield held
            held = ""


def check(database: sqlite3.Connection, path: Path, *, guarded: bool) -> None:
    """See that the file is a journal of a format we know.

    Args:
        database: an open connection.
        path: for messages.
        guarded: whether the triggers must stand as well, as they must for a writer.

    Raises:
        JournalError: it is something else, or of another version.
    """
    seen = database.execute("PRAGMA application_id").fetchone()[0]
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if seen != APPLICATION_ID:
        raise JournalError(
            f"{path} is a database, but no journal (application id {seen:#x}, expected "
            f"{APPLICATION_ID:#x}); give the journal.db that `cutover run` wrote"
        )
    if version != FORMAT:
        raise JournalError(
            f"{path} has journal format {version}, this version reads {FORMAT}; use the version "
            "that wrote it, or a newer one"
        )
    _check_form(database, path, guarded=guarded)


def _check_form(database: sqlite3.Connection, path: Path, *, guarded: bool) -> None:
    """See that every table, and for a writer every trigger, reads as we wrote it."""
    with closing(database.execute("SELECT name, sql FROM sqlite_master")) as rows:
        stands = {str(name): str(sql) for name, sql in rows}
    for statement in _statements():
        word, name = statement.split()[1:3]
        if stands.get(name) != statement.rstrip().rstrip(";") and (guarded or word == "TABLE"):
            raise JournalError(
                f"{path}: its {word.lower()} {name} is not as we made it: it was "
                "altered. Keep a copy; go on from a backup that `cutover verify-log` finds sound"
            )
