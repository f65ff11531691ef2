"""Which deliveries were taken already: on disk, for a month (`housekeeping`)."""

import sqlite3
import time

ID_MAX_CHARS = 200

SCHEMA = """
CREATE TABLE IF NOT EXISTS webhook_events (
  id TEXT PRIMARY KEY, type TEXT NOT NULL, received_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS webhook_events_age ON webhook_events (received_at);
"""


class Deliveries:
    """The webhook_events table."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        db.executescript(SCHEMA)

    def is_first(self, kind: str, *ids: str) -> bool:
        """Remember a delivery by all its names; False if one of them was taken before.

        Of any number that come at once, one is the first.
        """
        now = time.time()
        with self._db:
            made = [
                self._db.execute(
                    "INSERT OR IGNORE INTO webhook_events VALUES (?,?,?)",
                    (one[:ID_MAX_CHARS], kind, now),
                ).rowcount
                for one in ids
            ]
        return all(made)
