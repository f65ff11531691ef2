"""Journals of this and past versions are replayed by today's code; see README.md."""

import re
from pathlib import Path

import msgspec
import pytest

from cutover import __version__
from cutover.cli.recorded import adopted_runbook, open_record
from cutover.decision.kinds import Hold, Move
from cutover.decision.replay import replay
from cutover.decision.whatif.book import Book
from cutover.decision.whatif.compare import what_if
from replay.record import JOURNALS, record
from replay.stories import STORIES

FILES = sorted(JOURNALS.glob("*.zip"))
NAME = re.compile(r"([a-z-]+)-(\d+\.\d+\.\d+)")
BYTES_MAX = 1_000_000


class Diverges(msgspec.Struct, forbid_unknown_fields=True):
    """What a release changed on purpose, noted beside the journal that shows it."""

    since: str
    why: str
    seq: int
    seen: str
    expected: str


def noted(path: Path) -> Diverges | None:
    note = path.with_suffix(".diverges.json")
    return msgspec.json.decode(note.read_bytes(), type=Diverges) if note.exists() else None


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_recorded_journal_is_decided_as_it_was(path):
    """Today's code decides as the journal says, or diverges where and how it is noted."""
    with open_record(path) as kept:
        runbook = adopted_runbook(kept)
        found = replay(kept.read(), lambda _: runbook)
        assert found.decisions > 5
    note = noted(path)
    if note is None:
        assert found.divergence is None, f"{path.name}: {found.divergence}"
        return
    assert len(note.why) > 20
    told = (note.seq, note.seen, note.expected)
    assert found.divergence is not None, f"{path.name} does not diverge any more"
    assert (found.divergence.seq, found.divergence.seen, found.divergence.expected) == told


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_its_own_rules_make_what_was_made(path):
    """Compared with the runbook that it adopted, no recorded journal parts."""
    if noted(path):
        pytest.skip("it is noted to diverge")
    with open_record(path) as kept:
        runbook, book = adopted_runbook(kept), Book()
        for entry in kept.read():
            book.note(entry)
        result = what_if(book, kept.read(), runbook, runbook)
    assert result.verdict == "same", result.parting
    assert result.alternative == result.recorded


def test_every_story_is_recorded_and_shows_what_it_is_named_for():
    """Each kind of rollback, orders and restarts are there, in the version that wrote them."""
    names = {NAME.fullmatch(path.stem)[1] for path in FILES}
    assert names >= set(STORIES)
    rules = set()
    for path in FILES:
        with open_record(path) as kept:
            for entry in kept.read():
                if isinstance(entry.fact, Move) and not isinstance(entry.fact, Hold):
                    rules.add(getattr(entry.fact, "rule", type(entry.fact).__name__))
    assert rules >= {
        "not-ready", "canary-failed", "payments-failed", "attestation-lost", "operator",
        "OpenStage", "UnlockIntent", "CloseMoney", "ReopenMoney", "Retry", "Returned",
        "BeginChecks", "Complete",
    }  # fmt: skip


def test_files_say_which_version_wrote_them():
    """The name's version is the one that the first entry and the archive name."""
    for path in FILES:
        with open_record(path) as kept:
            first = next(kept.read())
        assert first.fact.versions["cutover"] == NAME.fullmatch(path.stem)[2]


def test_nothing_else_lies_there_and_all_is_small():
    """A note belongs to a journal, and the whole folder stays below a megabyte."""
    stems = {path.stem for path in FILES}
    for path in JOURNALS.iterdir():
        assert path.name.split(".zip")[0].removesuffix(".diverges.json") in stems, path.name
    assert sum(path.stat().st_size for path in JOURNALS.iterdir()) < BYTES_MAX


def test_a_story_is_recorded_alike_every_time(tmp_path):
    """The same story and seed give the same chain, to the byte; the kept file is one of them."""
    record("rollback-not-ready", tmp_path / "again.zip")
    with open_record(tmp_path / "again.zip") as again:
        fresh = again.head
    kept = JOURNALS / f"rollback-not-ready-{__version__}.zip"
    if not kept.exists():
        record("rollback-not-ready", tmp_path / "twice.zip")
        kept = tmp_path / "twice.zip"
    with open_record(kept) as before:
        assert before.head == fresh
