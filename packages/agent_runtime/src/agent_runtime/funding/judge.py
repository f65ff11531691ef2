"""What HOT's claims and NEAR's answers make of a funding. Pure (rails §3, contract §11.3).

Rules
- ARRIVED: a deposit of this funding that HOT calls a success names a transaction that is final,
  every receipt of it succeeded, it is not older than the funding, no other funding has it, and by
  the token's own events it left our account with at least what was asked, and what HOT says.
- REVIEW: HOT calls it a success, and NEAR or another funding says otherwise.
- UNKNOWN: HOT calls it a success, and NEAR has not told yet; or HOT uses a word we do not know.
- OPEN: somebody is paying, or nobody is. CLOSED: all that were paying failed, or were paid back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import base58

from agent_runtime import amounts
from agent_runtime.funding.model import Funding, FundingState
from agent_runtime.near.evidence import Evidence
from agent_runtime.rails.hot import Deposit, Unforeseen, Word

SKEW_SECONDS = 120.0
NOWHERE_SECONDS = 600.0
HASH_CHARS_MAX = 44
"""Of 32 bytes in base58."""


@dataclass(frozen=True)
class Final:
    """A transaction is final.

    Attributes:
        evidence: what it did.
        ok: every receipt succeeded.
        block_at: when its block was made, epoch seconds.
    """

    evidence: Evidence
    ok: bool
    block_at: float


@dataclass(frozen=True)
class NotYet:
    """Nothing may be concluded of it; the reason in words."""

    reason: str


@dataclass(frozen=True)
class Nowhere:
    """Every provider was asked, and none of them knows it."""


Sight: TypeAlias = Final | NotYet | Nowhere


@dataclass(frozen=True)
class Verdict:
    """Where a funding stands, why, and on what evidence if it arrived."""

    state: FundingState
    detail: str
    evidence: Evidence | None = None


@dataclass(frozen=True)
class _Proven:
    """The tokens are there."""

    evidence: Evidence


@dataclass(frozen=True)
class _Doubt:
    """They are not proved to be; `wrong` if what was claimed is not so."""

    text: str
    wrong: bool


def is_hash(text: str) -> bool:
    """Whether a text may be the hash of a NEAR transaction; an `item_id` never is."""
    if len(text) > HASH_CHARS_MAX:
        return False
    try:
        return len(base58.b58decode(text)) == 32
    except ValueError:
        return False


def claimed(funding: Funding, deposits: Sequence[Deposit]) -> list[Deposit]:
    """The deposits of this funding that HOT calls a success."""
    return [one for one in deposits if one.status is Word.SUCCESS and _is_of(funding, one)]


def judge(
    funding: Funding,
    deposits: Sequence[Deposit],
    seen: Mapping[str, Sight],
    holders: Mapping[str, str],
    now: float,
) -> Verdict:
    """Judge a funding that has an item.

    Args:
        funding: as it is stored.
        deposits: what HOT claims under its memo.
        seen: what NEAR said, by hash.
        holders: the funding that a hash belongs to already, by hash.
        now: epoch seconds.
    """
    waited = now - funding.told_at if funding.told_at else 0.0
    found = [_weigh(funding, one, seen, holders, waited) for one in claimed(funding, deposits)]
    for one in found:
        if isinstance(one, _Proven):
            return Verdict(FundingState.ARRIVED, "", one.evidence)
    doubts = [one for one in found if isinstance(one, _Doubt)]
    for wrong, state in ((True, FundingState.REVIEW), (False, FundingState.UNKNOWN)):
        texts = [doubt.text for doubt in doubts if doubt.wrong is wrong]
        if texts:
            return Verdict(state, f"HOT says SUCCESS, but {'; '.join(texts)}")
    return _without_success([one for one in deposits if _is_of(funding, one)])


def credited(funding: Funding, evidence: Evidence) -> int:
    """By how many units a transaction left our account with more of the token; may be negative."""
    wish = funding.wish
    moved = [one for one in evidence.moved if one.contract == wish.contract]
    came = sum(one.units for one in moved if one.receiver == wish.account)
    return came - sum(one.units for one in moved if one.sender == wish.account)


def _is_of(funding: Funding, deposit: Deposit) -> bool:
    return (deposit.memo, deposit.item_id) == (funding.id, funding.item_id)


def _without_success(deposits: Sequence[Deposit]) -> Verdict:
    words = sorted({one.status for one in deposits if isinstance(one.status, Word)})
    odd = [one.status.word for one in deposits if isinstance(one.status, Unforeseen)]
    if odd:
        return Verdict(FundingState.UNKNOWN, f"HOT says {odd[0]!r}, which is no word we know")
    if not words:
        return Verdict(FundingState.OPEN, "nobody has paid yet")
    said = f"HOT says {', '.join(words)}"
    if {*words} <= {Word.FAILED, Word.REFUNDED}:
        return Verdict(FundingState.CLOSED, said)
    return Verdict(FundingState.OPEN, said)


def _weigh(
    funding: Funding,
    deposit: Deposit,
    seen: Mapping[str, Sight],
    holders: Mapping[str, str],
    waited: float,
) -> _Proven | _Doubt:
    """What one claimed success is worth."""
    named = deposit.near_trx
    if not named:
        return _Doubt("names no transaction", wrong=False)
    if not is_hash(named):
        return _Doubt(f"names {named[:70]!r}, which is no transaction's hash", wrong=True)
    if holders.get(named, funding.id) != funding.id:
        return _Doubt(f"{named} is what {holders[named]} arrived by", wrong=True)
    match seen.get(named):
        case None:
            return _Doubt(f"{named} was not looked up yet", wrong=False)
        case NotYet(reason):
            return _Doubt(f"of {named}: {reason}", wrong=False)
        case Nowhere():
            return _Doubt(f"no provider knows {named}", wrong=waited >= NOWHERE_SECONDS)
        case Final() as sight:
            fault = _fault(funding, deposit, sight)
            return _Doubt(f"{named} {fault}", wrong=True) if fault else _Proven(sight.evidence)


def _fault(funding: Funding, deposit: Deposit, sight: Final) -> str:
    """Why a final transaction is not this funding's; empty if it is."""
    wish, got = funding.wish, credited(funding, sight.evidence)
    told = deposit.units if deposit.asset == wish.asset else 0
    most = max(wish.units, told)
    if not sight.ok:
        return "failed on chain"
    if sight.block_at < funding.created_at - SKEW_SECONDS:
        return "is older than this funding"
    if got < most:
        gave, of = (amounts.to_text(units, wish.decimals) for units in (max(got, 0), most))
        return f"gave {wish.account} {gave} of {of} {wish.token}"
    return ""
