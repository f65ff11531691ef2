"""Warnings: what a runbook may do, and an operator should know before starting it."""

from collections.abc import Iterator

from cutover.runbook.document import Runbook
from cutover.runbook.finding import Fault, Loc, Severity
from cutover.runbook.gate import AttestationGate, Evidence
from cutover.runbook.intent import Intent
from cutover.runbook.odds import armed_canary_runs, odds_table
from cutover.runbook.rollback import CanaryFailed, LowSample, PaymentsFailed
from cutover.runbook.units import format_duration

ODDS_WORTH_SAYING = 0.01
"""One spurious rollback in a hundred runs."""

ORDINARY_FLAKE = 0.01
LIKELY = 0.5


def warnings(runbook: Runbook) -> Iterator[Fault]:
    """Every warning about a runbook that has no errors."""
    yield from _weak_evidence(runbook)
    yield from _spurious_rollback(runbook)
    yield from _money_without_clean_period(runbook)
    yield from _one_payment_decides(runbook)
    yield from _soak_longer_than_it_says(runbook)
    yield from _soak_that_flakes_restart(runbook)


def _weak_evidence(runbook: Runbook) -> Iterator[Fault]:
    if runbook.rehearsal:
        expected = "false for production; the run is refused unless both planes are on loopback"
        yield _warning(("runbook", "rehearsal"), "true", expected)
    for index, gate in enumerate(runbook.gates):
        if not isinstance(gate, AttestationGate):
            continue
        if gate.evidence is Evidence.REPORTED:
            expected = (
                '"verified": what a plane says of itself is WEAK, marked so for good, and the run '
                "holds at the first step that moves pay"
            )
            yield _warning(("gate", index, "evidence"), '"reported"', expected)


def _spurious_rollback(runbook: Runbook) -> Iterator[Fault]:
    table = odds_table(runbook)
    if all(odds <= ODDS_WORTH_SAYING for _, odds in table):
        return
    shown = ", ".join(
        f"{_percent(odds)} if {_percent(flake)} of runs flake" for flake, odds in table
    )
    for index, condition in enumerate(runbook.conditions):
        if isinstance(condition, CanaryFailed):
            seen = (
                f"odds of a spurious rollback over {armed_canary_runs(runbook)} armed runs: {shown}"
            )
            expected = (
                f"{_percent(ODDS_WORTH_SAYING)} or less: measure the canary's flake rate on the "
                'fallback, and consider shared_cause = "hold"'
            )
            yield _warning(("rollback", index, "runs"), seen, expected)


def _money_without_clean_period(runbook: Runbook) -> Iterator[Fault]:
    for index, stage in enumerate(runbook.stages):
        if any(unlock.intent is Intent.PAY for unlock in stage.unlocks):
            return
        if stage.share_bp[Intent.PAY]:
            expected = "an unlock of pay after a clean period, in this stage or an earlier one"
            loc: Loc = ("stage", index, "share", "pay")
            yield _warning(loc, "money moves on entering the stage", expected)
            return


def _one_payment_decides(runbook: Runbook) -> Iterator[Fault]:
    for index, condition in enumerate(runbook.conditions):
        if not isinstance(condition, PaymentsFailed) or condition.low_sample is LowSample.REPIN:
            continue
        smallest = 100 // condition.percent  # up to here one failure alone is above the limit
        if condition.min_settled < smallest:
            expected = (
                f"a person who knows: with fewer than {smallest} settled payments in the window "
                'one failure is above the limit; low_sample = "repin" with a larger min_settled '
                "takes pay back and holds instead"
            )
            seen = f"{condition.min_settled}, so that the first failed payment rolls all back"
            yield _warning(("rollback", index, "min_settled"), seen, expected)


def _soak_longer_than_it_says(runbook: Runbook) -> Iterator[Fault]:
    every = runbook.timing.canary_every_ms
    for index, stage in enumerate(runbook.stages):
        needed = stage.soak.canary_runs * every
        if needed > stage.soak.observed_ms:
            expected = (
                f"at most {stage.soak.observed_ms // every} in {_observed(stage.soak.observed_ms)}"
            )
            seen = f"{stage.soak.canary_runs} runs, which take {format_duration(needed)}"
            yield _warning(("stage", index, "soak", "canary_runs"), seen, expected)


def _soak_that_flakes_restart(runbook: Runbook) -> Iterator[Fault]:
    for index, stage in enumerate(runbook.stages):
        passes = (1 - ORDINARY_FLAKE) ** stage.soak.canary_runs
        if passes < LIKELY:
            seen = (
                f"{stage.soak.canary_runs} runs in a row: {_percent(passes)} of soaks get through "
                f"without a restart if {_percent(ORDINARY_FLAKE)} of runs flake"
            )
            expected = "fewer, or 0 where a single failed run need not restart the soak"
            yield _warning(("stage", index, "soak", "canary_runs"), seen, expected)


def _observed(ms: int) -> str:
    return f"soak.observed = {format_duration(ms)}"


def _warning(loc: Loc, seen: str, expected: str) -> Fault:
    return Fault(loc, seen, expected, Severity.WARNING)


def _percent(part: float) -> str:
    return f"{100 * part:.2g} %" if part < ODDS_WORTH_SAYING * 99 else f"{100 * part:.0f} %"
