"""The payment window against the naive one that remembers every payment."""

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from cutover.decision.fact import Entry
from cutover.decision.fold import apply
from cutover.decision.rollback import State, judge_conditions
from cutover.decision.run import Phase, Run
from cutover.evidence.observation import GatewayReport
from cutover.evidence.outcome import SETTLED_FAILED, Count, Outcome
from cutover.runbook.intent import Intent
from cutover.runbook.load import load_text
from cutover.simulator.conformance.runbooks import runbook_text

RUNBOOK = load_text(runbook_text(Path(__file__).parents[2] / "runbooks", "phased", {}), "phased")
WINDOW_MS = 30 * 60_000
SLICE_MS = WINDOW_MS // 360
"""What is told within one such slice leaves the window together, when its newest is too old."""

OUTCOMES = st.sampled_from(Outcome)
PAUSES = st.one_of(st.integers(0, 8_000), st.integers(0, 12 * 60_000))
TOLD = st.tuples(PAUSES, OUTCOMES, st.integers(1, 60))
"""How long after the last one, how it ended, how many."""


def report(counts):
    cells = tuple(Count(1, Intent.PAY, "phala", outcome, n) for outcome, n in counts.items())
    return GatewayReport("g1", "b1", 1, 1, 0, "", 0, 0, cells, (), True)


def ratio(told, now, width):
    """Settled and failed of the payments that are younger than a width."""
    inside = [(o, n) for at, o, n in told if now - at < width]
    failed = sum(n for o, n in inside if o in SETTLED_FAILED)
    return failed + sum(n for o, n in inside if o is Outcome.OK), failed


@settings(max_examples=150, deadline=None)
@given(st.lists(TOLD, min_size=1, max_size=25))
def test_the_window_holds_what_the_naive_one_does(steps):
    """Never less than the last 30 minutes, never more than a slice beyond, and judged alike.

    Asked at every moment at which a payment leaves one of the two, and around it.
    """
    run, counts, told, now = Run(id="r", phase=Phase.RUNNING, stage=3), {}, [], 0
    for pause, outcome, n in steps:
        now += pause
        counts[outcome] = counts.get(outcome, 0) + n
        told.append((now, outcome, n))
        run = apply(RUNBOOK, run, Entry(run.seq + 1, now, 0, report(counts)))
    edges = {at + WINDOW_MS + d for at, _, _ in told for d in (-1, 0, SLICE_MS, SLICE_MS + 1)}
    for moment in {now, *(edge for edge in edges if edge >= now)}:
        compared(run, told, moment)


def compared(run, told, now):
    kept = [p for p in run.payments if now - p.at < WINDOW_MS]
    least, most = ratio(told, now, WINDOW_MS), ratio(told, now, WINDOW_MS + SLICE_MS)
    seen = (sum(p.settled for p in kept), sum(p.failed for p in kept))
    assert least[0] <= seen[0] <= most[0]
    assert least[1] <= seen[1] <= most[1]
    found = next(f for f in judge_conditions(RUNBOOK, run, now) if f.rule == "payments-failed")
    assert (found.state is State.TRIPPED) is (seen[0] > 0 and 50 * seen[1] > seen[0])
    if least == most:
        assert (found.state is State.TRIPPED) is (least[0] > 0 and 50 * least[1] > least[0])
