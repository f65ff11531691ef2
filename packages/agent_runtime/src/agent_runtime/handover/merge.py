"""Taking another plane's ledger in: all of it or nothing (rails §2.4).

Rules
- A row that is here under the same name with other content is a conflict: it is named, and nothing
  is taken. Two planes that made one payment have something to explain first.
- What is open stays open. A transaction that was signed and not sent is open here: only the chain
  can end what another plane signed.
- Every payment that is not at its end is bound to the exporting key (`bonds`).
"""

import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from agent_runtime.handover.document import About, Export, Row, Value
from agent_runtime.handover.errors import HandoverRefusal
from agent_runtime.handover.tables import TABLES, Table
from agent_runtime.migrations import VERSION

SHOWN_MAX = 20
AT_ITS_END = ("paid", "review")


@dataclass(frozen=True)
class Home:
    """The plane that takes over."""

    network: str
    account: str
    public_key: str


@dataclass(frozen=True)
class Taken:
    """What an import did, or would do.

    Attributes:
        added: new rows by table.
        bound: payments that wait for the exporting key's fence before they are signed anew.
        open: those of them whose end is not known.
        again: this very export was taken before; nothing was changed.
    """

    added: dict[str, int]
    bound: int = 0
    open: int = 0
    again: bool = False


def take(db: sqlite3.Connection, export: Export, digest: str, home: Home) -> Taken:
    """Take an export in; the caller made the tables.

    Raises:
        HandoverRefusal: it is not for this plane, or some row is here with other content. Nothing
            was changed.
        sqlite3.Error: the ledger cannot be written. Nothing was changed.
    """
    _check_is_for(export.about, home)
    db.execute("BEGIN IMMEDIATE")
    with db:  # ends the transaction, by undoing it if anything raises
        seen = "SELECT 1 FROM ledger_imports WHERE digest=?"
        if db.execute(seen, (digest,)).fetchone() is not None:
            return Taken({}, again=True)
        conflicts: list[str] = []
        added: Counter[str] = Counter()
        for table in TABLES:
            for row in export.rows.get(table.name, ()):
                added[table.name] += _meet(db, table, _arriving(table, row), conflicts)
        if conflicts:
            raise HandoverRefusal(_conflict_text(conflicts))
        bound, still_open = _bind(db, export)
        about = export.about
        told = (digest, about.plane, about.public_key, time.time())
        db.execute("INSERT INTO ledger_imports VALUES (?,?,?,?)", told)
    return Taken({name: count for name, count in added.items() if count}, bound, still_open)


def _check_is_for(about: About, home: Home) -> None:
    if about.schema != VERSION:
        raise HandoverRefusal(
            f"the export's tables are version {about.schema}, this build's are {VERSION}; use one"
            " build on both sides"
        )
    for what, theirs, ours in (
        ("NEAR_NETWORK_ID", about.network, home.network),
        ("NEAR_ACCOUNT_ID", about.account, home.account),
    ):
        if theirs != ours:
            raise HandoverRefusal(
                f"the export is of {what} {theirs}, this plane's is {ours or 'unset'}; a ledger is"
                " handed over between planes of one account"
            )
    if about.public_key == home.public_key:
        raise HandoverRefusal(
            f"both planes sign with {about.public_key}; give this one a key of its own, so that"
            " the other one can be fenced"
        )


def _arriving(table: Table, row: Row) -> Row:
    """A row as it is stored here."""
    if table.name != "transactions":
        return row
    found = dict(zip(table.columns, row, strict=True))
    if found["state"] == "signed":  # another machine holds these bytes: only the chain ends them
        found |= {"state": "unknown", "detail": "signed by another plane, not sent there"}
    return tuple(found.values())


def _meet(db: sqlite3.Connection, table: Table, row: Row, conflicts: list[str]) -> bool:
    """Add a row, or hold it against the one of its name; True if it is new."""
    columns, count = ", ".join(table.columns), len(table.key)
    named = " AND ".join(f"{name}=?" for name in table.key)
    found = db.execute(
        f"SELECT {columns} FROM {table.name} WHERE {named}",  # noqa: S608 - constants
        row[:count],
    ).fetchone()
    if found is None:
        marks = ", ".join("?" * len(row))
        try:
            db.execute(f"INSERT INTO {table.name} ({columns}) VALUES ({marks})", row)  # noqa: S608 - constants
        except sqlite3.IntegrityError as error:
            conflicts.append(f"{table.name} {_name(row[:count])} ({error})")
        return True
    differing = [
        name
        for name, ours, theirs in zip(
            table.columns[count:], found[count:], row[count:], strict=True
        )
        if ours != theirs and name not in table.free and not _fills(table, name, ours, theirs)
    ]
    if differing:
        conflicts.append(f"{table.name} {_name(row[:count])} ({', '.join(differing)})")
    else:
        _settle(db, table, found, row)
    return False


def _fills(table: Table, name: str, ours: Value, theirs: Value) -> bool:
    return name == table.fills and (ours is None or theirs is None)


def _settle(db: sqlite3.Connection, table: Table, found: Sequence[Value], row: Row) -> None:
    """Of two rows that may differ, keep the newer one, or what only one of them has."""
    ours, theirs = (dict(zip(table.columns, one, strict=True)) for one in (found, row))
    change = {}
    if table.newest and _number(theirs[table.newest]) > _number(ours[table.newest]):
        change = {name: theirs[name] for name in table.free}
    if table.fills and ours[table.fills] is None and theirs[table.fills] is not None:
        change = {table.fills: theirs[table.fills]}
    if change:
        sets = ", ".join(f"{name}=?" for name in change)
        named = " AND ".join(f"{name}=?" for name in table.key)
        values = (*change.values(), *row[: len(table.key)])
        db.execute(f"UPDATE {table.name} SET {sets} WHERE {named}", values)  # noqa: S608 - constants


def _number(value: Value) -> float:
    if not isinstance(value, int | float):
        raise HandoverRefusal("the export has a time that is no number; export again")
    return value


def _bind(db: sqlite3.Connection, export: Export) -> tuple[int, int]:
    """Bind what is not at its end to the exporting key, and to those that signed for it before.

    Returns:
        How many payments were bound, and how many of them are open.
    """
    about, states, signers = export.about, _column(export, "payments", "state"), _signers(export)
    waiting = {name: state for name, state in states.items() if state not in AT_ITS_END}
    for name in waiting:
        for public_key in sorted({about.public_key, *signers.get(name, ())}):
            db.execute(
                "INSERT OR IGNORE INTO bound_payments (payment_id, public_key, account, plane)"
                " VALUES (?,?,?,?)",
                (name, public_key, about.account, about.plane),
            )
    return len(waiting), sum(state in {"planned", "unknown"} for state in waiting.values())


def _signers(export: Export) -> dict[Value, set[str]]:
    """The keys that signed for each owner."""
    found: dict[Value, set[str]] = {}
    keys = _column(export, "transactions", "public_key")
    for tx_hash, owner in _column(export, "transactions", "owner").items():
        found.setdefault(owner, set()).add(str(keys[tx_hash]))
    return found


def _column(export: Export, name: str, column: str) -> dict[Value, Value]:
    """One column of an exported table, by the first part of its key."""
    at = next(table.columns for table in TABLES if table.name == name).index(column)
    return {row[0]: row[at] for row in export.rows.get(name, ())}


def _name(key: Row) -> str:
    return "/".join(str(part) for part in key)


def _conflict_text(conflicts: Sequence[str]) -> str:
    shown = "; ".join(conflicts[:SHOWN_MAX])
    more = f"; and {len(conflicts) - SHOWN_MAX} more" if len(conflicts) > SHOWN_MAX else ""
    return (
        f"{len(conflicts)} rows are here under the same name with other content: {shown}{more};"
        " nothing was taken, and both ledgers are as they were"
    )
