"""When time alone speaks: the first moment between two entries at which a move is due.

A conductor looks at least every `TICK_MS`, also while nothing comes in. Between two entries the
same grid is looked at, from the earlier one on: in strides, and where a move is due at the end of
a stride, the first instant at which it is found by halving.
"""

from typing import Final

from cutover.decision.kinds import Hold
from cutover.decision.whatif.lane import Lane

TICK_MS: Final = 250
"""The slowest pace at which a conductor gives time a say."""

STRIDE_TICKS: Final = 20
"""What becomes due and undue again within one stride of a silence is not seen."""


def first_due(lane: Lane, start_ms: int, end_ms: int) -> int | None:
    """The first instant strictly between two moments at which a move is due; None when none is.

    Args:
        lane: at rest at `start_ms`.
        start_ms: of the earlier entry.
        end_ms: of the later one, at which decisions are made anyhow.
    """
    last = (end_ms - 1 - start_ms) // TICK_MS
    rest = 0
    while rest < last:
        upto = min(rest + STRIDE_TICKS, last)
        if _moves(lane, start_ms + upto * TICK_MS):
            return start_ms + _halve(lane, start_ms, rest, upto) * TICK_MS
        rest = upto
    return None


def _halve(lane: Lane, start_ms: int, rest: int, due: int) -> int:
    while due - rest > 1:
        middle = (rest + due) // 2
        if _moves(lane, start_ms + middle * TICK_MS):
            due = middle
        else:
            rest = middle
    return due


def _moves(lane: Lane, at_ms: int) -> bool:
    return not isinstance(lane.due(at_ms), Hold)
