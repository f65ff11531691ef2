"""Line 8, the deciding side: every conductor has a term of its own, every table its own number.

That a node refuses what is stale is for the world's checkers to say.
"""

from cutover.decision.fact import Entry
from cutover.decision.run import Run
from cutover.evidence.observation import Started
from cutover.routing.table import RoutingTable
from cutover.runbook.document import Runbook
from cutover.simulator.checkers.seen import Seen
from cutover.simulator.checkers.violation import never


def check_08_terms(runbook: Runbook, seen: Seen, before: Run, entry: Entry, after: Run) -> None:
    """Terms rise by one and by starts alone; generations never fall."""
    if isinstance(entry.fact, Started):
        wrong = after.term != entry.fact.term or entry.fact.term <= before.term
        never(8, wrong, f"entry {entry.seq} begins term {entry.fact.term} after {before.term}")
    else:
        never(8, after.term != before.term, f"entry {entry.seq} changes the term without a start")
    fell = after.generation < before.generation
    never(8, fell, f"generation {after.generation} after {before.generation}")


def numbered(old: RoutingTable | None, new: RoutingTable) -> None:
    """Compare a table with the one before it.

    Raises:
        Violation: two tables that differ bear one number.
    """
    if old is not None and new.routes != old.routes:
        same = (new.generation, new.term) <= (old.generation, old.term)
        never(8, same, f"another table bears number {new.generation} of term {new.term}")
