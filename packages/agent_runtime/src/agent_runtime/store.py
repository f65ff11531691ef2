"""The one SQLite file behind payments, transactions, idempotency keys and webhook events."""

import sqlite3
from pathlib import Path


def open_store(path: str) -> sqlite3.Connection:
    """Open or make the file: WAL, and every commit on the disk before it returns.

    Raises:
        OSError: its directory cannot be made.
        sqlite3.Error: the file is no database or cannot be written.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path, timeout=5.0)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("PRAGMA foreign_keys=ON")
    return db
