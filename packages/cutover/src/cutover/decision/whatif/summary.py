"""Makes the result out of two finished paths."""

from collections.abc import Iterable
from itertools import zip_longest
from typing import Final

from cutover.decision.whatif.lane import Lane
from cutover.decision.whatif.result import (
    Exposure,
    Limit,
    Moved,
    Pair,
    Parting,
    Payments,
    Rollbacks,
    WhatIf,
)
from cutover.decision.whatif.tally import Rates, Tally
from cutover.runbook.intent import RISK_OF, Intent, Risk
from cutover.runbook.stage import ALL_BP

FORWARD: Final = frozenset({"OpenStage", "UnlockIntent", "BeginChecks", "Complete"})
BACK: Final = frozenset({"RollBack", "AbortRun", "Repin"})
_HOUR_MS: Final = 3_600_000

Lanes = tuple[Lane, Lane]
Tallies = tuple[Tally, Tally]


def summary(
    entries: int,
    end_ms: int,
    parting: Parting | None,
    lanes: Lanes,
    tallies: Tallies,
    rates: Rates,
    limits: tuple[Limit, ...],
) -> WhatIf:
    """The comparison as one value; of each pair the record comes first."""
    record, other = lanes
    forward = _pairs(record.moves, other.moves, FORWARD)
    back = _pairs(record.moves, other.moves, BACK)
    return WhatIf(
        run=record.run.id,
        entries=entries,
        observed_ms=end_ms,
        verdict="parts" if parting else "same",
        parting=parting,
        recorded=tuple(record.moves),
        alternative=tuple(other.moves),
        promotions=forward,
        rollbacks=Rollbacks(
            added=tuple(p.alternative for p in back if p.alternative and not p.recorded),
            avoided=tuple(p.recorded for p in back if p.recorded and not p.alternative),
            kept=tuple(p for p in back if p.recorded and p.alternative),
        ),
        exposure=tuple(_exposure(risk, lanes, tallies, rates) for risk in Risk),
        payments=_payments(tallies),
        recorded_end=record.standing(end_ms),
        alternative_end=other.standing(end_ms),
        limits=limits,
    )


def _pairs(
    recorded: Iterable[Moved], alternative: Iterable[Moved], kinds: frozenset[str]
) -> tuple[Pair, ...]:
    """The first of a kind with the first, the second with the second, in the order of time."""
    found: dict[tuple[str, str], tuple[list[Moved], list[Moved]]] = {}
    for side, moves in enumerate((recorded, alternative)):
        for move in moves:
            if move.kind in kinds:
                found.setdefault(move.key, ([], []))[side].append(move)
    pairs = [
        _pair(key, one, another)
        for key, sides in found.items()
        for one, another in zip_longest(*sides)
    ]
    return tuple(sorted(pairs, key=_begins))


def _pair(key: tuple[str, str], recorded: Moved | None, alternative: Moved | None) -> Pair:
    both = recorded is not None and alternative is not None
    later = alternative.at_ms - recorded.at_ms if both and recorded and alternative else None
    return Pair(*key, recorded, alternative, later)


def _begins(pair: Pair) -> int:
    return min(m.at_ms for m in (pair.recorded, pair.alternative) if m is not None)


def _exposure(risk: Risk, lanes: Lanes, tallies: Tallies, rates: Rates) -> Exposure:
    intents = [intent for intent in Intent if RISK_OF[intent] is risk]
    record, other = tallies
    hours = [lane.area[risk] / (ALL_BP * _HOUR_MS) for lane in lanes]
    return Exposure(
        risk=risk,
        recorded_share_hours=hours[0],
        alternative_share_hours=hours[1],
        recorded_requests=sum(record.counted[i] for i in intents),
        alternative_requests=sum(other.counted[i] for i in intents),
        assumed_requests=sum(other.assumed[i] for i in intents),
        unknown_requests=sum(other.unknown[i] for i in intents),
        recorded_failed=sum(record.failed[i] for i in intents),
        alternative_failed=sum(other.failed[i] for i in intents),
        assumed_failed=sum(other.assumed_failed[i] for i in intents),
        worst_failed=sum(_worst(i, other, rates) for i in intents),
    )


def _worst(intent: Intent, tally: Tally, rates: Rates) -> int:
    """How many of the assumed requests fail at the worst rate seen, rounded up.

    Of those of which nothing was seen every one may.
    """
    known, unknown = tally.assumed[intent] - tally.unknown[intent], tally.unknown[intent]
    failed, total = rates.worst(intent)
    return unknown + (-(-known * failed // total) if total else 0)


def _payments(tallies: Tallies) -> Payments:
    record, other = tallies
    pay = Intent.PAY
    return Payments(record.counted[pay], other.counted[pay], other.assumed[pay], other.unknown[pay])
