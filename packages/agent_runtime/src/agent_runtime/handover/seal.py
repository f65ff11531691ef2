"""The seal: from a ledger that was handed over, nothing new can be planned or signed.

Its triggers live in the file itself. A build that does not know of seals cannot write past them
either, and a copy of the file is as sealed as the file.
"""

import sqlite3

SCHEMA = """CREATE TABLE IF NOT EXISTS handover_seal (
  id INTEGER PRIMARY KEY CHECK (id = 1), plane TEXT NOT NULL, sealed_at REAL NOT NULL
)"""
_GUARDED = ("payments", "legs", "transactions")


def sealed_at(db: sqlite3.Connection) -> float | None:
    """When this ledger was sealed, epoch seconds; None if it is not."""
    there = "SELECT 1 FROM sqlite_master WHERE type='table' AND name='handover_seal'"
    if db.execute(there).fetchone() is None:
        return None
    row = db.execute("SELECT sealed_at FROM handover_seal").fetchone()
    return None if row is None else float(row[0])


def seal(db: sqlite3.Connection, plane: str, now: float) -> None:
    """Seal, inside the caller's transaction; a second seal changes nothing."""
    db.execute(SCHEMA)
    db.execute("INSERT OR IGNORE INTO handover_seal VALUES (1, ?, ?)", (plane, now))
    for table in _GUARDED:
        db.execute(
            f"CREATE TRIGGER IF NOT EXISTS sealed_{table} BEFORE INSERT ON {table}"
            " BEGIN SELECT RAISE(ABORT, 'this ledger was handed over: it is sealed'); END"
        )


def reopen(db: sqlite3.Connection) -> bool:
    """Take the seal off again; False if there was none."""
    if sealed_at(db) is None:
        return False
    db.execute("BEGIN IMMEDIATE")
    with db:
        for table in _GUARDED:
            db.execute(f"DROP TRIGGER IF EXISTS sealed_{table}")
        db.execute("DELETE FROM handover_seal")
    return True
