"""`cutover replay`: same, diverges, or cannot be read; each with its exit code."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cutover.cli import recorded
from cutover.decision.fact import Entry
from cutover.decision.kinds import RollBack
from cutover.decision.stored import digest
from cutover.evidence.observation import Readiness, Stopped
from cutover.journal.store import Journal
from cutover.runbook.load import load_text
from decision.scenario import runbook_text
from replay.recording import Recording

JOURNALS = Path(__file__).parents[1] / "replay/journals"
HEALTHY = JOURNALS / "healthy-0.1.0.zip"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A short run's journal.db, and the world that it tells of."""
    path = tmp_path_factory.mktemp("journal") / "journal.db"
    world = Recording(load_text(runbook_text("demo", "{}"), "demo"), path, 1)
    world.advance(2_000)
    world._journal.close()
    return path, world


@pytest.fixture
def journal(made, tmp_path):
    return Path(shutil.copy(made[0], tmp_path / "journal.db"))


def appended(path, *facts):
    """The journal with facts that somebody appended; its chain is whole."""
    with Journal.open_read_only(path) as reader:
        at_ms = reader.last().at_ms
    writer = Journal.open(path, None)
    writer.append(list(facts), at_ms, 0)
    writer.close()


def test_a_sound_journal_is_the_same(cutover, journal, made):
    """Entries, decisions, phase, stage and the digest of the state; exit 0."""
    said = cutover("replay", journal)
    assert said.code == 0
    assert "same: today's code decides as the record says" in said.out
    run = made[1].run
    told = json.loads(cutover("replay", journal, "--json").out)
    assert told.pop("file") == str(journal)
    assert told.pop("decisions") >= 2
    assert told.pop("head").startswith(f"{run.seq}:")
    assert told == {
        "same": True, "run": "run-1", "entries": run.seq, "replayed": run.seq, "phase": "running",
        "stage": "shadow", "state_sha256": digest(run), "divergence": None,
    }  # fmt: skip


def test_an_archive_is_replayed_as_well(cutover):
    """The sealed record of a whole run, down to its end."""
    told = json.loads(cutover("replay", HEALTHY, "--json").out)
    assert (told["same"], told["phase"], told["stage"]) == (True, "complete", "primary")
    assert told["replayed"] == told["entries"] > 400


def test_a_decision_that_does_not_follow_diverges(cutover, journal):
    """The first divergence with what was seen and expected; exit 1."""
    appended(journal, RollBack("not-ready", (), ()))
    said = cutover("replay", journal)
    assert said.code == 1
    assert "diverges at entry" in said.out
    assert "RollBack not-ready" in said.out
    told = json.loads(cutover("replay", journal, "--json").out)
    assert told["same"] is False
    assert told["divergence"]["seq"] == told["entries"] == told["replayed"] + 1
    assert told["divergence"]["expected"].startswith("no new decision")


def test_a_broken_chain_is_not_replayed(cutover, journal):
    """Exit 4, as of every verb that cannot trust a journal; nothing is said of decisions."""
    with closing(sqlite3.connect(journal)) as database:
        database.execute("DROP TRIGGER entries_no_update")
        database.execute("UPDATE entries SET at_ms = at_ms + 1 WHERE seq = 9")
        database.commit()
    said = cutover("replay", journal)
    assert said.code == 4
    assert "entry 9" in said.err
    assert said.out == ""


def test_an_archive_that_was_cut_is_not_replayed(cutover, tmp_path):
    """A zip without its end is no archive."""
    cut = tmp_path / "cut.zip"
    cut.write_bytes(HEALTHY.read_bytes()[:-40])
    said = cutover("replay", cut)
    assert said.code == 4
    assert "archive verify" in said.err


def test_what_is_no_record_is_refused(cutover, tmp_path):
    """A file of something else, a journal that begins in the middle, and no file at all."""
    other = tmp_path / "other.txt"
    other.write_text("hello")
    assert cutover("replay", other).code == 4
    assert cutover("replay", tmp_path / "nowhere.db").code == 4
    middle = tmp_path / "middle.db"
    journal = Journal.open(middle, "run-1")
    journal.append([Stopped("asked")], 0, 0)
    journal.close()
    said = cutover("replay", middle)
    assert said.code == 4
    assert "begins with Stopped, expected Adopted" in said.err


def test_a_record_is_read_and_never_written(cutover, journal):
    """Not a byte changes, and nothing is left beside it."""
    before = journal.read_bytes()
    assert cutover("replay", journal).code == 0
    assert journal.read_bytes() == before
    assert [p.name for p in journal.parent.iterdir()] == ["journal.db"]


def test_a_long_record_shows_how_far_it_is(monkeypatch, capsys):
    """On a terminal, and only there; standard output stays clean."""
    from rich.console import Console

    facts = [Entry(n, 0, 0, Readiness("phala", 200, True, True, "")) for n in range(1, 4)]
    record = recorded.Record(HEALTHY, "run-1", 6_000, "", lambda: iter(facts))
    monkeypatch.setattr(recorded, "err", Console(stderr=True, force_terminal=True))
    assert list(record.shown("deciding again")) == facts
    shown = capsys.readouterr()
    assert "deciding again" in shown.err
    assert shown.out == ""
