"""Draws a comparison: what was decided and what would have been, side by side."""

from itertools import groupby

from cutover.cli.output import grid, say
from cutover.decision.whatif.result import Exposure, Moved, Pair, Standing, WhatIf
from cutover.decision.words import span


def draw(result: WhatIf) -> None:
    """Print all of it, the answer first."""
    _parting(result)
    grid(
        "moves",
        ["observed", "entry", "as recorded", "under the other rules"],
        _side_by_side(result),
    )
    grid(
        "steps forward",
        ["step", "recorded", "other", "later by"],
        [_step(pair) for pair in result.promotions],
    )
    if back := _back(result):
        grid("steps back", ["", "rule", "observed", "entry", "why"], back)
    grid(
        "on the candidate: as recorded, what other rules leave of it, what they add",
        [
            "risk", "share-h", "other", "saved", "requests", "other", "+assumed",
            "failed", "other", "+assumed", "+at worst",
        ],
        [_exposed(one) for one in result.exposure],
    )  # fmt: skip
    paid = result.payments
    say(
        f"payments on the candidate: {paid.recorded} recorded, {paid.alternative} of them under "
        f"the other rules, {paid.assumed} assumed besides ({paid.unknown} of unknown end)"
    )
    say(f"as recorded: {_end(result.recorded_end)}")
    say(f"other rules: {_end(result.alternative_end)}")
    if result.limits:
        grid(
            "what this rests on",
            ["limit", "what is taken for true, or not known"],
            [[one.code, one.text] for one in result.limits],
        )


def _parting(result: WhatIf) -> None:
    seen = f"{result.entries} entries, {span(result.observed_ms)} observed"
    at = result.parting
    if at is None:
        say(f"same: over {seen} the other rules move as the record does")
        return
    say(f"the paths part at entry {at.seq}, {span(at.at_ms)} (of {seen})")
    say(f"  recorded  {at.recorded}")
    say(f"  other     {at.alternative}")


def _side_by_side(result: WhatIf) -> list[list[str]]:
    """One row a moment; what both do at the same moment stands in one row."""
    both = [(m.at_ms, 0, m) for m in result.recorded] + [
        (m.at_ms, 1, m) for m in result.alternative
    ]
    rows = []
    for at_ms, moves in groupby(sorted(both, key=lambda one: one[0]), key=lambda one: one[0]):
        sides: tuple[list[Moved], list[Moved]] = ([], [])
        for _, side, move in moves:
            sides[side].append(move)
        seqs = sorted({m.seq for side in sides for m in side})
        words = ["; ".join(str(m) for m in side) or "." for side in sides]
        rows.append([span(at_ms), ", ".join(map(str, seqs)), *words])
    return rows


def _step(pair: Pair) -> list[str]:
    times = [span(m.at_ms) if m else "not by then" for m in (pair.recorded, pair.alternative)]
    return [f"{pair.kind} {pair.what}".strip(), *times, _later(pair.later_ms)]


def _later(ms: int | None) -> str:
    if ms is None:
        return ""
    return f"{span(-ms)} earlier" if ms < 0 else span(ms)


def _back(result: WhatIf) -> list[list[str]]:
    found = result.rollbacks
    rows = [["added", *_rollback(m)] for m in found.added]
    rows += [["avoided", *_rollback(m)] for m in found.avoided]
    for pair in found.kept:
        if pair.recorded is not None:
            rows.append(["kept", *_rollback(pair.recorded)])
            rows[-1][-1] += (
                f" (other rules: {_later(pair.later_ms)} later)" if pair.later_ms else ""
            )
    return rows


def _rollback(move: Moved) -> list[str]:
    return [f"{move.kind} {move.what}", span(move.at_ms), str(move.seq), move.why]


def _exposed(one: Exposure) -> list[str]:
    return [
        str(one.risk),
        f"{one.recorded_share_hours:.4g}",
        f"{one.alternative_share_hours:.4g}",
        f"{one.saved_share_hours:+.4g}",
        str(one.recorded_requests),
        str(one.alternative_requests),
        str(one.assumed_requests),
        str(one.recorded_failed),
        str(one.alternative_failed),
        str(one.assumed_failed),
        str(one.worst_failed),
    ]


def _end(stands: Standing) -> str:
    if stands.completed_at_ms is not None:
        return f"complete after {span(stands.completed_at_ms)}"
    where = f"{stands.phase}, {stands.stage}" if stands.stage else stands.phase
    waits = f"; waits: {'; '.join(stands.waits)}" if stands.waits else ""
    return f"not complete: {where}{waits}"
