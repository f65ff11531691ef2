"""Orders to another payer, on disk before the first byte leaves (rails §2.4, §4).

An order is one payment's; its bytes never change, and its id is the key under which they are sent.
A transaction pays one order and no other: the column says so, whoever else claims it.
"""

import hashlib
import sqlite3
import time
from dataclasses import dataclass
from enum import StrEnum


class OrderState(StrEnum):
    """STORED: no byte has left. SENT: one may have, and no answer decides. ACCEPTED: has an id.

    DECLINED: refused before anything was accepted. PAID and REVIEW are the end.
    """

    STORED = "stored"
    SENT = "sent"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    PAID = "paid"
    REVIEW = "review"


OPEN = (OrderState.SENT, OrderState.ACCEPTED)
UNSENT = (OrderState.STORED, OrderState.DECLINED)
"""Nothing that was sent so far was accepted: a refusal now means that nothing can move."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
  id TEXT PRIMARY KEY, payment_id TEXT NOT NULL UNIQUE REFERENCES payments (id),
  rail TEXT NOT NULL, payer TEXT NOT NULL, request BLOB NOT NULL, digest TEXT NOT NULL,
  since_ns INTEGER NOT NULL, state TEXT NOT NULL, detail TEXT NOT NULL DEFAULT '',
  remote_id TEXT NOT NULL DEFAULT '', word TEXT NOT NULL DEFAULT '',
  told_hash TEXT NOT NULL DEFAULT '', tx_hash TEXT NOT NULL DEFAULT '',
  evidence TEXT NOT NULL DEFAULT '', sends INTEGER NOT NULL DEFAULT 0,
  looks INTEGER NOT NULL DEFAULT 0, first_sent_at REAL NOT NULL DEFAULT 0,
  due_at REAL NOT NULL DEFAULT 0, created_at REAL NOT NULL, updated_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS orders_state ON orders (state, due_at);
CREATE UNIQUE INDEX IF NOT EXISTS orders_remote ON orders (rail, remote_id) WHERE remote_id <> '';
CREATE UNIQUE INDEX IF NOT EXISTS orders_paid_by ON orders (tx_hash) WHERE tx_hash <> '';
"""
PAUSE_SECONDS_MAX = 600.0


@dataclass(frozen=True)
class Order:
    """One order; times are epoch seconds.

    Attributes:
        id: also its idempotency key.
        rail: who was to carry it out.
        payer: NEAR account that pays it, as it was configured when it was stored.
        request: the bytes that are sent, always these.
        since_ns: chain time when nothing of it had left yet: what pays it stands in a later block.
        remote_id: what the rail calls it; empty until it has said so.
        word: the rail's newest word for where it stands.
        told_hash: the transaction that the rail named last; believed only as far as NEAR shows it.
        tx_hash: the transaction that pays it, final and judged; no other order's.
        evidence: of the transaction that decided, as JSON; empty for none.
        sends: how often its bytes left.
        looks: how often that showed no end.
        first_sent_at: 0 while no byte has left.
        due_at: when it is looked at next.
    """

    id: str
    payment_id: str
    rail: str
    payer: str
    request: bytes
    digest: str
    since_ns: int
    state: OrderState
    detail: str
    remote_id: str
    word: str
    told_hash: str
    tx_hash: str
    evidence: str
    sends: int
    looks: int
    first_sent_at: float
    due_at: float
    created_at: float

    def is_due(self, now: float) -> bool:
        """Whether to look again; also if our clock was set back since."""
        return self.due_at <= now or self.due_at > now + PAUSE_SECONDS_MAX


@dataclass(frozen=True)
class NewOrder:
    """An order about to be stored."""

    id: str
    payment_id: str
    rail: str
    payer: str
    request: bytes
    since_ns: int


class OrderTaken(Exception):  # noqa: N818 - it says what was found, not that something broke
    """What would be recorded of this order belongs to another one; the text names that one."""


_COLUMNS = (
    "id, payment_id, rail, payer, request, digest, since_ns, state, detail, remote_id, word, "
    "told_hash, tx_hash, evidence, sends, looks, first_sent_at, due_at, created_at"
)
_STATE = _COLUMNS.split(", ").index("state")


class OrderBook:
    """The orders table; the payments and transactions tables must exist.

    Args:
        db: the store.
        made: the table is there already, so a store that can only be read will do.
    """

    def __init__(self, db: sqlite3.Connection, *, made: bool = False) -> None:
        self._db = db
        if not made:
            db.executescript(SCHEMA)

    def store(self, new: NewOrder) -> Order:
        """Store an order durably; only after this, and after `leaves`, may it be sent.

        Raises:
            sqlite3.IntegrityError: this id, or an order of this payment, is stored already.
        """
        now, digest = time.time(), hashlib.sha256(new.request).hexdigest()
        with self._db:
            self._db.execute(
                "INSERT INTO orders (id, payment_id, rail, payer, request, digest, since_ns, state,"
                " created_at, updated_at) VALUES (?,?,?,?,?,?,?,?,?,?)",
                (
                    new.id,
                    new.payment_id,
                    new.rail,
                    new.payer,
                    new.request,
                    digest,
                    new.since_ns,
                    OrderState.STORED,
                    now,
                    now,
                ),
            )
        return self.get(new.id)

    def leaves(self, order: Order, since_ns: int, again_seconds: float) -> Order:
        """Record, before a byte leaves, that one may.

        Args:
            order: as it is stored.
            since_ns: chain time now; kept if nothing that left before could have been accepted.
            again_seconds: when it is due again, should nobody live to say otherwise.
        """
        now = time.time()
        since = since_ns if order.state in UNSENT else order.since_ns
        return self._set(
            order,
            state=OrderState.SENT,
            detail="sent, and not answered yet",
            since_ns=since,
            sends=order.sends + 1,
            first_sent_at=order.first_sent_at or now,
            due_at=now + again_seconds,
        )

    def accepted(self, order: Order, remote_id: str, word: str, told_hash: str) -> Order:
        """Record what the rail says of it.

        Raises:
            OrderTaken: the rail gave this id to another order of ours.
        """
        told = {"state": OrderState.ACCEPTED, "remote_id": remote_id, "word": word}
        try:
            return self._set(order, **told, told_hash=told_hash)
        except sqlite3.IntegrityError as error:
            raise OrderTaken(f"the id {remote_id} belongs to another order of ours") from error

    def declined(self, order: Order, detail: str) -> Order:
        """Record a refusal that ends it: nothing that was sent was accepted."""
        return self._set(order, state=OrderState.DECLINED, detail=detail)

    def wait(self, order: Order, detail: str, seconds: float) -> Order:
        """Record why it is open still, and when to look again, `PAUSE_SECONDS_MAX` at the most."""
        due = time.time() + min(seconds, PAUSE_SECONDS_MAX)
        return self._set(order, detail=detail, due_at=due, looks=order.looks + 1)

    def paid(self, order: Order, tx_hash: str, evidence: str) -> Order:
        """Record the transaction that pays it.

        Raises:
            OrderTaken: that transaction pays another order.
        """
        told = {"state": OrderState.PAID, "detail": "", "evidence": evidence}
        try:
            return self._set(order, **told, tx_hash=tx_hash)
        except sqlite3.IntegrityError as error:
            raise OrderTaken(f"the transaction {tx_hash} pays another order of ours") from error

    def review(self, order: Order, detail: str, evidence: str) -> Order:
        """Record that a person must look."""
        return self._set(order, state=OrderState.REVIEW, detail=detail, evidence=evidence)

    def get(self, order_id: str) -> Order:
        """One order.

        Raises:
            LookupError: it is not stored.
        """
        found = self._select("id=?", order_id)
        if not found:
            raise LookupError(f"order {order_id} is not stored")
        return found[0]

    def of_payment(self, payment_id: str) -> Order | None:
        """The order of a payment."""
        found = self._select("payment_id=?", payment_id)
        return found[0] if found else None

    def named(self, rail: str, remote_id: str) -> Order | None:
        """The order that a rail calls by this id."""
        found = self._select("rail=? AND remote_id=? AND remote_id<>''", rail, remote_id)
        return found[0] if found else None

    def open(self) -> list[Order]:
        """The orders whose end is not known, the longest due first."""
        return self._select("state IN ('sent','accepted') ORDER BY due_at, created_at")

    def unsettled(self) -> list[Order]:
        """The open ones and those that wait for a person, the oldest first."""
        return self._select("state IN ('sent','accepted','review') ORDER BY created_at")

    def holder_of(self, tx_hash: str, but: str) -> str:
        """Whose a transaction is already, in words; empty for nobody's but that order's."""
        row = self._db.execute(
            "SELECT payment_id FROM orders WHERE tx_hash=? AND id<>?", (tx_hash, but)
        ).fetchone()
        if row is not None:
            return f"it pays {row[0]} already"
        row = self._db.execute(
            "SELECT owner FROM transactions WHERE tx_hash=?", (tx_hash,)
        ).fetchone()
        return "" if row is None else f"this plane signed it itself, for {row[0]}"

    def _set(self, order: Order, **values: object) -> Order:
        sets = ", ".join(f"{name}=?" for name in values)
        with self._db:
            self._db.execute(
                f"UPDATE orders SET {sets}, updated_at=? WHERE id=?",  # noqa: S608 - our own names
                (*values.values(), time.time(), order.id),
            )
        return self.get(order.id)

    def _select(self, where: str, *values: str) -> list[Order]:
        rows = self._db.execute(f"SELECT {_COLUMNS} FROM orders WHERE {where}", values)  # noqa: S608 - constants
        return [
            Order(*(*row[:_STATE], OrderState(row[_STATE]), *row[_STATE + 1 :])) for row in rows
        ]
