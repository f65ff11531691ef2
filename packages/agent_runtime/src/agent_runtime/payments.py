"""Payments on disk: what was planned, what became of it, and what is owed to the unverified.

A payment is stored, with the legs that will be signed, before its transaction is (rails §2.4). Its
state follows from its transactions and their evidence (`settlement`); it is never planned twice.
"""

import json
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any


class PaymentState(StrEnum):
    """PLANNED and UNKNOWN are open; the others are the end.

    DECLINED: nothing was signed. FAILED: nothing moved. REVIEW: something moved, and not what was
    planned; a person must look, and nothing is tried again.
    """

    PLANNED = "planned"
    UNKNOWN = "unknown"
    PAID = "paid"
    FAILED = "failed"
    DECLINED = "declined"
    REVIEW = "review"


OPEN = (PaymentState.PLANNED, PaymentState.UNKNOWN)


SCHEMA = """
CREATE TABLE IF NOT EXISTS payments (
  id TEXT PRIMARY KEY, repo TEXT NOT NULL, token TEXT NOT NULL, units TEXT NOT NULL,
  author TEXT NOT NULL, plan TEXT NOT NULL, state TEXT NOT NULL, tx_hash TEXT NOT NULL DEFAULT '',
  detail TEXT NOT NULL DEFAULT '', created_at REAL NOT NULL, updated_at REAL NOT NULL,
  origin TEXT NOT NULL DEFAULT '', rail TEXT NOT NULL DEFAULT 'near'
);
CREATE INDEX IF NOT EXISTS payments_state ON payments (state, repo, token);
CREATE TABLE IF NOT EXISTS legs (
  payment_id TEXT NOT NULL REFERENCES payments (id), number INTEGER NOT NULL,
  contract TEXT NOT NULL, wrap INTEGER NOT NULL, transfers TEXT NOT NULL,
  PRIMARY KEY (payment_id, number)
);
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
    """What one contributor gets: `units` of the token; `account` is empty for the unverified.

    `person` is their GitHub account's number; 0 if it was not known.
    """

    login: str
    account: str
    units: int
    person: int = 0


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
        notes: lines for the user about who is left out, and why.
    """

    repo: str
    split_id: str
    token: str
    decimals: int
    units: int
    paid: tuple[Share, ...]
    owed: tuple[Share, ...]
    flags: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """Units that leave the account."""
        return sum(share.units for share in self.paid)


@dataclass(frozen=True)
class Leg:
    """One transaction's worth of a payment; each of its attempts carries this and nothing else.

    Attributes:
        number: counted from 1.
        contract: the token's account.
        wrap: NEAR is wrapped first.
        transfers: account and units, one for each recipient.
    """

    number: int
    contract: str
    wrap: bool
    transfers: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Payment:
    """A stored payment; its times are epoch seconds.

    Attributes:
        tx_hash: what ended it; of a paid payment each leg's transaction, with blanks between.
        rail: what its money leaves by, from its planning to its end.
    """

    id: str
    plan: Plan
    state: PaymentState
    tx_hash: str
    detail: str
    created_at: float = 0.0
    updated_at: float = 0.0
    rail: str = "near"

    @property
    def open(self) -> bool:
        """Whether its end is not known."""
        return self.state in OPEN

    @property
    def tx_hashes(self) -> tuple[str, ...]:
        """The transactions that ended it, in the order of its legs."""
        return tuple(self.tx_hash.split())


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

    def plan(
        self,
        payment_id: str,
        author: str,
        plan: Plan,
        legs: Sequence[Leg] = (),
        origin: str = "",
        rail: str = "near",
    ) -> Payment:
        """Store a new payment durably, with the legs that will be signed.

        Args:
            payment_id: new.
            author: the caller's own id.
            plan: who gets what.
            legs: what will be signed.
            origin: digest of who asked for what; empty if the caller named the payment itself.
            rail: what the money leaves by; never changed afterwards.

        Raises:
            sqlite3.IntegrityError: this id is stored already.
        """
        now = time.time()
        with self._db:
            self._db.execute(
                "INSERT INTO payments (id, repo, token, units, author, plan, state, created_at,"
                " updated_at, origin, rail) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
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
                    origin,
                    rail,
                ),
            )
            self._db.executemany(
                "INSERT INTO legs VALUES (?,?,?,?,?)",
                [
                    (payment_id, leg.number, leg.contract, leg.wrap, json.dumps(leg.transfers))
                    for leg in legs
                ],
            )
        return Payment(payment_id, plan, PaymentState.PLANNED, "", "", now, now, rail)

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
        return replace(payment, state=state, tx_hash=tx_hash, detail=detail, updated_at=now)

    def reopen(self, payment: Payment) -> Payment:
        """Plan once more what has ended with nothing moved."""
        return self.end(payment, PaymentState.PLANNED, "", "")

    def get(self, payment_id: str) -> Payment | None:
        """One payment."""
        found = self._payments("id=?", payment_id)
        return found[0] if found else None

    def open(self) -> list[Payment]:
        """The payments whose end is not known."""
        return self._payments("state IN ('planned','unknown') ORDER BY created_at")

    def states(self) -> dict[str, int]:
        """How many payments are in each state; states without any are left out."""
        return dict(self._db.execute("SELECT state, COUNT(*) FROM payments GROUP BY state"))

    def open_from(self, origin: str) -> Payment | None:
        """The open payment that was asked for in these words by this caller, if there is one."""
        found = self._payments(
            "origin=? AND state IN ('planned','unknown') ORDER BY created_at", origin
        )
        return found[0] if origin and found else None

    def legs(self, payment_id: str) -> list[Leg]:
        """What a payment signs; none for one that an older build planned and did not sign."""
        rows = self._db.execute(
            "SELECT number, contract, wrap, transfers FROM legs WHERE payment_id=? ORDER BY number",
            (payment_id,),
        )
        return [
            Leg(number, contract, bool(wrap), tuple((to, n) for to, n in json.loads(transfers)))
            for number, contract, wrap, transfers in rows
        ]

    def claims_for_repo(self, repo: str) -> list[Claim]:
        """What waits for the contributors of a repository."""
        return self._claims("repo=? COLLATE NOCASE", repo)

    def claims_for_login(self, login: str) -> list[Claim]:
        """What waits for one person."""
        return self._claims("login=?", login)

    def _payments(self, where: str, *values: str) -> list[Payment]:
        rows = self._db.execute(
            "SELECT id, plan, state, tx_hash, detail, created_at, updated_at, rail FROM payments"  # noqa: S608 - constants
            f" WHERE {where}",
            values,
        )
        return [
            Payment(row[0], plan_of(json.loads(row[1])), PaymentState(row[2]), *row[3:])
            for row in rows
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


def plan_of(found: dict[str, Any]) -> Plan:
    """The plan of which `asdict` made this."""
    for name in ("paid", "owed"):
        found[name] = tuple(Share(**share) for share in found[name])
    found["flags"], found["notes"] = tuple(found["flags"]), tuple(found.get("notes", ()))
    return Plan(**found)
