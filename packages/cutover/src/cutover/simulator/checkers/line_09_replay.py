"""Line 9: the journal alone gives the state, bit for bit, and every decision again."""

from collections.abc import Sequence

import msgspec

from cutover.decision.fact import Entry
from cutover.decision.replay import replay
from cutover.decision.run import Phase, Run
from cutover.decision.step import table_for
from cutover.decision.traffic import whole_split
from cutover.runbook.document import Runbook
from cutover.simulator.checkers.seen import Seen
from cutover.simulator.checkers.violation import Violation, never

SAMPLE = 64
"""Entries between two looks at what is costly to recount."""


def check_09_replay(runbook: Runbook, seen: Seen, before: Run, entry: Entry, after: Run) -> None:
    """Numbers are without gaps, and what is kept is what counting everything again gives."""
    if entry.seq != before.seq + 1 or after.seq != entry.seq:
        raise Violation(9, f"entry {entry.seq} follows {before.seq}, the state is at {after.seq}")
    if entry.seq % SAMPLE:
        return
    counted = whole_split(after.serving(), after.generation)
    # A complete run has a table by which nobody counted, and keeps the split it was judged by.
    off = after.split != counted and after.phase is not Phase.COMPLETE
    never(9, off, f"the split is {after.split}, the nodes have told {counted}")
    changed = seen.table is not None and table_for(runbook, after) != seen.table
    never(9, changed, f"the table has changed by entry {entry.seq} at the latest, by no decision")


def end_09_replay(runbook: Runbook, entries: Sequence[Entry], run: Run) -> None:
    """The whole journal, with other wall clocks, decides and ends alike."""
    strange = [Entry(e.seq, e.at_ms, (e.seq * 7919) % 10**12, e.fact) for e in entries]

    def load(text: str) -> Runbook:
        never(9, text != runbook.text, "the journal has adopted another runbook")
        return runbook

    told = replay(strange, load)
    never(9, told.divergence is not None, str(told.divergence))
    never(9, told.run != run, "the journal folds to another state")
    stored = msgspec.json.encode(run, order="deterministic")
    back = msgspec.json.decode(stored, type=Run)
    never(9, back != run, "the state does not survive being stored")
