"""The conductor's disk: what a torn write, a full disk and a lost lease leave of the journal."""

import random
from pathlib import Path

import pytest

from cutover.errors import JournalError
from cutover.evidence.observation import Reference
from cutover.journal.chain import Verified
from cutover.journal.store import Journal
from cutover.simulator.world.disk import Disk, DiskJournal

FRAME = 24 + 4096
"""Bytes of a page in the log."""


class Cut:
    """Chance that was told where to cut; notes between which bytes it was asked."""

    def __init__(self, at=0):
        self.at, self.asked = at, None

    def randrange(self, least, most):
        self.asked = least, most
        return min(max(self.at, least), most - 1)


class PowerFailedError(Exception):
    """What the process dies of."""


def fail():
    raise PowerFailedError


def fact(number):
    return Reference(ok=True, detail=f"look {number}")


def opened(folder, cut=None):
    disk = Disk(folder, cut or Cut())
    journal = DiskJournal.open(disk.path, "r" if not disk.path.exists() else None)
    disk.mount(journal)
    return disk, journal


def fill(journal, text):
    """Append until it is refused; the last page may have room for one more."""
    for number in range(1, 50):
        journal.append([Reference(ok=True, detail=text)], number, number)


def details(path):
    journal = Journal.open(path, None)
    try:
        assert isinstance(journal.verify_from(), Verified)
        return [entry.fact.detail for entry in journal.entries()]
    finally:
        journal.close()


def torn(folder, at):
    """A journal of three entries, and a fourth whose commit was torn at a byte of the log."""
    folder.mkdir()
    cut = Cut(at)
    disk, journal = opened(folder, cut)
    for number in range(3):
        journal.append([fact(number)], number, number)
    disk.tear = fail
    with pytest.raises(PowerFailedError):
        journal.append([fact(3)], 3, 3)
    return disk, cut


def test_a_torn_commit_leaves_the_entries_before_it_at_every_cut_point(tmp_path):
    """Whichever byte was the last to reach the disk: three entries, and the next is the fourth."""
    _, cut = torn(tmp_path / "range", 0)
    least, most = cut.asked
    assert most - least >= FRAME
    frames = [at + by for at in range(least, most, FRAME) for by in (-1, 0, 1, 8, 24, 25)]
    cuts = sorted({*frames, *range(least, most, 997), least, most - 1})
    for at in (one for one in cuts if least <= one < most):
        disk, _ = torn(tmp_path / str(at), at)
        assert disk.path.with_name("journal.db-wal").stat().st_size == at
        assert details(disk.path) == ["look 0", "look 1", "look 2"], at
        _, again = opened(disk.path.parent)
        again.append([fact("again")], 5, 5)
        again.close()
        assert details(disk.path)[3:] == ["look again"]


def test_only_one_commit_is_torn(tmp_path):
    """Whoever starts again writes as before."""
    disk, _ = torn(tmp_path / "once", 10_000_000)
    assert disk.tear is None


def test_a_full_disk_refuses_and_loses_nothing(tmp_path):
    """The append is an error, the journal stands where it stood, and space lets it go on."""
    disk, journal = opened(tmp_path)
    told = []
    journal.recorded = told.extend
    journal.append([fact(0)], 0, 0)
    disk.full = True
    disk.limit(journal)
    big = "x" * 2000
    with pytest.raises(JournalError, match="full"):
        fill(journal, big)
    written = journal.head[0]
    assert len(told) == written
    disk.full = False
    disk.limit(journal)
    journal.append([fact("after")], 60, 60)
    assert len(told) == written + 1
    journal.close()
    assert details(disk.path) == ["look 0", *[big] * (written - 1), "look after"]


def test_a_disk_that_is_full_stays_full_for_who_opens_it_next(tmp_path):
    """A restart makes no room."""
    disk, journal = opened(tmp_path)
    journal.append([fact(0)], 0, 0)
    journal.close()
    disk.full = True
    again = DiskJournal.open(disk.path, None)
    disk.mount(again)
    with pytest.raises(JournalError, match="full"):
        again.append([Reference(ok=True, detail="x" * 20_000)], 1, 1)
    again.abandon()


def test_a_held_lock_keeps_a_second_writer_out(tmp_path):
    """As long as the first one lives; a killed process lets go."""
    disk, first = opened(tmp_path)
    with pytest.raises(JournalError):
        DiskJournal.open(disk.path, None)
    first.abandon()
    first.abandon()
    DiskJournal.open(disk.path, None).close()


def test_a_lost_lock_lets_a_second_writer_in_and_the_first_is_refused(tmp_path):
    """The chain has one successor for each entry: whoever wakes too late writes nothing."""
    disk, first = opened(tmp_path)
    first.append([fact(0)], 0, 0)
    first.lose_lock()
    second = DiskJournal.open(disk.path, None)
    disk.mount(second)
    second.append([fact("of the second")], 1, 1)
    for _ in range(2):
        with pytest.raises(JournalError):
            first.append([fact("of the first")], 2, 2)
    second.append([fact("again of the second")], 3, 3)
    first.abandon()
    second.close()
    assert details(disk.path) == ["look 0", "look of the second", "look again of the second"]


@pytest.mark.parametrize(("before", "after"), [(b"ab" * 900, b"xy" * 400 + b"ab" * 500)])
def test_a_torn_commit_at_the_start_of_a_log_keeps_the_old_bytes_behind_it(before, after):
    """A log that began again is overwritten, not grown: what was not reached is as it was."""
    for seed in range(20):
        torn = Disk(Path("nowhere"), random.Random(seed))._torn(before, after)
        assert len(torn) == len(before)
        cut = next(at for at in range(len(torn) + 1) if torn[at:] == before[at:])
        assert torn[:cut] == after[:cut]
        assert cut <= 800
