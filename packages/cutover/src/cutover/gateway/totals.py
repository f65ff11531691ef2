"""A node's cumulative counts since its boot, over all its workers, living and dead. Pure.

Workers count in shared memory under a table *version*; the conductor is told totals per
*generation* (`cutover.evidence.outcome`). What was reported and acknowledged is remembered, so a
report holds only what changed, and a lost report is repaired by the next.
"""

from collections.abc import Iterator, Sequence

from cutover.evidence.outcome import FAILED, Conversations, Count, Outcome
from cutover.gateway.page import CELLS, INTENTS, OUTCOMES, cell_of
from cutover.runbook.intent import RISK_OF, Intent, Risk

GENERATIONS_KEPT = 64
"""Generations further back than this are forgotten: no worker has a slot for them any more."""
CELLS_SAID_MAX = 2_000
"""Numbers in one report, some 200 KB; the next one has the rest."""

_Seen = tuple[int, int]  # generation, pair of plane and intent


def _urgent_cells() -> frozenset[int]:
    """Cells whose growth must be reported at once: failures of what moves money."""
    return frozenset(
        (plane * len(INTENTS) + i) * len(OUTCOMES) + o
        for plane in range(2)
        for i, intent in enumerate(INTENTS)
        for o, outcome in enumerate(OUTCOMES)
        if RISK_OF[intent] is Risk.MONEY and outcome in FAILED
    )


_URGENT = _urgent_cells()
_PAY, _UNKNOWN = INTENTS.index(Intent.PAY), OUTCOMES.index(Outcome.UNKNOWN)


class Totals:
    """Sums of what the workers' slots held, fed by looks at them.

    Args:
        planes: names in the order of the counters' plane index.
    """

    def __init__(self, planes: Sequence[str]) -> None:
        self._planes = tuple(planes)
        self._generation_of: dict[int, int] = {}  # version to generation
        self._last: dict[tuple[int, int], memoryview[int]] = {}  # worker, version: counters seen
        self._counts: dict[tuple[int, int], int] = {}  # generation, cell
        self._buckets: dict[_Seen, int] = {}
        self._acked_counts: dict[tuple[int, int], int] = {}
        self._acked_buckets: dict[_Seen, int] = {}
        self.lost = 0

    def open(self, version: int, generation: int) -> None:
        """Requests of that version belong to that generation."""
        self._generation_of[version] = generation
        self._prune()

    def restart(self) -> None:
        """A new run begins: nothing counted so far belongs to it."""
        self._generation_of.clear()
        self._counts.clear()
        self._buckets.clear()
        self._acked_counts.clear()
        self._acked_buckets.clear()
        self.lost = 0

    def changed(self, worker: int, version: int, counters: bytes) -> bool:
        """Whether a slot's counters differ from the last look."""
        last = self._last.get((worker, version))
        return last is None or last.tobytes() != counters

    def add(self, worker: int, version: int, counters: bytes) -> bool:
        """Add what a slot has counted since the last look.

        Returns:
            Whether a request that moves money failed since.
        """
        now = memoryview(counters).cast("Q")
        before = self._last.get((worker, version))
        self._last[worker, version] = now
        generation = self._generation_of.get(version)
        if generation is None:
            return False  # of a run that is over
        urgent = False
        for cell in range(CELLS):
            more = now[cell] - (before[cell] if before is not None else 0)
            if more:
                key = (generation, cell)
                self._counts[key] = self._counts.get(key, 0) + more
                urgent = urgent or cell in _URGENT
        return urgent

    def cut(self, version: int, plane: str, payments: int) -> int:
        """Payments that a dead worker had sent to a plane: nobody knows how they ended.

        Returns:
            How many of them are counted: none of a run that is over.
        """
        generation = self._generation_of.get(version)
        if generation is None:
            return 0
        cell = cell_of(self._planes.index(plane), _PAY, _UNKNOWN)
        self._counts[generation, cell] = self._counts.get((generation, cell), 0) + payments
        return payments

    def add_buckets(self, version: int, pair: int, bitmap: int) -> None:
        """Add the conversations that a slot has seen."""
        generation = self._generation_of.get(version)
        if generation is not None and bitmap:
            key = (generation, pair)
            self._buckets[key] = self._buckets.get(key, 0) | bitmap

    def forget_worker(self, worker: int) -> None:
        """A worker's block is about to be zeroed; what was added stays."""
        for key in [key for key in self._last if key[0] == worker]:
            del self._last[key]

    def count(self, generation: int, cell: int) -> int:
        """One total."""
        return self._counts.get((generation, cell), 0)

    def unsaid(self) -> "Unsaid":
        """What has changed since it was last acknowledged, as much as one report may hold.

        The newest generations come first: it is by them that decisions are made.
        """
        counts = {k: n for k, n in self._counts.items() if self._acked_counts.get(k) != n}
        sizes = {k: bits.bit_count() for k, bits in self._buckets.items()}
        buckets = {k: n for k, n in sizes.items() if self._acked_buckets.get(k) != n}
        whole = len(counts) + len(buckets) <= CELLS_SAID_MAX
        if not whole:
            counts = _newest(counts, CELLS_SAID_MAX)
            buckets = _newest(buckets, CELLS_SAID_MAX - len(counts))
        return Unsaid(self._planes, counts, buckets, whole=whole)

    def acknowledge(self, said: "Unsaid") -> None:
        """The conductor has taken these."""
        self._acked_counts.update(said.cells)
        self._acked_buckets.update(said.sizes)

    def _prune(self) -> None:
        """Forget what cannot change any more; what the conductor never took of it is lost."""
        newest = max(self._generation_of.values(), default=0)
        old = [v for v, g in self._generation_of.items() if g < newest - GENERATIONS_KEPT]
        for version in old:
            generation = self._generation_of.pop(version)
            for counted in [k for k in self._counts if k[0] == generation]:
                self.lost += self._counts.pop(counted) - self._acked_counts.pop(counted, 0)
            for seen in [k for k in self._buckets if k[0] == generation]:
                self._buckets.pop(seen)
                self._acked_buckets.pop(seen, None)
            for looked in [k for k in self._last if k[1] == version]:
                del self._last[looked]


def _newest(cells: dict[tuple[int, int], int], most: int) -> dict[tuple[int, int], int]:
    return dict(sorted(cells.items(), reverse=True)[:most])


class Unsaid:
    """Changed totals, ready for a report.

    Attributes:
        cells: totals by generation and cell.
        sizes: distinct conversations by generation and pair of plane and intent.
        whole: whether this is all; otherwise there is more to be said at once.
    """

    def __init__(
        self, planes: Sequence[str], cells: dict[tuple[int, int], int], sizes: dict[_Seen, int],
        *, whole: bool = True,
    ) -> None:  # fmt: skip
        self._planes = planes
        self.whole = whole
        self.cells = cells
        self.sizes = sizes

    def __bool__(self) -> bool:
        return bool(self.cells or self.sizes)

    def counts(self) -> Iterator[Count]:
        """As they stand on the wire."""
        for (generation, cell), n in self.cells.items():
            rest, outcome = divmod(cell, len(OUTCOMES))
            plane, intent = divmod(rest, len(INTENTS))
            yield Count(generation, INTENTS[intent], self._planes[plane], OUTCOMES[outcome], n)

    def conversations(self) -> Iterator[Conversations]:
        """As they stand on the wire."""
        for (generation, pair), n in self.sizes.items():
            plane, intent = divmod(pair, len(INTENTS))
            yield Conversations(generation, INTENTS[intent], self._planes[plane], n)
