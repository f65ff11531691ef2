"""The checkers, under the names that tests of the core had for them."""

from cutover.simulator.checkers.watch import Watch

Lines = Watch


def remembered(runbook, entries, run):
    """Lines 9, 11 and 12 over a whole journal."""
    Watch().end(runbook, entries, run)
