"""Line 6, the deciding side: another key for a payment only after a certain end of the last one.

That a plane, or a rail, is then asked once is for the world's checkers to say.
"""

from cutover.decision.fact import Entry
from cutover.decision.run import Run
from cutover.evidence.observation import LiveIntent, PostCheckSeen
from cutover.runbook.document import Runbook
from cutover.runbook.gate import PostCheckName
from cutover.runbook.intent import Intent
from cutover.simulator.checkers.seen import Seen
from cutover.simulator.checkers.violation import never


def check_06_payment(runbook: Runbook, seen: Seen, before: Run, entry: Entry, after: Run) -> None:
    """What is part of a payment's key moves only when its end is known, or with a new table."""
    if after.generation != before.generation:
        return
    fact = entry.fact
    if after.live_tries is not before.live_tries:
        tried = _tries(after) != _tries(before)
        sure = isinstance(fact, LiveIntent) and (fact.ok or fact.definite)
        never(6, tried and not sure, f"entry {entry.seq} gives the live payment another key")
    if after.receipt_tries != before.receipt_tries:
        sure = isinstance(fact, PostCheckSeen) and (fact.ok or fact.definite)
        sure = sure and fact.name is PostCheckName.RECEIPT_TRANSACTION  # type: ignore[union-attr]  # sure implies the type
        never(6, not sure, f"entry {entry.seq} gives the receipt's payment another key")


def _tries(run: Run) -> int:
    return run.live_tries.get(Intent.PAY, 0)
