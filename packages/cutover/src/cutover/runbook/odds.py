"""How likely a healthy candidate is rolled back by flaky canary runs alone.

A canary that fails for its own reasons with probability `flake`, independently each run, trips the
rule once `runs` failures stand in a row. Over a nine-day run that adds up, and an operator should
know by how much before starting. Computed exactly, by the number of trailing failures.
"""

from typing import Final

from cutover.runbook.document import Runbook
from cutover.runbook.rollback import CanaryFailed

FLAKES: Final = (0.001, 0.01, 0.05)
"""The flake rates that `lint` prints: a well-kept canary, an ordinary one, a bad one."""

_WHOLE: Final = 1.0


def odds_table(runbook: Runbook) -> tuple[tuple[float, float], ...]:
    """Pairs of flake rate and odds, for the rates of `FLAKES`."""
    return tuple((flake, spurious_rollback_odds(runbook, flake)) for flake in FLAKES)


def spurious_rollback_odds(runbook: Runbook, flake: float) -> float:
    """Probability, 0 to 1, that flakes alone roll a healthy run back in its armed stages.

    Where several canary rules are declared the strictest (fewest runs) decides, since the others
    cannot fire before it.
    """
    runs = min(c.runs for c in runbook.conditions if isinstance(c, CanaryFailed))
    return odds_of_streak(armed_canary_runs(runbook), runs, flake)


def armed_canary_runs(runbook: Runbook) -> int:
    """Scheduled canary runs in the shortest time that the armed stages can take."""
    every = runbook.timing.canary_every_ms
    shortest = sum(
        max(stage.soak.observed_ms, stage.soak.canary_runs * every)
        for stage in runbook.stages
        if stage.armed
    )
    return shortest // every


def odds_of_streak(total: int, streak: int, chance: float) -> float:
    """Probability of `streak` or more hits in a row somewhere in `total` independent tries.

    Raises:
        ValueError: for a streak below 1, a negative total or a chance outside 0 to 1.
    """
    if streak < 1 or total < 0 or not 0 <= chance <= _WHOLE:
        raise ValueError(
            f"saw total={total} streak={streak} chance={chance}; expected total ≥ 0, "
            "streak ≥ 1 and a chance from 0 to 1"
        )
    trailing = [_WHOLE] + [0.0] * (streak - 1)  # trailing[k]: k hits stand in a row, none tripped
    tripped = 0.0
    for _ in range(total):
        tripped += trailing[-1] * chance
        missed = sum(trailing) * (1 - chance)
        trailing = [missed, *(part * chance for part in trailing[:-1])]
    return min(_WHOLE, tripped)
