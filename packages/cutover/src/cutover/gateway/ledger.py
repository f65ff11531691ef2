"""Whether a worker cleared counters before anybody had looked at them. Pure.

A slot of counters is used anew after so many tables. The supervisor looks often enough that this
cannot happen, unless it was held up itself; then the outcomes are gone, and that must be said.
"""


class Ledger:
    """One worker's slots, as they were when last looked at."""

    def __init__(self) -> None:
        self._held: dict[int, tuple[int, int]] = {}  # slot: version, outcomes seen
        self._settled = 0
        self._missing = 0

    def at(self, slot: int, version: int) -> None:
        """A slot now counts that version; what was seen of the one before is settled."""
        before, seen = self._held.get(slot, (0, 0))
        if before != version:
            self._settled += seen
            self._held[slot] = (version, 0)

    def seen(self, slot: int, version: int, outcomes: int) -> None:
        """So many outcomes of that version have been added to the totals."""
        self._held[slot] = (version, outcomes)

    def missing(self, retired: int) -> int:
        """How many outcomes are found to be gone since the last call.

        Args:
            retired: all that the worker has ever cleared, read before its slots were looked at.
        """
        more = max(0, retired - self._settled - self._missing)
        self._missing += more
        return more
