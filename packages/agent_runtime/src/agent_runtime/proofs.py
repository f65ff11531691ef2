"""Open proofs: the code that somebody must publish to show that a GitHub account is theirs.

A code belongs to one caller, one account and one wallet, and it ends. Nobody can use a code that
was given to somebody else, and asking for another wallet makes another code.
"""

import secrets
import sqlite3
import time
from dataclasses import dataclass

from agent_runtime.modes import Caller

PREFIX = "gitsplits-verify-"

SCHEMA = """
CREATE TABLE IF NOT EXISTS proofs (
  channel TEXT NOT NULL, author TEXT NOT NULL, github_id INTEGER NOT NULL, wallet TEXT NOT NULL,
  code TEXT NOT NULL, expires_at REAL NOT NULL,
  PRIMARY KEY (channel, author, github_id)
);
"""


@dataclass(frozen=True)
class OpenProof:
    """What waits to be published.

    Attributes:
        code: `gitsplits-verify-` and eight hex digits.
        fresh: True if it was made just now: nobody can have published it yet.
        left_seconds: until it ends.
    """

    code: str
    fresh: bool
    left_seconds: float


class Proofs:
    """The proofs table.

    Args:
        db: the store.
        lasts_seconds: the life of a code.
    """

    def __init__(self, db: sqlite3.Connection, lasts_seconds: float) -> None:
        self._db = db
        self._lasts_seconds = lasts_seconds
        db.executescript(SCHEMA)

    def code_for(self, caller: Caller, github_id: int, wallet: str) -> OpenProof:
        """The caller's open code for this account and wallet; a new one if there is none."""
        now = time.time()
        row = self._db.execute(
            "SELECT code, expires_at FROM proofs WHERE channel=? AND author=? AND github_id=?"
            " AND wallet=? AND expires_at > ?",
            (caller.channel, caller.author, github_id, wallet, now),
        ).fetchone()
        if row is not None:
            return OpenProof(row[0], fresh=False, left_seconds=row[1] - now)
        code = PREFIX + secrets.token_hex(4)
        with self._db:
            self._db.execute(
                "INSERT OR REPLACE INTO proofs VALUES (?,?,?,?,?,?)",
                (
                    caller.channel,
                    caller.author,
                    github_id,
                    wallet,
                    code,
                    now + self._lasts_seconds,
                ),
            )
        return OpenProof(code, fresh=True, left_seconds=self._lasts_seconds)

    def close(self, caller: Caller, github_id: int) -> None:
        """Forget a code that has served."""
        with self._db:
            self._db.execute(
                "DELETE FROM proofs WHERE channel=? AND author=? AND github_id=?",
                (caller.channel, caller.author, github_id),
            )
