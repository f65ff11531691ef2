"""The journal on disk: what is acknowledged stays, what fails leaves no trace, one writes."""

import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import closing

import pytest

from cutover.errors import JournalError
from cutover.evidence.observation import Reference, Snapshot, Stopped
from cutover.journal.chain import Verified, genesis
from cutover.journal.schema import BusyError
from cutover.journal.store import Journal
from journal.journals import RUN, TRIGGERS, alter, copy_of, record, story, unguarded


@pytest.fixture
def journal(tmp_path):
    opened = Journal.open(tmp_path / "journal.db", RUN)
    yield opened
    opened.close()


def seen(detail="x"):
    return Reference(ok=True, detail=detail)


def test_a_new_journal_is_empty_private_and_bound_to_its_run(journal):
    assert journal.head == (0, genesis(RUN))
    assert journal.last() is None
    assert list(journal.entries()) == []
    for file in journal.path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_appended_facts_are_numbered_and_come_back_after_reopening(journal):
    first = journal.append([seen("a"), seen("b")], at_ms=5, wall_ms=99)
    second = journal.append([seen("c")], at_ms=5, wall_ms=98)
    assert [entry.seq for entry in first + second] == [1, 2, 3]
    head = journal.head
    journal.close()
    with Journal.open(journal.path, None) as again:
        assert list(again.entries()) == first + second
        assert list(again.entries(after=2)) == second
        assert again.last() == second[0]
        assert again.head == head
        assert again.verify_from(1) == Verified(*head)
        assert again.append([seen("d")], at_ms=6, wall_ms=0)[0].seq == 4


def test_nothing_to_append_records_nothing(journal):
    assert journal.append([], at_ms=7, wall_ms=0) == []
    assert journal.head[0] == 0


def test_every_commit_is_flushed_to_disk(journal):
    """Durability rests on these two settings."""
    assert journal._database.execute("PRAGMA synchronous").fetchone() == (2,)
    assert journal._database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_observed_time_never_goes_back_also_after_reopening(journal):
    journal.append([seen()], at_ms=10, wall_ms=50)
    journal.append([seen()], at_ms=10, wall_ms=40)
    with pytest.raises(JournalError, match="never goes back"):
        journal.append([seen()], at_ms=9, wall_ms=60)
    journal.close()
    with Journal.open(journal.path, RUN) as again:
        with pytest.raises(JournalError, match="after entry 2 at 10"):
            again.append([seen()], at_ms=9, wall_ms=60)
        assert again.head[0] == 2


def test_one_bad_fact_keeps_the_whole_append_out(journal):
    with pytest.raises(JournalError):
        journal.append([seen(), seen("\ud800")], at_ms=1, wall_ms=1)
    assert journal.head[0] == 0
    assert list(journal.rows()) == []
    assert journal.append([seen()], at_ms=1, wall_ms=1)[0].seq == 1


def test_a_second_writer_is_refused_with_the_first_ones_process(journal):
    with pytest.raises(JournalError, match=f"process {os.getpid()}.*cutover status"):
        Journal.open(journal.path, RUN)
    journal.append([seen()], at_ms=1, wall_ms=1)
    journal.close()
    Journal.open(journal.path, RUN).close()


def test_a_second_writer_under_another_name_is_refused_too(journal, tmp_path):
    alias = tmp_path / "alias.db"
    alias.symlink_to(journal.path)
    with pytest.raises(JournalError, match="another conductor"):
        Journal.open(alias, RUN)


def test_a_writer_in_another_process_is_refused(journal):
    program = "import sys; from pathlib import Path; from cutover.journal.store import Journal\n"
    program += "Journal.open(Path(sys.argv[1]), None)"
    ended = subprocess.run(
        [sys.executable, "-c", program, journal.path], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "written by another conductor" in ended.stderr


def test_a_journal_of_another_run_is_refused(journal):
    journal.close()
    with pytest.raises(JournalError, match=f"belongs to run {RUN}, not run-2"):
        Journal.open(journal.path, "run-2")
    Journal.open(journal.path, None).close()


def test_without_a_run_nothing_is_created(tmp_path):
    with pytest.raises(JournalError, match="does not exist"):
        Journal.open(tmp_path / "none.db", None)
    assert list(tmp_path.iterdir()) == []


def test_a_creation_cut_short_is_finished_by_the_next_start(tmp_path):
    path = tmp_path / "journal.db"
    path.touch(mode=0o600)
    with pytest.raises(JournalError, match="no journal"):
        Journal.open(path, None)
    with Journal.open(path, RUN) as journal:
        assert journal.append([seen()], at_ms=0, wall_ms=0)[0].seq == 1


@pytest.mark.parametrize("content", [b"x" * 5000, b"SQLite format 3\x00" + b"x" * 5000])
def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path, content):
    path = tmp_path / "journal.db"
    path.write_bytes(content)
    with pytest.raises(JournalError):
        Journal.open(path, RUN)
    with pytest.raises(JournalError):
        Journal.open_read_only(path)
    assert path.read_bytes() == content


def test_somebody_elses_database_is_refused(tmp_path):
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE t (x)")
    with pytest.raises(JournalError, match="a database, but no journal"):
        Journal.open(path, RUN)


def test_a_newer_format_is_refused_with_advice(original, tmp_path):
    path = copy_of(original, tmp_path / "j.db")
    alter(path, "PRAGMA user_version = 2")
    with pytest.raises(JournalError, match="format 2, this version reads 1; use"):
        Journal.open_read_only(path)


@pytest.mark.parametrize("name", TRIGGERS)
def test_a_writer_refuses_a_journal_whose_guards_were_removed(original, tmp_path, name):
    path = copy_of(original, tmp_path / "j.db")
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"DROP TRIGGER {name}")
    with pytest.raises(JournalError, match=f"trigger {name} is not as we made it"):
        Journal.open(path, RUN)
    with Journal.open_read_only(path) as reader:
        assert isinstance(reader.verify_from(1), Verified)


def test_entries_posing_as_a_view_are_refused(original, tmp_path):
    path = copy_of(original, tmp_path / "j.db")
    alter(path, "ALTER TABLE entries RENAME TO real")
    alter(path, "CREATE VIEW entries AS SELECT * FROM real")
    with pytest.raises(JournalError, match="table entries is not as we made it"):
        Journal.open_read_only(path)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET at_ms = 1 WHERE seq = 2",
        "DELETE FROM entries WHERE seq = 14",
        "INSERT OR REPLACE INTO entries SELECT 3, at_ms, wall_ms, payload, hash FROM entries",
        "INSERT INTO entries SELECT 99, at_ms, wall_ms, payload, hash FROM entries LIMIT 1",
    ],
)
def test_the_file_itself_refuses_to_change_an_entry(original, tmp_path, statement):
    path = copy_of(original, tmp_path / "j.db")
    with closing(sqlite3.connect(path)) as database, pytest.raises(sqlite3.IntegrityError):
        database.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM entries WHERE seq = 14",
        "UPDATE entries SET hash = zeroblob(32) WHERE seq = 14",
        "UPDATE head SET seq = 13",
        "UPDATE head SET hash = zeroblob(32)",
        "UPDATE head SET hash = 'text'",
        "DELETE FROM head",
    ],
)
def test_a_writer_refuses_a_tail_that_is_not_the_heads(original, tmp_path, statement):
    path = copy_of(original, tmp_path / "j.db")
    guards = "SELECT sql FROM sqlite_master WHERE type = 'trigger'"
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        made = [sql for (sql,) in database.execute(guards)]
    alter(path, statement)
    for sql in made:
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.execute(sql)
    with pytest.raises(JournalError, match="altered"):
        Journal.open(path, RUN)


def test_a_full_disk_is_reported_and_the_journal_stands_where_it_stood(journal):
    journal.append([seen()], at_ms=1, wall_ms=1)
    head = journal.head
    pages = journal._database.execute("PRAGMA page_count").fetchone()[0]
    journal._database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(JournalError, match=r"recording entry 2 in .*full.*free space"):
        journal.append([seen("y" * 100_000), seen()], at_ms=2, wall_ms=2)
    assert journal.head == head
    assert [entry.seq for entry in journal.entries()] == [1]
    journal._database.execute("PRAGMA max_page_count = 1000000")
    assert journal.append([seen()], at_ms=2, wall_ms=2)[0].seq == 2
    assert journal.verify_from(1) == Verified(*journal.head)


def test_a_busy_database_is_reported_and_can_be_tried_again(journal):
    journal._database.execute("PRAGMA busy_timeout = 1")
    with closing(sqlite3.connect(journal.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalError, match="another program holds it"):
            journal.append([seen()], at_ms=1, wall_ms=1)
    assert journal.append([seen()], at_ms=1, wall_ms=1)[0].seq == 1


def test_a_failed_write_that_did_reach_the_file_ends_all_writing(journal):
    """Nobody may go on from a head that is not the one on disk."""

    class Lying:
        """The disk did it, and said that it failed."""

        def __init__(self, real):
            self._real = real

        def execute(self, statement, *values):
            done = self._real.execute(statement, *values)
            if statement == "COMMIT":
                raise sqlite3.OperationalError("disk I/O error")
            return done

        def __getattr__(self, name):
            return getattr(self._real, name)

    real, journal._database = journal._database, Lying(journal._database)
    with pytest.raises(JournalError, match="disk I/O error"):
        journal.append([seen()], at_ms=1, wall_ms=1)
    assert journal.head[0] == 0
    journal._database = real
    with pytest.raises(JournalError, match="reported as failed is in the file; start"):
        journal.append([seen()], at_ms=1, wall_ms=1)
    journal.close()
    with Journal.open(journal.path, RUN) as again:
        assert again.head[0] == 1
        assert isinstance(again.verify_from(1), Verified)


CHILD = """
import sys
import time
from pathlib import Path
from cutover.evidence.observation import Reference
from cutover.journal.schema import BusyError
from cutover.journal.store import Journal
journal = Journal.open(Path(sys.argv[1]), "run-1")
while True:
    batch = [Reference(ok=True, detail="x" * n) for n in range(journal.head[0] % 5 + 1)]
    entries = journal.append(batch, at_ms=journal.head[0], wall_ms=0)
    print(entries[-1].seq, flush=True)
"""


def test_after_kill_9_everything_acknowledged_is_there_and_verifies(tmp_path):
    path = tmp_path / "journal.db"
    acknowledged = 0
    for wanted in (1, 40, 90):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, path], stdout=subprocess.PIPE, text=True
        )
        with child:
            for line in child.stdout:
                acknowledged = int(line)
                if acknowledged >= wanted:
                    break
            child.send_signal(signal.SIGKILL)
            rest = child.stdout.read().split("\n")[:-1]
        acknowledged = int(rest[-1]) if rest else acknowledged
        with Journal.open_read_only(path) as reader:
            assert reader.head[0] >= acknowledged
        with Journal.open(path, None) as journal:
            assert journal.verify_from(1) == Verified(*journal.head)
            assert journal.head[0] >= acknowledged
            assert [entry.seq for entry in journal.entries()] == list(range(1, journal.head[0] + 1))


def test_a_reader_sees_a_live_journal_as_it_stood_when_opened(journal):
    journal.append([seen()], at_ms=1, wall_ms=1)
    with Journal.open_read_only(journal.path) as reader:
        journal.append([seen()], at_ms=2, wall_ms=2)
        assert reader.head[0] == 1
        assert [entry.seq for entry in reader.entries()] == [1]
        assert isinstance(reader.verify_from(1), Verified)
    with Journal.open_read_only(journal.path) as reader:
        assert reader.head == journal.head


def test_a_reader_can_not_write(journal):
    with (
        Journal.open_read_only(journal.path) as reader,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        reader._database.execute("UPDATE head SET seq = 9")


def test_a_copied_file_in_a_read_only_folder_is_read_and_nothing_is_put_beside_it(
    original, tmp_path
):
    path = copy_of(original, tmp_path / "journal.db")
    tmp_path.chmod(0o500)
    try:
        with Journal.open_read_only(path) as reader:
            assert isinstance(reader.verify_from(1), Verified)
            assert [entry.fact for entry in reader.entries()] == story()
        assert [file.name for file in tmp_path.iterdir()] == ["journal.db"]
    finally:
        tmp_path.chmod(0o700)


def test_a_copy_of_a_live_journal_with_its_log_is_read(journal, tmp_path):
    journal.append([seen()], at_ms=1, wall_ms=1)
    target = tmp_path / "copy"
    target.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(f"{journal.path}{suffix}", target / f"journal.db{suffix}")
    with Journal.open_read_only(target / "journal.db") as reader:
        assert reader.verify_from(1) == Verified(*journal.head)


def test_more_entries_than_a_page_are_read_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr("cutover.journal.reader.PAGE", 5)
    path = record(tmp_path / "journal.db")
    with Journal.open_read_only(path) as reader:
        assert [entry.fact for entry in reader.entries()] == story()
        assert isinstance(reader.verify_from(7), Verified)


def test_a_damaged_file_that_leads_in_circles_is_an_error_not_a_hang(journal, monkeypatch):
    journal.append([seen()], at_ms=0, wall_ms=0)
    (found,) = journal._page(0, 1)

    def circling(after, size):
        if size > 1:
            raise JournalError("malformed")
        return [found]

    monkeypatch.setattr(journal, "_page", circling)
    with pytest.raises(JournalError, match="entry 1 follows entry 1; the file is damaged"):
        list(journal.rows())


def test_verifying_from_an_entry_that_is_not_there_is_refused(journal):
    with pytest.raises(JournalError, match="no sound entry 4"):
        journal.verify_from(5)


def bound(journal, data):
    upto = journal.head[0]
    digest = journal.save_snapshot(upto, data)
    journal.append([Snapshot(upto, digest)], at_ms=0, wall_ms=0)
    return upto


def test_a_snapshot_counts_once_its_digest_is_in_the_chain(journal):
    assert journal.load_snapshot() is None
    journal.append([seen(), seen()], at_ms=0, wall_ms=0)
    digest = journal.save_snapshot(2, b"state at 2")
    assert journal.load_snapshot() is None
    journal.append([Snapshot(2, digest)], at_ms=0, wall_ms=0)
    assert journal.load_snapshot() == (2, b"state at 2")


def test_an_unbound_snapshot_falls_back_to_the_one_before(journal):
    journal.append([seen()], at_ms=0, wall_ms=0)
    bound(journal, b"old")
    journal.save_snapshot(2, b"new, and then the process died")
    assert journal.load_snapshot() == (1, b"old")


def test_an_altered_snapshot_does_not_count(journal):
    journal.append([seen()], at_ms=0, wall_ms=0)
    bound(journal, b"true")
    path = journal.path
    journal.close()
    alter(path, "UPDATE snapshots SET data = ?", b"false")
    with Journal.open_read_only(path) as reader:
        assert reader.load_snapshot() is None
    digest = "fcbcf165908dd18a9e49f7ff27810176db8e9f63b4352213741664245224f8aa"
    alter(path, "UPDATE snapshots SET sha256 = ?", digest)
    with Journal.open_read_only(path) as reader:
        assert reader.load_snapshot() is None


def test_only_the_last_two_snapshots_are_kept(journal):
    journal.append([seen()], at_ms=0, wall_ms=0)
    for number in range(5):
        bound(journal, b"%d" % number)
    assert journal._database.execute("SELECT count(*) FROM snapshots").fetchone() == (2,)
    assert journal.load_snapshot() == (5, b"4")


@pytest.mark.parametrize("upto", [0, 2])
def test_a_snapshot_of_an_entry_that_is_not_there_is_refused(journal, upto):
    journal.append([seen()], at_ms=0, wall_ms=0)
    with pytest.raises(JournalError, match="an entry from 1 to 1"):
        journal.save_snapshot(upto, b"")


def test_closing_twice_is_harmless_and_leaves_one_complete_file(journal):
    journal.append([seen()], at_ms=0, wall_ms=0)
    journal.close()
    journal.close()
    assert not journal.path.with_name("journal.db-wal").exists()
    with closing(unguarded(journal.path)) as database:
        assert database.execute("SELECT count(*) FROM entries").fetchone() == (1,)


def test_a_foreign_lock_is_told_at_once_and_harms_nothing(tmp_path):
    """Another program that holds the file makes the writer wait for milliseconds, not seconds."""
    path = tmp_path / "journal.db"
    journal = Journal.open(path, "run-1")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(BusyError, match="another program holds it"):
            journal.append([Stopped("x")], 1, 0)
        assert time.monotonic() - began < 1
        other.execute("ROLLBACK")
    assert [e.seq for e in journal.append([Stopped("x")], 1, 0)] == [1]
    journal.close()
