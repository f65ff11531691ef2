"""Whether the store takes a write: asked by writing, at most every few seconds."""

import sqlite3
import time

EVERY_SECONDS = 5.0
SCHEMA = "CREATE TABLE IF NOT EXISTS pulse (id INTEGER PRIMARY KEY CHECK (id = 1), at REAL)"


class Pulse:
    """Writes one row again and again."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._at = float("-inf")
        self._fault = ""
        db.execute(SCHEMA)

    def fault(self) -> str:
        """Why nothing can be written now, in SQLite's words; empty if it can."""
        now = time.monotonic()
        if now - self._at >= EVERY_SECONDS:
            self._at, self._fault = now, self._beat()
        return self._fault

    def _beat(self) -> str:
        try:
            with self._db:
                self._db.execute("INSERT OR REPLACE INTO pulse VALUES (1, ?)", (time.time(),))
        except sqlite3.Error as error:
            return str(error)
        return ""
