"""What a payment's transactions and their evidence make of it. Pure (rails §2.4).

Rules
- PAID: one attempt landed, and what left our account is the plan to the unit.
- FAILED: every attempt has ended, and none of them moved anything.
- REVIEW: something moved that is not the plan, or a success that shows no transfer.
- UNKNOWN: an attempt is open, or its evidence is missing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent_runtime.near.evidence import Evidence, Expected, Match, compare
from agent_runtime.near.ledger import OPEN, Attempt, State
from agent_runtime.payments import Leg, PaymentState

NEVER_LANDED = (State.REFUSED, State.DEAD)


@dataclass(frozen=True)
class Settled:
    """Where a payment stands, by which transaction, and why in words."""

    state: PaymentState
    tx_hash: str
    detail: str


def settle(
    payment_id: str,
    legs: Sequence[Leg],
    attempts: Sequence[Attempt],
    evidence: Mapping[str, Evidence],
) -> Settled:
    """Judge a payment.

    Args:
        payment_id: the memo of its transfers.
        legs: what was to be signed; one.
        attempts: its transactions, oldest first.
        evidence: by hash, of those that ended on chain.
    """
    if not attempts:
        return Settled(PaymentState.FAILED, "", "stopped before anything was signed")
    last = attempts[-1]
    for attempt in attempts:
        if attempt.state in OPEN:
            return Settled(PaymentState.UNKNOWN, attempt.tx_hash, attempt.detail)
    ended = [one for one in attempts if one.state not in NEVER_LANDED]
    seen = {one.tx_hash: evidence.get(one.tx_hash) for one in ended}
    legs_by_number = {leg.number: leg for leg in legs}
    moved = []
    for one in ended:
        found, leg = seen[one.tx_hash], legs_by_number.get(one.leg)
        if found is None or leg is None:
            detail = f"no evidence of transaction {one.tx_hash} is stored"
            return Settled(PaymentState.UNKNOWN, one.tx_hash, detail)
        match = compare(
            Expected(leg.contract, found.report.signer, payment_id, leg.transfers), found
        )
        if match is not Match.NONE or one.state is State.LANDED:
            moved.append((one, match))
    if not moved:
        return Settled(PaymentState.FAILED, last.tx_hash, last.detail)
    return _moved(moved)


def _moved(moved: Sequence[tuple[Attempt, Match]]) -> Settled:
    """Something moved: PAID if it is the plan, once and without a failure beside it."""
    attempt, match = moved[-1]
    if len(moved) > 1:
        hashes = ", ".join(one.tx_hash for one, _ in moved)
        return _review(attempt, f"more than one transaction moved money: {hashes}")
    if match is not Match.ALL:
        return _review(attempt, "what moved on chain is not what was planned")
    if attempt.state is not State.LANDED:
        return _review(attempt, f"every transfer is there, and a receipt failed: {attempt.detail}")
    return Settled(PaymentState.PAID, attempt.tx_hash, "")


def _review(attempt: Attempt, detail: str) -> Settled:
    return Settled(PaymentState.REVIEW, attempt.tx_hash, detail)
