"""Casts that were taken and what became of each: on disk before the delivery is acknowledged."""

import sqlite3
import time
from collections.abc import Collection
from dataclasses import dataclass

from agent_runtime.errors import ApiError
from agent_runtime.webhooks.neynar import Cast

OPEN_MAX = 1_000

SCHEMA = """
CREATE TABLE IF NOT EXISTS casts (
  hash TEXT PRIMARY KEY, fid INTEGER NOT NULL, text TEXT NOT NULL, state TEXT NOT NULL,
  answer TEXT NOT NULL DEFAULT '', sent INTEGER NOT NULL DEFAULT 0,
  tries INTEGER NOT NULL DEFAULT 0, due_at REAL NOT NULL, received_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS casts_due ON casts (state, due_at);
"""


@dataclass(frozen=True)
class Entry:
    """A cast in work.

    Attributes:
        cast: what was said.
        answer: what to reply; empty until there is an answer.
        sent: how many parts of the reply are out.
        tries: how often this was attempted and put off.
    """

    cast: Cast
    answer: str
    sent: int
    tries: int


class CastBook:
    """The casts table. States: `open`, `replied`, `given_up`."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        db.executescript(SCHEMA)

    def enter(self, cast: Cast) -> bool:
        """Take a cast; False if it was taken before. Of many at once, one is the first.

        Raises:
            ApiError: 503, too many are waiting.
        """
        now = time.time()
        waiting = self._db.execute("SELECT count(*) FROM casts WHERE state='open'").fetchone()[0]
        if waiting >= OPEN_MAX:
            raise ApiError(503, "busy", "too many casts are waiting; deliver this one again")
        with self._db:
            made = self._db.execute(
                "INSERT OR IGNORE INTO casts (hash, fid, text, state, due_at, received_at)"
                " VALUES (?,?,?,'open',?,?)",
                (cast.hash, cast.fid, cast.text, now, now),
            )
        return made.rowcount == 1

    def next(self, busy: Collection[str]) -> Entry | None:
        """The one that waits longest, is due, and nobody works on."""
        rows = self._db.execute(
            "SELECT hash, fid, text, answer, sent, tries FROM casts"
            " WHERE state='open' AND due_at <= ? ORDER BY received_at, rowid LIMIT ?",
            (time.time(), len(busy) + 1),
        )
        free = (row for row in rows if row[0] not in busy)
        return next((Entry(Cast(*row[:3]), *row[3:]) for row in free), None)

    def answered(self, digest: str, answer: str) -> None:
        """Keep the answer: from now on only the reply is due."""
        self._set(digest, "answer=?, tries=0", answer)

    def sent(self, digest: str, parts: int) -> None:
        """So many parts of the reply are out."""
        self._set(digest, "sent=?", parts)

    def put_off(self, digest: str, seconds: float) -> None:
        """Try again later."""
        self._set(digest, "tries=tries+1, due_at=?", time.time() + seconds)

    def close(self, digest: str, state: str) -> None:
        """It is done with: `replied` or `given_up`."""
        self._set(digest, "state=?", state)

    def _set(self, digest: str, change: str, value: object) -> None:
        with self._db:
            self._db.execute(f"UPDATE casts SET {change} WHERE hash=?", (value, digest))  # noqa: S608 - constants of this class
