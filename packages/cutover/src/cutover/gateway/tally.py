"""A worker's own block of the shared page: what it adopted, what it holds, what it counted."""

from cutover.gateway.page import (
    ADOPTED,
    BITMAP_BYTES,
    BITMAPS,
    BLOCK_HEAD,
    CELLS,
    LOST,
    MONEY,
    RETIRED,
    SLOT_WORDS,
    SLOTS,
    Page,
)

_BITMAPS = 1 + CELLS  # words of a slot before its bitmaps


class Tally:
    """Counts outcomes by increments in the shared page; nothing is queued, nothing is sent."""

    def __init__(self, page: Page, worker: int) -> None:
        self._words = page.words
        self._bytes = page.bytes
        self._block = page.block_at(worker)
        self._slots = self._block + BLOCK_HEAD
        # of the version adopted last: its number, its first counter, its first bitmap's byte
        self._version = self._cells_at = self._bitmaps_at = 0

    def adopt(self, version: int) -> None:
        """Open the counters of a table version, then say that it is in force here."""
        slot = self._slot(version)
        words = self._words
        if words[slot] != version:
            gone = sum(words[slot + 1 : slot + 1 + CELLS]) if words[slot] else 0
            words[slot] = 0  # a reader sees an unused slot while it is being cleared
            words[self._block + RETIRED] += gone
            start, size = (slot + 1) * 8, CELLS * 8 + BITMAPS * BITMAP_BYTES
            self._bytes[start : start + size] = bytes(size)
            words[slot] = version
        self._version, self._cells_at = version, slot + 1
        self._bitmaps_at = (slot + _BITMAPS) * 8
        words[self._block + ADOPTED] = version

    def count(self, version: int, cell: int) -> None:
        """One more request of that version ended in that way."""
        words = self._words
        if version == self._version:
            words[self._cells_at + cell] += 1
            return
        slot = self._slot(version)
        if words[slot] == version:
            words[slot + 1 + cell] += 1
        else:
            words[self._block + LOST] += 1

    def converse(self, pair: int, bucket: int) -> None:
        """A conversation in that bucket was sent to that plane with that intent.

        It counts for the version adopted last, by which it was routed a moment ago.
        """
        self._bytes[self._bitmaps_at + pair * BITMAP_BYTES + (bucket >> 3)] |= 1 << (bucket & 7)

    def expose(self, more: int) -> None:
        """So many more (or, below 0, fewer) money requests are in the candidate's hand."""
        self._words[self._block + MONEY] += more

    def lose(self) -> None:
        """An outcome could not be recorded; said, so that nobody takes the counts for whole."""
        self._words[self._block + LOST] += 1

    def _slot(self, version: int) -> int:
        return self._slots + (version % SLOTS) * SLOT_WORDS
