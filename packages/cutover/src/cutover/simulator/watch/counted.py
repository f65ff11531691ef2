"""No outcome is lost on its way into the journal (line 7): what was answered is counted there.

A node's counters are cumulative for one of its processes, and a report is acknowledged once it is
durable. So at the end, whatever a node had answered before it last reported is in the journal,
whoever crashed meanwhile, unless the node itself did.
"""

from collections.abc import Sequence
from typing import Final

from cutover.decision.fact import Entry
from cutover.evidence.observation import GatewayReport
from cutover.evidence.outcome import ANSWERED
from cutover.simulator.checkers.violation import never
from cutover.simulator.faults import Kind
from cutover.simulator.watch.excuses import Weatherbook
from cutover.simulator.world.clients import Asked

ON_THE_WAY_MS: Final = 2_000
"""From an answer to the last report that may be without it."""

HELD_UP_MS: Final = 20_000
"""Likewise, when a fault may have held that report up."""

_DELAYS: Final = frozenset({Kind.PAUSE, Kind.TAKEOVER, Kind.CUT, Kind.SLOW, Kind.COPY})
_ENDS: Final = frozenset({Kind.CRASH, Kind.CRASH_AT})
Cell = tuple[str, int, str, str]
"""Process of a node, generation, intent and plane, outcome."""


class Counted:
    """What the journal has of each node's answers."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[Cell, int]] = {}
        self._lost: dict[str, int] = {}
        self._told_ms: dict[str, int] = {}

    def recorded(self, entries: Sequence[Entry], now_ms: int) -> None:
        """Entries are durable."""
        for entry in entries:
            fact = entry.fact
            if not isinstance(fact, GatewayReport):
                continue
            cells = self._counts.setdefault(fact.node, {})
            self._told_ms[fact.node], self._lost[fact.node] = now_ms, fact.lost
            for count in fact.counts:
                if count.outcome in ANSWERED:
                    way = f"{count.intent} by {count.plane}"
                    cell = (fact.boot, count.generation, way, str(count.outcome))
                    cells[cell] = max(count.n, cells.get(cell, 0))

    def check(self, asked: Sequence[Asked], book: Weatherbook, now_ms: int) -> None:
        """Compare it with what clients were answered.

        Raises:
            Violation: a node that never died answered more than it is known for.
        """
        died = {fault.where for fault in book.between(0, now_ms) if fault.what in _ENDS}
        for node, told in self._told_ms.items():
            if node in died:
                continue
            late = any(f.what in _DELAYS for f in book.between(told - ON_THE_WAY_MS, told))
            until = told - (HELD_UP_MS if late else ON_THE_WAY_MS)
            had = [a for a in asked if a.node == node and a.status == 200 and a.ended_ms < until]
            n = sum(self._counts[node].values()) + self._lost[node]
            never(7, n < len(had), f"{node} gave {len(had)} answers, the journal has {n} of them")
