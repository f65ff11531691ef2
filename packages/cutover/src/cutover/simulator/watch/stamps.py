"""Line 11 against the world's own time: observed time never runs ahead of time that passed.

A conductor stamps by a clock that no jump moves. What it has observed since its start can be less
than what passed (it may not have lived to tell), never more.
"""

from collections.abc import Sequence
from typing import Final

from cutover.decision.fact import Entry
from cutover.evidence.observation import Started
from cutover.simulator.checkers.violation import never

ROUNDED_MS: Final = 1


class Stamps:
    """The stamps of one journal."""

    def __init__(self) -> None:
        self._began_at = self._began_ms = 0

    def recorded(self, entries: Sequence[Entry], now_ms: int) -> None:
        """Entries became durable.

        Raises:
            Violation: one is stamped later than its conductor can have lived.
        """
        for entry in entries:
            if isinstance(entry.fact, Started):
                self._began_at, self._began_ms = entry.at_ms, now_ms
            observed, passed = entry.at_ms - self._began_at, now_ms - self._began_ms
            text = f"entry {entry.seq} is {observed} ms after its conductor's start, {passed} are"
            never(11, observed > passed + ROUNDED_MS, text)
