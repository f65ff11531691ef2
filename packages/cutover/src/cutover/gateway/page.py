"""The shared page: one small file mapped by the supervisor and all its workers.

    head     seqlocked routing table and a few numbers, written by the supervisor alone: how many
             workers are alive, and until when (milliseconds of the machine's monotonic clock) the
             conductor lets payments go to the candidate; 0 on a fresh page: not before it has
             said so
    blocks   one a worker, written by that worker alone: what it adopted, holds and counted

A worker compares one u64 (the table's *version*: a number of this page, never reused, unlike a
generation, which a new run begins again) at each request and re-reads the table when it differs;
so all workers switch on their next request and nobody waits for a message. Outcomes cost an
increment. There are no locks: every word has a single writer, and an aligned u64 is read whole.
The table also carries a CRC, so a reader on a machine with weaker memory ordering notices a
half-written one instead of trusting the counter around it.

A block has `SLOTS` slots of counters; the requests of one version count in slot `version % SLOTS`,
whose first word names the version. Requests that outlive so many tables are counted as lost, and so
are outcomes that were cleared before the supervisor had looked at them (`cutover.gateway.ledger`).
"""

import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self
from zlib import crc32

import msgspec

from cutover.clock import SystemClock, pause
from cutover.evidence.outcome import Outcome
from cutover.routing.table import RoutingTable
from cutover.runbook.intent import Intent
from cutover.runbook.stage import ALL_BP

INTENTS: Final = tuple(Intent)
OUTCOMES: Final = tuple(Outcome)
OUTCOME_INDEX: Final = {outcome.value: index for index, outcome in enumerate(OUTCOMES)}
PLANES: Final = 2
SLOTS: Final = 16
TABLE_BYTES_MAX: Final = 64 * 1024
READ_MS: Final = 1_000
"""For a whole table to be there: the supervisor may be interrupted while it writes one."""
READ_PAUSE_SECONDS: Final = 0.0005

# u64 words of the head
SEQUENCE, VERSION, LENGTH, CHECKSUM, ALIVE, MONEY_UNTIL = range(6)
_TABLE_AT: Final = 4096
_BLOCKS_AT: Final = _TABLE_AT + TABLE_BYTES_MAX

# u64 words of a block
ADOPTED, IN_FLIGHT, LOST, MONEY, RETIRED = range(5)
BLOCK_HEAD: Final = 8
CELLS: Final = PLANES * len(INTENTS) * len(OUTCOMES)
BITMAP_WORDS: Final = -(-ALL_BP // 64)
BITMAP_BYTES: Final = BITMAP_WORDS * 8
BITMAPS: Final = PLANES * len(INTENTS)
SLOT_WORDS: Final = 1 + CELLS + BITMAPS * BITMAP_WORDS
BLOCK_WORDS: Final = BLOCK_HEAD + SLOTS * SLOT_WORDS

_DECODER = msgspec.json.Decoder(RoutingTable)


def cell_of(plane: int, intent: int, outcome: int) -> int:
    """Place of a counter within a slot's counters."""
    return (plane * len(INTENTS) + intent) * len(OUTCOMES) + outcome


def pair_of(plane: int, intent: int) -> int:
    """Place of a bitmap within a slot's bitmaps."""
    return plane * len(INTENTS) + intent


def page_bytes(workers: int) -> int:
    """Size of the page."""
    return _BLOCKS_AT + workers * BLOCK_WORDS * 8


class Page:
    """The mapped page; see the module's text for who may write what.

    Args:
        fd: of a file of at least `page_bytes(workers)` bytes; may be closed afterwards.
        workers: how many blocks it has.
    """

    def __init__(self, fd: int, workers: int) -> None:
        self.workers = workers
        self._map = mmap.mmap(fd, page_bytes(workers))
        self.bytes = memoryview(self._map)
        self.words: memoryview[int] = self.bytes.cast("Q")

    @classmethod
    def create(cls, path: Path, workers: int) -> tuple[Self, int]:
        """Make a fresh page file, readable by its owner only; returns the page and its fd."""
        path.unlink(missing_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.ftruncate(fd, page_bytes(workers))
        return cls(fd, workers), fd

    def publish(self, table: RoutingTable) -> int:
        """Put a table in force for every worker's next request; returns its version.

        Raises:
            ValueError: it does not fit the page.
        """
        text = msgspec.json.encode(table)
        if len(text) > TABLE_BYTES_MAX:
            raise ValueError(f"table of {len(text)} bytes, at most {TABLE_BYTES_MAX}")
        words = self.words
        version = words[VERSION] + 1
        words[SEQUENCE] += 1
        words[LENGTH] = len(text)
        words[CHECKSUM] = crc32(text)
        self.bytes[_TABLE_AT : _TABLE_AT + len(text)] = text
        words[VERSION] = version
        words[SEQUENCE] += 1
        return version

    def table(self) -> tuple[int, RoutingTable]:
        """The table in force and its version.

        Raises:
            RuntimeError: no whole table could be read; the page is broken.
        """
        found = self._whole()
        return found if found is not None else self._wait_for_whole()

    def _whole(self) -> tuple[int, RoutingTable] | None:
        """What is there, unless it is just being written."""
        words = self.words
        before = words[SEQUENCE]
        version, length, checksum = words[VERSION], words[LENGTH], words[CHECKSUM]
        text = bytes(self.bytes[_TABLE_AT : _TABLE_AT + min(length, TABLE_BYTES_MAX)])
        if before % 2 == 0 and before == words[SEQUENCE] and crc32(text) == checksum:
            return version, _DECODER.decode(text)
        return None

    def _wait_for_whole(self) -> tuple[int, RoutingTable]:
        """Only another process can end this wait, so its clock is the machine's."""
        clock = SystemClock()
        give_up = clock.monotonic_ms() + READ_MS
        while clock.monotonic_ms() < give_up:
            pause(READ_PAUSE_SECONDS)
            found = self._whole()
            if found is not None:
                return found
        raise RuntimeError("the shared page holds no whole table; the node must be restarted")

    def block_at(self, worker: int) -> int:
        """Index of the first word of a worker's block."""
        return _BLOCKS_AT // 8 + worker * BLOCK_WORDS

    def clear_block(self, worker: int) -> None:
        """Zero the block of a worker that is not running."""
        start = self.block_at(worker) * 8
        self.bytes[start : start + BLOCK_WORDS * 8] = bytes(BLOCK_WORDS * 8)

    def slots(self, worker: int) -> Iterator["SlotView"]:
        """The slots of a worker's block, in order."""
        first = self.block_at(worker) + BLOCK_HEAD
        for index in range(SLOTS):
            yield SlotView(self, first + index * SLOT_WORDS)

    def slot_of(self, worker: int, version: int) -> "SlotView":
        """The slot in which a worker counts, or counted, a version."""
        first = self.block_at(worker) + BLOCK_HEAD
        return SlotView(self, first + (version % SLOTS) * SLOT_WORDS)


class SlotView:
    """A supervisor's look at one slot of a worker."""

    def __init__(self, page: Page, at: int) -> None:
        self._page = page
        self.at = at

    def version(self) -> int:
        """The table version it counts, 0 while it is not in use or being cleared."""
        return self._page.words[self.at]

    def counters(self) -> bytes:
        """Its counters, one u64 a cell."""
        start = (self.at + 1) * 8
        return bytes(self._page.bytes[start : start + CELLS * 8])

    def bitmap(self, pair: int) -> int:
        """Its conversation buckets as an integer with one bit a bucket."""
        start = bitmap_at(self.at, pair)
        return int.from_bytes(self._page.bytes[start : start + BITMAP_BYTES], "little")


def bitmap_at(slot: int, pair: int) -> int:
    """Byte position of a bitmap in the page, for the slot beginning at word `slot`."""
    return (slot + 1 + CELLS + pair * BITMAP_WORDS) * 8
