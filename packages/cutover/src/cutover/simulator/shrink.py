"""The smallest schedule that still fails: fewer faults first, then shorter and simpler ones."""

from collections.abc import Callable, Iterator
from typing import Final

from msgspec.structs import replace

from cutover.simulator.faults import Schedule

TRIES_MAX: Final = 120
SHORTEST_MS: Final = 50


def smallest(schedule: Schedule, still: Callable[[Schedule], bool]) -> Schedule:
    """Take away what is not needed.

    Args:
        schedule: that fails.
        still: whether another one fails in the same way.
    """
    tries, least = 0, schedule
    while tries < TRIES_MAX:
        for smaller in _smaller(least):
            tries += 1
            if still(smaller):
                least = smaller
                break
            if tries >= TRIES_MAX:
                return least
        else:
            return least
    return least


def _smaller(schedule: Schedule) -> Iterator[Schedule]:
    """One step simpler, the largest steps first."""
    for gone in range(len(schedule)):
        yield (*schedule[:gone], *schedule[gone + 1 :])
    for number, fault in enumerate(schedule):
        if fault.lasts_ms // 2 >= SHORTEST_MS:
            shorter = replace(fault, lasts_ms=fault.lasts_ms // 2)
            yield (*schedule[:number], shorter, *schedule[number + 1 :])
