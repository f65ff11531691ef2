"""Signed transactions on disk, before they leave, and what proves their end (rails §2.4).

SQLite in WAL mode with `synchronous=FULL`: when a method returns, its rows survive a power cut.
A row is never deleted, and its bytes never change. One key uses a nonce once; only a fence takes
the nonce of what it fences, on purpose.
"""

import json
import sqlite3
import time
from dataclasses import dataclass
from enum import StrEnum

from agent_runtime.near import evidence
from agent_runtime.near.evidence import Evidence
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
ON_CHAIN = (State.LANDED, State.REVERTED)
"""Final in a block: the nonce was used."""
HEIGHTS_AT_ONCE = 16

SCHEMA = """
CREATE TABLE IF NOT EXISTS transactions (
  tx_hash TEXT PRIMARY KEY, owner TEXT NOT NULL, leg INTEGER NOT NULL DEFAULT 1,
  purpose TEXT NOT NULL, fences TEXT NOT NULL DEFAULT '',
  signer TEXT NOT NULL, public_key TEXT NOT NULL, nonce INTEGER NOT NULL,
  receiver TEXT NOT NULL, block_hash TEXT NOT NULL, block_height INTEGER NOT NULL,
  signed_bytes BLOB NOT NULL, state TEXT NOT NULL, detail TEXT NOT NULL DEFAULT '',
  included_in TEXT NOT NULL DEFAULT '', created_at REAL NOT NULL, updated_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS transactions_owner ON transactions (owner);
CREATE INDEX IF NOT EXISTS transactions_state ON transactions (state);
CREATE UNIQUE INDEX IF NOT EXISTS transactions_nonce ON transactions (public_key, nonce)
  WHERE fences = '';
CREATE UNIQUE INDEX IF NOT EXISTS transactions_fence ON transactions (fences) WHERE fences <> '';
CREATE TABLE IF NOT EXISTS evidence (
  tx_hash TEXT PRIMARY KEY REFERENCES transactions (tx_hash), document TEXT NOT NULL,
  digest TEXT NOT NULL, block_height INTEGER, seen_at REAL NOT NULL
);
"""


@dataclass(frozen=True)
class Attempt:
    """One signed transaction.

    Attributes:
        tx_hash: base58.
        owner: what it is part of: a payment id, or `split:<repo url>`.
        leg: which part of its owner, counted from 1.
        purpose: the method it calls.
        fences: the hash of the transaction whose nonce it takes; empty for none.
        nonce: of its key.
        receiver: the account that it acts upon.
        block_hash: the final block that it names.
        block_height: its height, as one provider told it at the signing: shown, never relied upon.
        raw: the signed bytes.
        state: where it stands.
        detail: why, in words.
        created_at: when it was stored, epoch seconds.
    """

    tx_hash: str
    owner: str
    leg: int
    purpose: str
    fences: str
    nonce: int
    receiver: str
    block_hash: str
    block_height: int
    raw: bytes
    state: State
    detail: str
    created_at: float


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
    receiver: str = ""
    leg: int = 1
    fences: str = ""


_COLUMNS = (
    "tx_hash, owner, leg, purpose, fences, nonce, receiver, block_hash, block_height, "
    "signed_bytes, state, detail, created_at"
)
_STATE = _COLUMNS.split(", ").index("state")


class TransactionLedger:
    """The transactions and evidence tables."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        db.executescript(SCHEMA)

    def store(self, new: NewAttempt, signed: Signed) -> Attempt:
        """Store signed bytes durably; only after this may they be sent.

        Raises:
            sqlite3.IntegrityError: this nonce of the key is stored already.
        """
        now = time.time()
        with self._db:
            self._db.execute(
                "INSERT INTO transactions (tx_hash, owner, leg, purpose, fences, signer,"
                " public_key, nonce, receiver, block_hash, block_height, signed_bytes, state,"
                " created_at, updated_at) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                (
                    signed.tx_hash,
                    new.owner,
                    new.leg,
                    new.purpose,
                    new.fences,
                    new.signer,
                    new.public_key,
                    new.nonce,
                    new.receiver,
                    new.block_hash,
                    new.block_height,
                    signed.raw,
                    State.SIGNED,
                    now,
                    now,
                ),
            )
        return self.get(signed.tx_hash)

    def mark(self, tx_hash: str, state: State, detail: str = "") -> Attempt:
        """Record where a transaction stands now."""
        with self._db:
            self._mark(tx_hash, state, detail)
        return self.get(tx_hash)

    def finish(self, tx_hash: str, state: State, detail: str, seen: Evidence) -> Attempt:
        """Record the final end of a transaction together with what proves it."""
        with self._db:
            self._mark(tx_hash, state, detail, seen.report.block_hash)
            self._keep(seen)
        return self.get(tx_hash)

    def evidence(self, tx_hash: str) -> Evidence | None:
        """What proves the end of a transaction; None while it is open, or if it never landed."""
        row = self._db.execute(
            "SELECT document FROM evidence WHERE tx_hash=?", (tx_hash,)
        ).fetchone()
        return None if row is None else evidence.from_json(json.loads(row[0]))

    def add_height(self, seen: Evidence, height: int) -> None:
        """Add the height of its block to evidence."""
        with self._db:
            self._keep(evidence.at_height(seen, height))

    def without_height(self) -> list[Evidence]:
        """Some evidence whose block height nobody has told yet."""
        rows = self._db.execute(
            "SELECT document FROM evidence WHERE block_height IS NULL LIMIT ?", (HEIGHTS_AT_ONCE,)
        )
        return [evidence.from_json(json.loads(row[0])) for row in rows]

    def get(self, tx_hash: str) -> Attempt:
        """One transaction by its hash.

        Raises:
            LookupError: it is not stored.
        """
        found = self._select("tx_hash=?", tx_hash)
        if not found:
            raise LookupError(f"transaction {tx_hash} is not stored")
        return found[0]

    def of(self, owner: str) -> list[Attempt]:
        """All transactions of one owner but the fences, oldest first."""
        return self._select("owner=? AND fences='' ORDER BY nonce", owner)

    def all_of(self, owner: str) -> list[Attempt]:
        """The same, with the fences."""
        return self._select("owner=? ORDER BY nonce, created_at", owner)

    def fence_of(self, tx_hash: str) -> Attempt | None:
        """The fence of a transaction."""
        found = self._select("fences=?", tx_hash)
        return found[0] if found else None

    def open(self, public_key: str) -> list[Attempt]:
        """The transactions of a key whose end is not known, lowest nonce first; no fences."""
        return self._select(
            "public_key=? AND fences='' AND state IN ('signed','sent','unknown') ORDER BY nonce",
            public_key,
        )

    def signed_by(self, tx_hash: str) -> tuple[str, str]:
        """The account and the public key that signed a stored transaction.

        Raises:
            LookupError: it is not stored.
        """
        row = self._db.execute(
            "SELECT signer, public_key FROM transactions WHERE tx_hash=?", (tx_hash,)
        ).fetchone()
        if row is None:
            raise LookupError(f"transaction {tx_hash} is not stored")
        return row[0], row[1]

    def open_keys(self) -> list[str]:
        """Every public key with an open transaction, earlier keys too."""
        rows = self._db.execute(
            "SELECT DISTINCT public_key FROM transactions"
            " WHERE fences='' AND state IN ('signed','sent','unknown')"
        )
        return [row[0] for row in rows]

    def highest_nonce(self, public_key: str) -> int:
        """The highest nonce ever stored for a key; 0 for none."""
        row = self._db.execute(
            "SELECT COALESCE(MAX(nonce), 0) FROM transactions WHERE public_key=?", (public_key,)
        ).fetchone()
        return int(row[0])

    def _mark(self, tx_hash: str, state: State, detail: str, included_in: str = "") -> None:
        self._db.execute(
            "UPDATE transactions SET state=?, detail=?, included_in=?, updated_at=?"
            " WHERE tx_hash=?",
            (state, detail, included_in, time.time(), tx_hash),
        )

    def _keep(self, seen: Evidence) -> None:
        document = json.dumps(evidence.to_json(seen))
        report = seen.report
        self._db.execute(
            "INSERT OR REPLACE INTO evidence VALUES (?,?,?,?,?)",
            (report.tx_hash, document, report.digest, seen.block_height, seen.seen_at),
        )

    def _select(self, where: str, value: str) -> list[Attempt]:
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM transactions WHERE {where}",  # noqa: S608 - constants
            (value,),
        )
        return [Attempt(*(*row[:_STATE], State(row[_STATE]), *row[_STATE + 1 :])) for row in rows]
