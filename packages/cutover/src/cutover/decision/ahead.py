"""The pace of deciding, shared by live conductor, simulator, recovery and replay."""

from cutover.decision.kinds import Decision, Hold
from cutover.decision.run import Run
from cutover.decision.step import decide
from cutover.runbook.document import Runbook


def next_decision(runbook: Runbook, run: Run, now_ms: int) -> Decision | None:
    """The decision to journal now; None when it is a hold for the reasons already journaled."""
    decision = decide(runbook, run, now_ms)
    if isinstance(decision, Hold) and codes(decision) == tuple(r.code for r in run.reasons):
        return None
    return decision


def codes(decision: Decision) -> tuple[str, ...]:
    """The machine words of a decision's reasons."""
    return tuple(reason.code for reason in decision.reasons)
