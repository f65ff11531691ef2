"""The supervisor's workers: start them, notice their end, replace them, read their blocks."""

import logging
from dataclasses import dataclass
from typing import Final

from cutover.clock import Clock
from cutover.gateway.ledger import Ledger
from cutover.gateway.page import (
    ADOPTED,
    ALIVE,
    BITMAPS,
    IN_FLIGHT,
    LOST,
    MONEY,
    RETIRED,
    Page,
)  # fmt: skip
from cutover.gateway.ports import Process, Spawn
from cutover.gateway.totals import Totals

RESTART_AFTER_MS: Final = 1_000
"""A worker that ends sooner after its start is replaced only then, so a defect does not spin."""

log = logging.getLogger("cutover.gateway.crew")


@dataclass
class _Place:
    """One worker's place: its process comes and goes, its block and its socket stay."""

    process: Process
    started_ms: int


class Crew:
    """All workers of a node.

    Args:
        page: shared with the workers.
        totals: that the blocks are added to.
        clock: for the pace of restarts.
        spawn: starts a worker's process.
    """

    def __init__(self, page: Page, totals: Totals, clock: Clock, spawn: Spawn) -> None:
        self._page = page
        self._workers = page.workers
        self._totals = totals
        self._clock = clock
        self._spawn = spawn
        self._lost_seen = [0] * page.workers
        self._ledgers = [Ledger() for _ in range(page.workers)]
        self._places: list[_Place] = []
        self._dirty: dict[tuple[int, int], None] = {}  # worker, version; in the order of looks

    def start(self) -> None:
        """Start every worker."""
        self._places = [self._begin(worker) for worker in range(self._workers)]
        self._page.words[ALIVE] = self._workers

    def check(self) -> None:
        """Replace workers that have ended; what they had counted stays counted."""
        alive = 0
        for worker, place in enumerate(self._places):
            if place.process.poll() is None:
                alive += 1
            elif self._clock.monotonic_ms() - place.started_ms >= RESTART_AFTER_MS:
                self._bury(worker, place)
                self._places[worker] = self._begin(worker)
                alive += 1
        self._page.words[ALIVE] = alive

    def harvest(self) -> bool:
        """Add what the workers counted since the last look.

        Returns:
            Whether a request that moves money has failed since.
        """
        urgent = False
        for worker in range(self._workers):
            urgent |= self._harvest(worker)
        return urgent

    def _harvest(self, worker: int) -> bool:
        urgent, ledger = False, self._ledgers[worker]
        retired = self._page.words[self._page.block_at(worker) + RETIRED]  # before the slots
        for index, slot in enumerate(self._page.slots(worker)):
            version = slot.version()
            ledger.at(index, version)
            if not version:
                continue
            counters = slot.counters()
            if not self._totals.changed(worker, version, counters):
                continue
            if slot.version() != version:
                continue  # cleared while we looked; what we had not seen of it is missing
            urgent |= self._totals.add(worker, version, counters)
            ledger.seen(index, version, sum(memoryview(counters).cast("Q")))
            self._dirty[worker, version] = None
        self._totals.lost += ledger.missing(retired)
        self._add_lost(worker)
        return urgent

    def harvest_conversations(self) -> None:
        """Add the conversations seen since the last look; dearer, so only before a report."""
        for worker, version in self._dirty:
            slot = self._page.slot_of(worker, version)
            seen = [(pair, slot.bitmap(pair)) for pair in range(BITMAPS)]
            if slot.version() == version:
                for pair, bits in seen:
                    self._totals.add_buckets(version, pair, bits)
        self._dirty.clear()

    def adopted(self) -> int:
        """The oldest table version in force on a running worker; 0 if none runs yet."""
        words, page = self._page.words, self._page
        versions = [
            words[page.block_at(worker) + ADOPTED]
            for worker, place in enumerate(self._places)
            if place.process.poll() is None
        ]
        return min((version for version in versions if version), default=0)

    def in_flight(self) -> int:
        """Requests that are worked on."""
        return self._sum(IN_FLIGHT)

    def money_in_flight(self) -> int:
        """Requests that may move money, sent to the candidate and not ended yet.

        Ask for `adopted` first: what was sent before a table came into force is in here then. A
        dead worker's are in here until they are lost.
        """
        return self._sum(MONEY)

    def tell_to_stop(self) -> None:
        """Ask every worker to finish what it has in hand."""
        for place in self._places:
            if place.process.poll() is None:
                place.process.terminate()

    def gone(self) -> bool:
        """Whether no worker runs any more."""
        return all(place.process.poll() is not None for place in self._places)

    def kill(self) -> None:
        """End whoever is left."""
        for place in self._places:
            if place.process.poll() is None:
                place.process.kill()
            place.process.wait()
            place.process.hang_up()

    def write_off(self) -> None:
        """Take over what the workers left, now that none runs; what they held has no known end."""
        self.harvest()
        self.harvest_conversations()
        for worker in range(len(self._places)):
            self._take_over(worker)

    def _begin(self, worker: int) -> _Place:
        return _Place(self._spawn(worker), self._clock.monotonic_ms())

    def _bury(self, worker: int, place: _Place) -> None:
        """Take over what a dead worker left; what it held has no known end, and that is said."""
        self.harvest()
        self.harvest_conversations()
        held = self._take_over(worker)
        log.error(
            "worker %d ended with code %s, %d requests in hand; replacing it",
            worker, place.process.returncode, held,
        )  # fmt: skip
        place.process.hang_up()
        self._totals.forget_worker(worker)
        self._lost_seen[worker] = 0
        self._ledgers[worker] = Ledger()
        self._page.clear_block(worker)

    def _take_over(self, worker: int) -> int:
        """Count what a worker that is gone still held; returns how much that was.

        A payment in the candidate's hand may have been made: its end is unknown, which counts as
        failed. Of the rest nothing more is known than that its outcome is missing.
        """
        words, block = self._page.words, self._page.block_at(worker)
        held, cut = words[block + IN_FLIGHT], words[block + MONEY]
        if cut:
            _, table = self._page.table()
            cut = self._totals.cut(words[block + ADOPTED], table.candidate, cut)
        self._totals.lost += max(0, held - cut)
        words[block + IN_FLIGHT] = words[block + MONEY] = 0
        return held

    def _sum(self, word: int) -> int:
        words, page = self._page.words, self._page
        return sum(words[page.block_at(w) + word] for w in range(self._workers))

    def _add_lost(self, worker: int) -> None:
        lost = self._page.words[self._page.block_at(worker) + LOST]
        self._totals.lost += lost - self._lost_seen[worker]
        self._lost_seen[worker] = lost
