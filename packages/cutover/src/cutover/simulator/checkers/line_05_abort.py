"""Line 5: abort is open to an operator in every phase that is not final, and acts at once."""

from cutover.decision.command import AbortOrder
from cutover.decision.fact import Entry
from cutover.decision.orders import refusal
from cutover.decision.run import TERMINAL, Phase, Run
from cutover.evidence.observation import OrderRefused
from cutover.runbook.document import Runbook
from cutover.simulator.checkers.seen import Seen
from cutover.simulator.checkers.violation import Violation, never

_ASKED = AbortOrder("checker", "abort is always admitted")
_ON_THE_WAY = (Phase.ABORTING, Phase.ABORTED)


def check_05_abort(runbook: Runbook, seen: Seen, before: Run, entry: Entry, after: Run) -> None:
    """After each change of phase an abort would be admitted; none that was given is refused."""
    if after.phase is not before.phase and after.phase not in TERMINAL and after.abort is None:
        why = refusal(runbook, after, _ASKED)
        never(5, bool(why), f"no abort in {after.phase}: {why}")
    if isinstance(entry.fact, OrderRefused) and entry.fact.verb == AbortOrder.__name__:
        named = bool(entry.fact.actor.strip()) and "needs an actor" not in entry.fact.reason
        open_to_it = before.phase not in TERMINAL and not seen.aborted and named
        never(5, open_to_it, f"abort was refused in {before.phase}: {entry.fact.reason}")


def rest_05_abort(runbook: Runbook, seen: Seen, run: Run, now_ms: int) -> None:
    """An abort that was ordered is under way by the time the core rests."""
    if seen.aborted and run.phase not in _ON_THE_WAY:
        raise Violation(5, f"abort was ordered and the run is {run.phase}")
