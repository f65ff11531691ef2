"""What is still owed: claims of paid payments, less what later payments have redeemed.

A claim is redeemed by the newest payment that is named beside it, while that payment is paid or may
be. If it ends without having moved anything, the claim is open again by itself; and should another
payment be named then, the first one must not be made after all.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent_runtime.errors import Refusal
from agent_runtime.payments import Claim, PaymentLedger, PaymentState

SCHEMA = """
CREATE TABLE IF NOT EXISTS redemptions (
  number INTEGER PRIMARY KEY, claim_id TEXT NOT NULL, payment_id TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS redemptions_claim ON redemptions (claim_id);
CREATE INDEX IF NOT EXISTS redemptions_payment ON redemptions (payment_id);
"""


@dataclass(frozen=True)
class Origin:
    """Where a claim comes from.

    Attributes:
        repo: canonical address.
        split_id: the split that was paid.
        person: number of the GitHub account it belongs to; 0 if it was not known then.
    """

    repo: str
    split_id: str
    person: int


_NOTHING_MOVED = frozenset({PaymentState.FAILED, PaymentState.DECLINED})


class Claims:
    """Open claims, over the payments and claims tables."""

    def __init__(self, db: sqlite3.Connection, payments: PaymentLedger) -> None:
        self._db = db
        self._payments = payments
        db.executescript(SCHEMA)

    def of_repo(self, repo_url: str) -> list[Claim]:
        """What is open for the contributors of a repository."""
        return self._open(self._payments.claims_for_repo(repo_url))

    def of_login(self, login: str) -> list[Claim]:
        """What is open under a login, whoever it was when the claim arose."""
        return self._open(self._payments.claims_for_login(login))

    def origin(self, claim: Claim) -> Origin:
        """Where a claim comes from.

        Raises:
            Refusal: no payment is known that left it.
        """
        row = self._db.execute("SELECT payment_id FROM claims WHERE id=?", (claim.id,)).fetchone()
        payment = self._payments.get(row[0]) if row else None
        if payment is None:
            raise Refusal(f"claim {claim.id} belongs to no payment that is known here")
        named = (s.person for s in payment.plan.owed if s.login.lower() == claim.login.lower())
        return Origin(payment.plan.repo, payment.plan.split_id, next(named, 0))

    def redeem_by(self, payment_id: str, claim_ids: Sequence[str]) -> bool:
        """Name the payment that redeems these claims; False, and nothing named, if one is not open.

        Only what is named may be paid, so this comes before the payment is stored.
        """
        if any(map(self._taken, claim_ids)):
            return False
        with self._db:
            self._db.executemany(
                "INSERT INTO redemptions (claim_id, payment_id) VALUES (?,?)",
                [(claim_id, payment_id) for claim_id in claim_ids],
            )
        return True

    def check_still_of(self, payment_id: str) -> None:
        """See that no other payment was named for what this one redeems.

        Raises:
            Refusal: one was.
        """
        rows = self._db.execute(
            "SELECT claim_id FROM redemptions WHERE payment_id=?", (payment_id,)
        ).fetchall()
        for (claim_id,) in rows:
            if self._newest(claim_id) != payment_id:
                raise Refusal(f"claim {claim_id} was given to another payment; nothing was sent")

    def _open(self, claims: Iterable[Claim]) -> list[Claim]:
        return [claim for claim in claims if not self._taken(claim.id)]

    def _taken(self, claim_id: str) -> bool:
        payment = self._payments.get(self._newest(claim_id))
        return payment is not None and payment.state not in _NOTHING_MOVED

    def _newest(self, claim_id: str) -> str:
        row = self._db.execute(
            "SELECT payment_id FROM redemptions WHERE claim_id=? ORDER BY number DESC", (claim_id,)
        ).fetchone()
        return str(row[0]) if row else ""


def totals(claims: Iterable[Claim]) -> dict[str, int]:
    """Sums by token; amounts of different tokens are never added up. Pure."""
    sums: dict[str, int] = defaultdict(int)
    for claim in claims:
        sums[claim.token] += claim.units
    return dict(sums)
