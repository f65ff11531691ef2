"""What a payment's legs, transactions and their evidence make of it. Pure (rails §2.4).

Rules for a leg
- PAID: one attempt landed, and what left our account is the leg to the unit.
- REVIEW: something moved that is not the leg, or a success that shows no transfer.
- OPEN: an attempt is open, or its evidence is missing.
- IDLE: nothing was signed for it, or all that was has ended and moved nothing. Only an idle leg may
  be signed (anew), and no leg is signed while another is open.

Rules for a payment
- REVIEW if a leg is; else UNKNOWN if a leg is open.
- PAID if every leg is, FAILED if every leg is idle.
- Some paid and the others idle is half made: UNKNOWN, and to be gone on with, until an idle leg has
  used up its attempts; then it is REVIEW.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from agent_runtime.near.evidence import Evidence, Expected, Match, compare
from agent_runtime.near.ledger import OPEN, Attempt, State
from agent_runtime.payments import Leg, PaymentState

NEVER_LANDED = (State.REFUSED, State.DEAD)
ATTEMPTS_MAX = 3
"""How often one leg is signed at the most."""


class LegState(StrEnum):
    """Where a leg stands; the rules are at the top."""

    IDLE = "idle"
    OPEN = "open"
    PAID = "paid"
    REVIEW = "review"


@dataclass(frozen=True)
class Standing:
    """Where a leg stands.

    Attributes:
        number: of the leg.
        leg: None if it is not stored, as with what an older build signed.
        state: by the rules at the top.
        made: how often it was signed.
        tx_hash: the transaction that says so; empty if nothing was signed.
        detail: why, in words.
    """

    number: int
    leg: Leg | None
    state: LegState
    made: int
    tx_hash: str
    detail: str


@dataclass(frozen=True)
class Settled:
    """Where a payment stands, and why in words.

    Attributes:
        tx_hash: the transaction that says so; of a paid payment each leg's, with blanks between.
        legs: each by itself, in the order in which they are signed.
        due: the leg that may be signed next; None if none may.
        half_made: some legs are paid, and the others moved nothing.
    """

    state: PaymentState
    tx_hash: str
    detail: str
    legs: tuple[Standing, ...] = ()
    due: Leg | None = None
    half_made: bool = False

    @property
    def idle(self) -> list[Leg]:
        """The legs that moved nothing."""
        return [one.leg for one in self.legs if one.state is LegState.IDLE and one.leg]


def settle(
    payment_id: str,
    legs: Sequence[Leg],
    attempts: Sequence[Attempt],
    evidence: Mapping[str, Evidence],
) -> Settled:
    """Judge a payment.

    Args:
        payment_id: the memo of its transfers.
        legs: what is to be signed.
        attempts: its transactions, oldest first.
        evidence: by hash, of those that ended on chain.
    """
    stored = {leg.number: leg for leg in legs}
    found = tuple(
        _leg(payment_id, number, stored.get(number), attempts, evidence)
        for number in sorted(stored.keys() | {one.leg for one in attempts})
    )
    for leg_state, end in (
        (LegState.REVIEW, PaymentState.REVIEW),
        (LegState.OPEN, PaymentState.UNKNOWN),
    ):
        for one in found:
            if one.state is leg_state:
                return Settled(end, one.tx_hash, _about(one, found), found)
    idle = [one for one in found if one.state is LegState.IDLE]
    if found and not idle:
        return Settled(PaymentState.PAID, " ".join(one.tx_hash for one in found), "", found)
    if len(idle) < len(found):
        return _half_made(idle, found)
    if not attempts:
        detail = "stopped before anything was signed"
        return Settled(PaymentState.FAILED, "", detail, found, _next(idle))
    last = attempts[-1]
    return Settled(PaymentState.FAILED, last.tx_hash, last.detail, found, _next(idle))


def _half_made(idle: Sequence[Standing], found: tuple[Standing, ...]) -> Settled:
    used_up = next((one for one in idle if one.made >= ATTEMPTS_MAX), None)
    if used_up is not None:
        detail = f"{_paid_words(found)}; {_idle_words(idle)}"
        return Settled(PaymentState.REVIEW, used_up.tx_hash, detail, found)
    rest = ", ".join(str(one.number) for one in idle)
    detail = f"{_paid_words(found)}; still to be paid: leg {rest}"
    return Settled(PaymentState.UNKNOWN, "", detail, found, _next(idle), half_made=True)


def _next(idle: Sequence[Standing]) -> Leg | None:
    """The first idle leg, if it may be signed once more; its turn is not skipped."""
    return idle[0].leg if idle and idle[0].made < ATTEMPTS_MAX else None


def _leg(
    payment_id: str,
    number: int,
    leg: Leg | None,
    attempts: Sequence[Attempt],
    evidence: Mapping[str, Evidence],
) -> Standing:
    """Judge one leg by its own attempts."""
    ours = [one for one in attempts if one.leg == number]
    made = len(ours)
    for one in ours:
        if one.state in OPEN:
            return Standing(number, leg, LegState.OPEN, made, one.tx_hash, one.detail)
    moved = []
    for one in ours:
        if one.state in NEVER_LANDED:
            continue
        seen = evidence.get(one.tx_hash)
        if seen is None or leg is None:
            detail = f"no evidence of transaction {one.tx_hash} is stored"
            return Standing(number, leg, LegState.OPEN, made, one.tx_hash, detail)
        match = compare(Expected(leg.contract, seen.report.signer, payment_id, leg.transfers), seen)
        if match is not Match.NONE or one.state is State.LANDED:
            moved.append((one, match))
    if moved:
        state, tx_hash, detail = _moved(moved)
        return Standing(number, leg, state, made, tx_hash, detail)
    last = ours[-1] if ours else None
    tx_hash, detail = (last.tx_hash, last.detail) if last else ("", "not signed")
    return Standing(number, leg, LegState.IDLE, made, tx_hash, detail)


def _moved(moved: Sequence[tuple[Attempt, Match]]) -> tuple[LegState, str, str]:
    """Something moved: PAID if it is the leg, once and without a failure beside it."""
    attempt, match = moved[-1]
    if len(moved) > 1:
        hashes = ", ".join(one.tx_hash for one, _ in moved)
        odd = f"more than one transaction moved money: {hashes}"
    elif match is not Match.ALL:
        odd = "what moved on chain is not what was planned"
    elif attempt.state is not State.LANDED:
        odd = f"every transfer is there, and a receipt failed: {attempt.detail}"
    else:
        return LegState.PAID, attempt.tx_hash, ""
    return LegState.REVIEW, attempt.tx_hash, odd


def _about(one: Standing, found: Sequence[Standing]) -> str:
    """The words of a leg; with its number, and the legs that are paid, if there are several."""
    if len(found) < 2:
        return one.detail
    paid = _paid_words(found)
    return f"leg {one.number} of {len(found)}: {one.detail}" + (f"; {paid}" if paid else "")


def _paid_words(found: Sequence[Standing]) -> str:
    paid = [one for one in found if one.state is LegState.PAID]
    told = ", ".join(f"leg {one.number} ({one.tx_hash})" for one in paid)
    return f"paid: {told}" if told else ""


def _idle_words(idle: Sequence[Standing]) -> str:
    told = (
        f"leg {one.number} (signed {one.made} times, nothing moved: {one.detail})"
        if one.made
        else f"leg {one.number} (not signed)"
        for one in idle
    )
    return f"not paid: {', '.join(told)}"
