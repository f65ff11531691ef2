"""Payments on disk: what was planned, what became of it, and what is owed to the unverified.

A payment is stored before its transaction is signed (rails §2.4). Its state follows the
transaction's; it is never planned twice.
"""

import json
import sqlite3
import time
from dataclasses import asdict, dataclass
from enum import StrEnum


class PaymentState(StrEnum):
    """PLANNED and UNKNOWN are open; the others are the end. DECLINED: nothing was signed."""

    PLANNED = "planned"
    UNKNOWN = "unknown"
    PAID = "paid"
    FAILED = "failed"
    DECLINED = "declined"


SCHEMA = """
CREATE TABLE IF NOT EXISTS payments (
  id TEXT PRIMARY KEY, repo TEXT NOT NULL, token TEXT NOT NULL, units TEXT NOT NULL,
  author TEXT NOT NULL, plan TEXT NOT NULL, state TEXT NOT NULL, tx_hash TEXT NOT NULL DEFAULT '',
  detail TEXT NOT NULL DEFAULT '', created_at REAL NOT NULL, updated_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS payments_state ON payments (state, repo, token);
CREATE TABLE IF NOT EXISTS claims (
  id TEXT PRIMARY KEY, payment_id TEXT NOT NULL REFERENCES payments (id), repo TEXT NOT NULL,
  login TEXT NOT NULL COLLATE NOCASE, token TEXT NOT NULL, units TEXT NOT NULL,
  created_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS claims_login ON claims (login);
CREATE INDEX IF NOT EXISTS claims_repo ON claims (repo);
"""


@dataclass(frozen=True)
class Share:
    """What one contributor gets: `units` of the token; `account` is empty for the unverified."""

    login: str
    account: str
    units: int


@dataclass(frozen=True)
class Plan:
    """A payment, decided but not sent.

    Attributes:
        repo: canonical address of the repository.
        split_id: the split it follows.
        token: symbol.
        decimals: of the token.
        units: smallest units asked for by the user.
        paid: who is paid now.
        owed: who is not verified yet, and what waits for them.
        flags: safety flags that do not block.
    """

    repo: str
    split_id: str
    token: str
    decimals: int
    units: int
    paid: tuple[Share, ...]
    owed: tuple[Share, ...]
    flags: tuple[str, ...]

    @property
    def total(self) -> int:
        """Units that leave the account."""
        return sum(share.units for share in self.paid)


@dataclass(frozen=True)
class Payment:
    """A stored payment."""

    id: str
    plan: Plan
    state: PaymentState
    tx_hash: str
    detail: str


@dataclass(frozen=True)
class Claim:
    """Units that wait for a contributor to verify; `id` is stable."""

    id: str
    login: str
    token: str
    units: int


class PaymentLedger:
    """The payments and claims tables."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        db.executescript(SCHEMA)

    def plan(self, payment_id: str, author: str, plan: Plan) -> Payment:
        """Store a new payment durably.

        Raises:
            sqlite3.IntegrityError: this id is stored already.
        """
        now = time.time()
        with self._db:
            self._db.execute(
                "INSERT INTO payments (id, repo, token, units, author, plan, state, created_at,"
                " updated_at) VALUES (?,?,?,?,?,?,?,?,?)",
                (
                    payment_id,
                    plan.repo,
                    plan.token,
                    str(plan.units),
                    author,
                    json.dumps(asdict(plan)),
                    PaymentState.PLANNED,
                    now,
                    now,
                ),
            )
        return Payment(payment_id, plan, PaymentState.PLANNED, "", "")

    def end(self, payment: Payment, state: PaymentState, tx_hash: str, detail: str) -> Payment:
        """Record what became of a payment; when it is paid, what it owes is recorded with it."""
        now = time.time()
        with self._db:
            self._db.execute(
                "UPDATE payments SET state=?, tx_hash=?, detail=?, updated_at=? WHERE id=?",
                (state, tx_hash, detail, now, payment.id),
            )
            if state is PaymentState.PAID:
                self._db.executemany(
                    "INSERT OR IGNORE INTO claims VALUES (?,?,?,?,?,?,?)",
                    [
                        (
                            claim.id,
                            payment.id,
                            payment.plan.repo,
                            claim.login,
                            claim.token,
                            str(claim.units),
                            now,
                        )
                        for claim in claims_of(payment)
                    ],
                )
        return Payment(payment.id, payment.plan, state, tx_hash, detail)

    def get(self, payment_id: str) -> Payment | None:
        """One payment."""
        found = self._payments("id=?", payment_id)
        return found[0] if found else None

    def open(self) -> list[Payment]:
        """The payments whose end is not known."""
        return self._payments("state IN ('planned','unknown') ORDER BY created_at")

    def claims_for_repo(self, repo: str) -> list[Claim]:
        """What waits for the contributors of a repository."""
        return self._claims("repo=? COLLATE NOCASE", repo)

    def claims_for_login(self, login: str) -> list[Claim]:
        """What waits for one person."""
        return self._claims("login=?", login)

    def _payments(self, where: str, *values: str) -> list[Payment]:
        rows = self._db.execute(
            f"SELECT id, plan, state, tx_hash, detail FROM payments WHERE {where}",  # noqa: S608 - constants
            values,
        )
        return [
            Payment(row[0], _plan(row[1]), PaymentState(row[2]), row[3], row[4]) for row in rows
        ]

    def _claims(self, where: str, value: str) -> list[Claim]:
        rows = self._db.execute(
            f"SELECT id, login, token, units FROM claims WHERE {where} ORDER BY created_at, id",  # noqa: S608 - constants
            (value,),
        )
        return [Claim(row[0], row[1], row[2], int(row[3])) for row in rows]


def claims_of(payment: Payment) -> list[Claim]:
    """What a payment leaves owed, with ids that follow from the payment's own."""
    return [
        Claim(
            f"claim-{payment.id.removeprefix('pay-')}-{n}",
            share.login,
            payment.plan.token,
            share.units,
        )
        for n, share in enumerate(payment.plan.owed, start=1)
    ]


def _plan(text: str) -> Plan:
    found = json.loads(text)
    for name in ("paid", "owed"):
        found[name] = tuple(Share(**share) for share in found[name])
    found["flags"] = tuple(found["flags"])
    return Plan(**found)
