"""From a journal to the state it tells of: the same fold, whichever way it is read."""

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conductor.doubles import DEMO, DEMO_TEXT, Ticks, canary, ready, report, verdict
from cutover.clock import ObservedClock
from cutover.conductor import engine as module
from cutover.conductor.engine import Engine
from cutover.conductor.recovery import fold, recover
from cutover.conductor.stored import stored
from cutover.decision.command import HoldOrder, ResumeOrder, RetryOrder
from cutover.decision.fold import apply
from cutover.decision.run import Run
from cutover.errors import ConfigurationError, JournalError
from cutover.evidence.observation import (
    Adopted,
    GatewaySilent,
    LiveIntent,
    PreconditionSeen,
    Reference,
    Started,
    Verdict,
)
from cutover.evidence.outcome import Conversations, Count, Outcome
from cutover.journal.store import Journal
from cutover.runbook.gate import Check
from cutover.runbook.intent import LEADING, Intent
from cutover.runbook.load import load_text

ADOPTED = Adopted("run-1", DEMO.text, "digest", {"cutover": "test"})

counts = st.builds(
    Count, st.integers(1, 4), st.sampled_from(list(Intent)), st.sampled_from(DEMO.planes),
    st.sampled_from(list(Outcome)), st.integers(1, 50),
)  # fmt: skip
buckets = st.builds(
    Conversations, st.integers(1, 4), st.sampled_from(list(Intent)),
    st.sampled_from(DEMO.planes), st.integers(1, 90),
)  # fmt: skip
facts = st.one_of(
    st.builds(ready, st.sampled_from(DEMO.planes), st.sampled_from([200, 503, None])),
    st.builds(canary, st.booleans()),
    st.builds(verdict, st.sampled_from(list(Verdict))),
    st.builds(Reference, st.booleans(), st.just("said")),
    st.builds(GatewaySilent, st.just("node-1"), st.just("gone")),
    st.builds(
        LiveIntent, st.just("phala"), st.sampled_from(LEADING), st.booleans(), st.just(("x",)),
        st.just({"a": "b"}),
    ),
    st.builds(PreconditionSeen, st.sampled_from(list(Check)), st.just(True), st.just(("fine",))),
    st.builds(
        report, boot=st.sampled_from(["b1", "b2"]), term=st.integers(1, 2),
        generation=st.integers(1, 4), counts=st.lists(counts, max_size=3).map(tuple),
        conversations=st.lists(buckets, max_size=3).map(tuple),
    ),
    st.builds(HoldOrder, st.just("ann"), st.just("why")),
    st.builds(ResumeOrder, st.just("ann"), st.just("why")),
    st.builds(RetryOrder, st.just("ann"), st.just("why")),
    st.just(Started(2, "boot-2", 5)),
)  # fmt: skip
steps = st.lists(st.tuples(st.integers(0, 4_000), facts), min_size=5, max_size=40)


def lived(path, story, snapshot_every=10_000):
    """A journal with a life in it, and the state that its engine ended in."""
    journal = Journal.open(path, "run-1")
    ticks = Ticks()
    heart = Engine(DEMO, Run(id="run-1"), journal, ObservedClock(ticks))
    heart._snapshot_due = snapshot_every
    heart.advance([ADOPTED, Started(1, "boot-1", 0)])
    for ms, fact in story:
        ticks.ms += ms
        heart.advance([fact])
        heart.snapshot()
    journal.close()
    return heart.run


def read(path, runbook=DEMO):
    with Journal.open_read_only(path) as reader:
        return recover(reader, runbook)


@settings(max_examples=25, deadline=None)
@given(steps)
def test_what_is_folded_after_a_crash_is_what_was_lived(story):
    """Recovery and live work end in the same state, field by field, whatever happened."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.db"
        assert lived(path, story) == read(path)


@settings(max_examples=10, deadline=None)
@given(steps)
def test_a_snapshot_shortens_the_fold_and_changes_nothing(story):
    """From a snapshot on, or from the first entry: the same state."""
    before = module.SNAPSHOT_EVERY
    module.SNAPSHOT_EVERY = 6
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "journal.db"
            live = lived(path, story, snapshot_every=6)
            with Journal.open_read_only(path) as reader:
                assert reader.load_snapshot() is not None
                whole = fold(DEMO, Run(id="run-1"), reader.entries())
            assert read(path) == whole == live
    finally:
        module.SNAPSHOT_EVERY = before


def test_the_snapshot_is_really_used(tmp_path, monkeypatch):
    """With a snapshot only the entries after it are folded."""
    monkeypatch.setattr(module, "SNAPSHOT_EVERY", 6)
    path = tmp_path / "journal.db"
    lived(path, [(100, ready(status=s)) for s in (200, 503, 200, 503, 200, 200, 200)], 6)
    folded = []
    real = apply
    monkeypatch.setattr(
        "cutover.conductor.recovery.apply", lambda *a: folded.append(a[2].seq) or real(*a)
    )
    with Journal.open_read_only(path) as reader:
        upto = reader.load_snapshot()[0]
    read(path)
    assert folded[0] == upto + 1


def test_a_snapshot_of_another_version_is_not_believed(tmp_path, monkeypatch):
    """Other rules may fold to another state: after an upgrade the whole journal is folded."""
    monkeypatch.setattr(module, "SNAPSHOT_EVERY", 6)
    path = tmp_path / "journal.db"
    story = [(100, ready(status=s)) for s in (200, 503, 200, 503, 200, 200, 200)]
    live = lived(path, story, 6)
    folded = []
    real = apply
    monkeypatch.setattr(
        "cutover.conductor.recovery.apply", lambda *a: folded.append(a[2].seq) or real(*a)
    )
    monkeypatch.setattr("cutover.conductor.stored.__version__", "99.0")
    assert read(path) == live
    assert folded[0] == 1


def test_an_altered_snapshot_counts_for_nothing(tmp_path, monkeypatch):
    """A state that no entry vouches for is not believed; the whole journal is folded instead."""
    monkeypatch.setattr(module, "SNAPSHOT_EVERY", 6)
    path = tmp_path / "journal.db"
    live = lived(path, [(100, ready(status=s)) for s in (200, 503, 200, 503, 200, 200, 200)], 6)
    forged = stored(msgspec.structs.replace(live, weak=True, term=99))
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("UPDATE snapshots SET data = ?", (forged,))
    assert read(path) == live


def test_an_empty_journal_is_a_run_that_has_not_begun(tmp_path):
    """A crash right after the file was made loses nothing: the run begins."""
    path = tmp_path / "journal.db"
    Journal.open(path, "run-1").close()
    assert read(path) == Run(id="run-1")


def test_a_run_keeps_the_runbook_that_it_adopted(tmp_path):
    """Another text, even by one comment, is refused with advice."""
    path = tmp_path / "journal.db"
    lived(path, [])
    other = load_text(DEMO_TEXT + "\n# one more word\n", "other.toml")
    with pytest.raises(ConfigurationError, match="another runbook"):
        read(path, other)


def test_a_broken_chain_is_not_folded(tmp_path):
    """One altered stamp and the journal is not believed."""
    path = tmp_path / "journal.db"
    lived(path, [(100, ready()), (100, ready(status=503))])
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("DROP TRIGGER entries_no_update")
        database.execute("UPDATE entries SET at_ms = at_ms + 1 WHERE seq = 4")
    with pytest.raises(JournalError, match="entry 4"):
        read(path)


def test_a_journal_of_something_else_is_refused(tmp_path):
    """A run begins with what it adopted."""
    path = tmp_path / "journal.db"
    journal = Journal.open(path, "run-1")
    journal.append([ready()], 0, 0)
    journal.close()
    with pytest.raises(JournalError, match="begins with Readiness"):
        read(path)
