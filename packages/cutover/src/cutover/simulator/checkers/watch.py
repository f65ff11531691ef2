"""Runs the checkers along a run, with the record that they share."""

from collections.abc import Sequence
from typing import Final, get_args

from cutover.decision.fact import Entry
from cutover.decision.kinds import Decision
from cutover.decision.run import Run
from cutover.decision.step import table_for
from cutover.runbook.document import Runbook
from cutover.simulator.checkers import CHECKERS
from cutover.simulator.checkers.line_01_money import money_open
from cutover.simulator.checkers.line_03_exposure import risen
from cutover.simulator.checkers.line_08_terms import numbered
from cutover.simulator.checkers.registry import Checker
from cutover.simulator.checkers.seen import Seen
from cutover.simulator.checkers.stickiness import sticky

_DECISIONS: Final = get_args(Decision)


class Watch:
    """Looks on at one run, best from its first entry; every method raises `Violation`.

    Args:
        checkers: which lines are looked at.
    """

    def __init__(self, checkers: Sequence[Checker] = CHECKERS) -> None:
        self.seen = Seen()
        self._entry = tuple(c.entry for c in checkers if c.entry is not None)
        self._rest = tuple(c.rest for c in checkers if c.rest is not None)
        self._end = tuple(c.end for c in checkers if c.end is not None)

    def __call__(self, runbook: Runbook, before: Run, entry: Entry, after: Run) -> None:
        """Judge one entry: facts join the record before, decisions after they were judged by it."""
        seen = self.seen
        decided = isinstance(entry.fact, _DECISIONS)
        if not decided:
            seen.observe(runbook, entry, before.generation)
        if seen.table is None and before.seq:
            seen.table = table_for(runbook, before)  # a run that is joined later
        if seen.table is None or _moved(before, after):
            table = table_for(runbook, after).checked()
            risen(seen.table, table, entry)
            numbered(seen.table, table)
            sticky(seen.table, table)
            seen.table, seen.money_open = table, money_open(table)
        for check in self._entry:
            check(runbook, seen, before, entry, after)
        if decided:
            seen.decided(entry, after)

    def rest(self, runbook: Runbook, run: Run, now_ms: int) -> None:
        """Judge the state when no decision follows any more."""
        for check in self._rest:
            check(runbook, self.seen, run, now_ms)

    def end(self, runbook: Runbook, entries: Sequence[Entry], run: Run) -> None:
        """Judge a whole journal and the state that it led to."""
        for check in self._end:
            check(runbook, entries, run)


def _moved(before: Run, after: Run) -> bool:
    """Whether anything differs that a table is made of."""
    return not (
        before.generation == after.generation
        and before.phase is after.phase
        and before.stage == after.stage
        and before.closed == after.closed
        and before.unlocked == after.unlocked
        and before.repinned == after.repinned
        and before.term == after.term
    )
