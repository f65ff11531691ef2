"""What an order has come to, by the rail's word and by what NEAR shows. Pure (rails §0, §2.4).

Rules
- PAID: the rail says SUCCESS, names one transaction, and NEAR shows that one final: signed by the
  rail's account, in a block after the order was stored, every receipt in effect, its transfers the
  plan to the unit and nothing beside, and nobody else's.
- REVIEW: the rail says that it has ended, and NEAR does not bear that out. So it is for FAILED,
  always: that an order of somebody else was *not* carried out, no transaction can prove.
- UNKNOWN: all else. It is looked up again, and never sent to another rail.
"""

from collections import Counter
from dataclasses import dataclass
from typing import TypeAlias

from agent_runtime.near.evidence import Evidence
from agent_runtime.payments import PaymentState
from agent_runtime.rails.ping_answers import Accepted, Word


@dataclass(frozen=True)
class Ordered:
    """What was ordered.

    Attributes:
        payer: the account that signs, and whose tokens move.
        contract: the token's account.
        transfers: account and units, one for each recipient.
        since_ns: chain time when it was stored.
    """

    payer: str
    contract: str
    transfers: tuple[tuple[str, int], ...]
    since_ns: int


@dataclass(frozen=True)
class Unseen:
    """No provider calls it final, or they do not agree."""

    reason: str


@dataclass(frozen=True)
class Final:
    """A final transaction.

    Attributes:
        evidence: what was told of it.
        landed: every receipt took effect.
        at_ns: time of the block that holds it.
    """

    evidence: Evidence
    landed: bool
    at_ns: int


Sight: TypeAlias = Unseen | Final


@dataclass(frozen=True)
class Verdict:
    """UNKNOWN, PAID or REVIEW, and why in words; PAID has the hash that pays."""

    state: PaymentState
    detail: str
    tx_hash: str = ""


def named_by(told: Accepted) -> str:
    """The transaction that an answer names; empty unless it is exactly one."""
    return told.hashes[0] if len(told.hashes) == 1 and not told.odd else ""


def judge(ordered: Ordered, told: Accepted, sight: Sight, holder: str) -> Verdict:
    """Judge an order.

    Args:
        ordered: what was to be paid.
        told: the rail's newest answer.
        sight: what NEAR shows of the transaction that it names; `Unseen` if it names none.
        holder: whose that transaction is already, in words; empty for nobody's.
    """
    match told.word:
        case Word.FAILED:
            return _review("pingpay says that it failed, and nothing can prove that nothing moved")
        case Word.SUCCESS if not named_by(told):
            return _unknown(f"pingpay says SUCCESS and {_named_instead(told)}")
        case Word.SUCCESS if holder:
            return _review(f"pingpay says SUCCESS by {named_by(told)}, but {holder}")
        case Word.SUCCESS:
            return _shown(ordered, named_by(told), sight)
        case Word.PENDING | Word.OTHER:
            return _unknown(f"pingpay has it as {told.remote_id}, standing {told.word}")


def _shown(ordered: Ordered, tx_hash: str, sight: Sight) -> Verdict:
    if isinstance(sight, Unseen):
        said = f"pingpay says SUCCESS by {tx_hash}, which NEAR does not show"
        return _unknown(f"{said}: {sight.reason}")
    fault = _fault(ordered, tx_hash, sight)
    if fault:
        return _review(f"pingpay says SUCCESS by {tx_hash}, but {fault}")
    return Verdict(PaymentState.PAID, "", tx_hash)


def _fault(ordered: Ordered, tx_hash: str, sight: Final) -> str:
    """Why a final transaction is not what was ordered; empty if it is."""
    report = sight.evidence.report
    if report.tx_hash != tx_hash:
        return "NEAR told of another one"
    if report.signer != ordered.payer:
        return f"{report.signer} signed it, not {ordered.payer}"
    if sight.at_ns <= ordered.since_ns:
        return "it is older than the order"
    if not sight.landed:
        return "a part of it failed on chain"
    if not ordered.transfers or moved_by(sight.evidence) != planned(ordered):
        return "what it moved is not what was ordered"
    return ""


def planned(ordered: Ordered) -> "Counter[tuple[str, str, str, int]]":
    """The transfers of an order: contract, sender, receiver, units. A memo is the payer's own."""
    return Counter(
        (ordered.contract, ordered.payer, account, units) for account, units in ordered.transfers
    )


def moved_by(evidence: Evidence) -> "Counter[tuple[str, str, str, int]]":
    """All transfers of a transaction, whoever made them."""
    return Counter((one.contract, one.sender, one.receiver, one.units) for one in evidence.moved)


def _named_instead(told: Accepted) -> str:
    if told.odd:
        return f"calls {told.odd} a transaction, which is none"
    if not told.hashes:
        return "names no transaction"
    return f"names {len(told.hashes)} transactions, expected one"


def _unknown(detail: str) -> Verdict:
    return Verdict(PaymentState.UNKNOWN, detail)


def _review(detail: str) -> Verdict:
    return Verdict(PaymentState.REVIEW, detail)
