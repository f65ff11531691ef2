"""Line 11: observed time never goes back, and neither downtime nor a gap is ever soak."""

from cutover.decision.fact import Entry
from cutover.decision.run import Run
from cutover.evidence.observation import Readiness
from cutover.runbook.document import Runbook
from cutover.simulator.checkers.seen import Seen
from cutover.simulator.checkers.violation import Violation, never


def check_11_clocks(runbook: Runbook, seen: Seen, before: Run, entry: Entry, after: Run) -> None:
    """Soak grows by looks at the candidate alone, and no further than the record's bounds."""
    if entry.at_ms < before.at:
        raise Violation(11, f"entry {entry.seq} is of {entry.at_ms} ms, after {before.at} ms")
    if after.soak is before.soak:
        return
    grown = after.soak.observed_ms > before.soak.observed_ms
    grown = grown or after.soak.clean_ms > before.soak.clean_ms
    if not grown:
        return
    looked = isinstance(entry.fact, Readiness) and entry.fact.plane == runbook.candidate
    never(11, not looked, f"entry {entry.seq}, {type(entry.fact).__name__}, counts as soak")
    soak, bound = after.soak, seen.soak
    over = soak.observed_ms > bound.observed_ms
    never(11, over, f"{soak.observed_ms} ms of soak, at most {bound.observed_ms} ms were watched")
    over = soak.clean_ms > bound.clean_ms
    never(11, over, f"{soak.clean_ms} ms are clean, at most {bound.clean_ms} ms were watched")


def rest_11_clocks(runbook: Runbook, seen: Seen, run: Run, now_ms: int) -> None:
    """No stamp of the state lies in the future."""
    never(11, run.at > now_ms, f"the state is of {run.at} ms, now it is {now_ms} ms")
