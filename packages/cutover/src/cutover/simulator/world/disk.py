"""The conductor's disk: the real journal on a real file system, with the accidents of a disk.

A crash leaves the file as SQLite left it at that moment. A torn write leaves some of the bytes of
the commit that was under way; a full disk is SQLite's own refusal to grow the file.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random  # noqa: TID251 - the type alone; the seed is passed in
from typing import Final

from cutover.decision.fact import Entry, Fact
from cutover.journal.chain import Point, Row
from cutover.journal.store import Journal

PIECE: Final = 512
"""Bytes that are compared at a time."""

PAGES_MAX: Final = 1_073_741_823
"""SQLite's own limit, which lifts ours."""

Recorded = Callable[[Sequence[Entry]], None]


class Disk:
    """Where the run's journal is; it outlives every process.

    Args:
        folder: a real, empty directory.
        chance: where a write is torn.

    Attributes:
        full: the file cannot grow.
        tear: the next commit is torn, and whoever commits dies of it.
    """

    def __init__(self, folder: Path, chance: Random) -> None:
        self.path = folder / "journal.db"
        self.full = False
        self.tear: Callable[[], None] | None = None
        self._chance = chance

    def mount(self, journal: "DiskJournal") -> None:
        """Give a journal that was opened the disk as it is."""
        journal.disk = self
        self.limit(journal)

    def limit(self, journal: "DiskJournal") -> None:
        """Let the file grow, or not."""
        pages = 1 if self.full else PAGES_MAX  # SQLite never goes below what there is
        journal.limit(pages)

    def tear_commit(self, journal: "DiskJournal", commit: Callable[[], None]) -> None:
        """Commit, then lose a part of what was written, as the power fails."""
        fail, self.tear = self.tear, None
        log = self.path.with_name(self.path.name + "-wal")
        before = log.read_bytes() if log.exists() else b""
        commit()
        after = log.read_bytes()
        torn = {log: self._torn(before, after), self.path: self.path.read_bytes()}
        assert fail is not None  # noqa: S101 - only called while one is set
        journal.abandon()
        for path, data in torn.items():
            path.write_bytes(data)
        shared = self.path.with_name(self.path.name + "-shm")
        shared.unlink(missing_ok=True)
        fail()

    def _torn(self, before: bytes, after: bytes) -> bytes:
        """A log of which only a part of the new bytes has replaced the old ones.

        It grows, or begins again at its start once the journal has taken over what is in it.
        """
        size = max(len(before), len(after))
        old, new = before.ljust(size, b"\0"), after.ljust(size, b"\0")
        pieces = range(0, size, PIECE)
        changed = [at for at in pieces if old[at : at + PIECE] != new[at : at + PIECE]]
        first = next(at for at in range(changed[0], size) if old[at] != new[at])
        cut = self._chance.randrange(first, min(changed[-1] + PIECE, size))
        return after[:cut] + before[cut:]


class DiskJournal(Journal):
    """The product's journal, told of accidents, and telling what it recorded."""

    disk: Disk | None = None
    recorded: Recorded = staticmethod(lambda _: None)

    def append(self, facts: Sequence[Fact], at_ms: int, wall_ms: int) -> list[Entry]:
        """As the journal does; then tell the world."""
        entries = super().append(facts, at_ms, wall_ms)
        self.recorded(entries)
        return entries

    def _commit(self, rows: list[Row], head: Point) -> None:
        if self.disk is not None and self.disk.tear is not None:
            self.disk.tear_commit(self, lambda: super(DiskJournal, self)._commit(rows, head))
        else:
            super()._commit(rows, head)

    def limit(self, pages: int) -> None:
        """Let the file have so many pages."""
        self._database.execute(f"PRAGMA max_page_count = {pages}")

    def abandon(self) -> None:
        """What the system does with the files of a killed process: close them, nothing more."""
        if self._held >= 0:
            self._database.close()
            os.close(self._held)
            self._held = -1

    def lose_lock(self) -> None:
        """Its lease has run out while it did not look; somebody else may open the journal now."""
        if self._held >= 0:
            os.close(self._held)
            self._held = os.open(os.devnull, os.O_RDONLY)


def clear(folder: Path) -> None:
    """Remove a disk."""
    shutil.rmtree(folder, ignore_errors=True)
