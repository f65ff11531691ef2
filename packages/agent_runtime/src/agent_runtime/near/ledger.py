"""Signed transactions on disk, before they leave (rails §2.4).

SQLite in WAL mode with `synchronous=FULL`: when a method returns, its rows survive a power cut.
A row is never deleted, and its bytes never change.
"""

import sqlite3
import time
from dataclasses import dataclass
from enum import StrEnum

from agent_runtime.near.transaction import Signed


class State(StrEnum):
    """Where a transaction stands. SIGNED, SENT and UNKNOWN are open; the others are the end."""

    SIGNED = "signed"
    SENT = "sent"
    UNKNOWN = "unknown"
    LANDED = "landed"
    REVERTED = "reverted"
    REFUSED = "refused"
    DEAD = "dead"


OPEN = (State.SIGNED, State.SENT, State.UNKNOWN)

SCHEMA = """
CREATE TABLE IF NOT EXISTS transactions (
  tx_hash TEXT PRIMARY KEY, owner TEXT NOT NULL, purpose TEXT NOT NULL,
  signer TEXT NOT NULL, public_key TEXT NOT NULL, nonce INTEGER NOT NULL,
  block_hash TEXT NOT NULL, block_height INTEGER NOT NULL, signed_bytes BLOB NOT NULL,
  state TEXT NOT NULL, detail TEXT NOT NULL DEFAULT '', included_in TEXT NOT NULL DEFAULT '',
  created_at REAL NOT NULL, updated_at REAL NOT NULL, UNIQUE (public_key, nonce)
);
CREATE INDEX IF NOT EXISTS transactions_owner ON transactions (owner);
CREATE INDEX IF NOT EXISTS transactions_state ON transactions (state);
"""


@dataclass(frozen=True)
class Attempt:
    """One signed transaction.

    Attributes:
        tx_hash: base58.
        owner: what it is part of: a payment id, or `split:<repo url>`.
        purpose: the method it calls.
        nonce: of its key.
        block_hash: the final block that it names.
        block_height: final height when it was signed.
        raw: the signed bytes.
        state: where it stands.
        detail: why, in words.
    """

    tx_hash: str
    owner: str
    purpose: str
    nonce: int
    block_hash: str
    block_height: int
    raw: bytes
    state: State
    detail: str


@dataclass(frozen=True)
class NewAttempt:
    """A transaction about to be stored."""

    owner: str
    purpose: str
    signer: str
    public_key: str
    nonce: int
    block_hash: str
    block_height: int


_COLUMNS = "tx_hash, owner, purpose, nonce, block_hash, block_height, signed_bytes, state, detail"


class TransactionLedger:
    """The transactions table."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        db.executescript(SCHEMA)

    def store(self, new: NewAttempt, signed: Signed) -> Attempt:
        """Store signed bytes durably; only after this may they be sent."""
        now = time.time()
        with self._db:
            self._db.execute(
                "INSERT INTO transactions (tx_hash, owner, purpose, signer, public_key, nonce,"
                " block_hash, block_height, signed_bytes, state, created_at, updated_at)"
                " VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
                (
                    signed.tx_hash,
                    new.owner,
                    new.purpose,
                    new.signer,
                    new.public_key,
                    new.nonce,
                    new.block_hash,
                    new.block_height,
                    signed.raw,
                    State.SIGNED,
                    now,
                    now,
                ),
            )
        return self.get(signed.tx_hash)

    def mark(self, tx_hash: str, state: State, detail: str = "", included_in: str = "") -> Attempt:
        """Record where a transaction stands now."""
        with self._db:
            self._db.execute(
                "UPDATE transactions SET state=?, detail=?, included_in=?, updated_at=?"
                " WHERE tx_hash=?",
                (state, detail, included_in, time.time(), tx_hash),
            )
        return self.get(tx_hash)

    def get(self, tx_hash: str) -> Attempt:
        """One transaction by its hash.

        Raises:
            LookupError: it is not stored.
        """
        row = self._db.execute(
            f"SELECT {_COLUMNS} FROM transactions WHERE tx_hash=?",  # noqa: S608 - a constant
            (tx_hash,),
        ).fetchone()
        if row is None:
            raise LookupError(f"transaction {tx_hash} is not stored")
        return _attempt(row)

    def of(self, owner: str) -> list[Attempt]:
        """All transactions of one owner, oldest first."""
        return self._select("owner=? ORDER BY nonce", owner)

    def open(self, public_key: str) -> list[Attempt]:
        """The transactions of a key whose end is not known, lowest nonce first."""
        return self._select(
            "public_key=? AND state IN ('signed','sent','unknown') ORDER BY nonce", public_key
        )

    def highest_nonce(self, public_key: str) -> int:
        """The highest nonce ever stored for a key; 0 for none."""
        row = self._db.execute(
            "SELECT COALESCE(MAX(nonce), 0) FROM transactions WHERE public_key=?", (public_key,)
        ).fetchone()
        return int(row[0])

    def _select(self, where: str, value: str) -> list[Attempt]:
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM transactions WHERE {where}",  # noqa: S608 - constants
            (value,),
        )
        return [_attempt(row) for row in rows]


def _attempt(row: tuple[str, str, str, int, str, int, bytes, str, str]) -> Attempt:
    return Attempt(*row[:7], State(row[7]), row[8])
