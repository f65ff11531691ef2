"""Line 8: at most one conductor acts, and a stale one is refused by the gateway.

And of line 9 what nodes show: a decision is durable before anybody goes by it.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from cutover.decision.fact import Entry
from cutover.evidence.observation import Started
from cutover.simulator.checkers.violation import never

REMEMBERED: Final = 4
ON_DISK_MS: Final = 1_500
"""A table that raises nothing does not wait for a node's disk: a process that dies so soon after
may leave the one before to its successor."""


class _Said(NamedTuple):
    """What a node has in force, and since when it says so."""

    since_ms: int
    boot: str
    term: int
    generation: int

    def behind(self, before: "_Said") -> bool:
        """Whether it is older than another."""
        return self.term < before.term or self.generation < before.generation


class Leadership:
    """Who writes the journal, and whose tables are in force."""

    def __init__(self) -> None:
        self._leader = ""
        self._term = 0
        self._in_force: dict[str, list[_Said]] = {}

    def recorded(self, who: str, entries: Sequence[Entry]) -> None:
        """Entries were written.

        Raises:
            Violation: by somebody whose term is over, or under a term that was had before.
        """
        for entry in entries:
            if isinstance(entry.fact, Started):
                stale = entry.fact.term <= self._term
                never(8, stale, f"{who} starts in term {entry.fact.term} after {self._term}")
                self._leader, self._term = who, entry.fact.term
            never(
                8,
                self._leader not in ("", who),
                f"{who} wrote entry {entry.seq} while {self._leader} leads",
            )

    def obeyed(self, node: str, generation: int, decided: int) -> None:
        """What a node goes by, at a moment at which so many tables are durable.

        Raises:
            Violation: its table follows from a decision that is not in the journal.
        """
        text = f"{node} goes by table {generation}, the journal knows of {decided}"
        never(9, generation > decided, text)

    def reported(self, node: str, boot: str, term: int, generation: int, now_ms: int) -> None:
        """A node said what is in force.

        Raises:
            Violation: its table is of an older term or generation than one it had before.
        """
        if not generation:
            return  # a process that has not put anything in force yet
        said = _Said(now_ms, boot, term, generation)
        kept = []
        for before in self._in_force.get(node, []):
            if said.behind(before):
                lost = before.boot != boot and now_ms - before.since_ms <= ON_DISK_MS
                never(8, not lost, f"{node} went from {before} back to {said}")
            else:
                kept.append(before)
        if not kept or kept[-1][1:] != said[1:]:
            kept.append(said)
        self._in_force[node] = kept[-REMEMBERED:]
