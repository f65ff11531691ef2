"""Facts become entries, entries become state; nothing is state before it is durable."""

import msgspec
import pytest

from conductor.doubles import DEMO, Memory, Ticks, canary, engine, ready, report
from cutover.conductor import engine as module
from cutover.conductor.stored import unstored
from cutover.decision.command import HoldOrder, PromoteOrder, ResumeOrder
from cutover.decision.kinds import CloseMoney, Hold, Reason
from cutover.decision.run import Phase, Run
from cutover.errors import JournalError
from cutover.evidence.observation import OrderRefused, Started

HOLD = HoldOrder("ann", "looking at it")


def test_a_refused_write_leaves_the_state_untouched():
    """When the journal cannot take it, nothing happened: state, table and status are as before."""
    heart, memory, _ = engine()
    heart.advance([Started(1, "b1", 0)])
    before, table, kept = heart.run, heart.table(), list(memory.entries)
    memory.fails = True
    for attempt in (lambda: heart.advance([ready()]), lambda: heart.order(HOLD)):
        with pytest.raises(JournalError):
            attempt()
    assert heart.run is before
    assert heart.table() == table
    assert memory.entries == kept
    memory.fails = False
    assert heart.order(HOLD)[0] == ""
    assert heart.run.hold is not None


def test_an_order_is_in_the_journal_before_it_is_in_the_state():
    """Whoever appends last sees the state as it was before."""
    heart, memory, _ = engine()
    seen = []

    class Spy(Memory):
        def append(self, facts, at_ms, wall_ms):
            seen.append(heart.run.hold)
            return memory.append(facts, at_ms, wall_ms)

    heart._memory = Spy()
    heart.order(HOLD)
    assert seen == [None]
    assert heart.run.hold is not None


def test_a_second_writer_is_noticed():
    """Entries numbered otherwise than folded mean that somebody else writes: stop."""
    heart, memory, _ = engine()
    heart.advance([Started(1, "b1", 0)])
    before = heart.run
    memory.shift = 3
    with pytest.raises(JournalError, match="another writer"):
        heart.advance([ready()])
    assert heart.run is before


def test_moves_that_undo_each_other_stop_the_process(monkeypatch):
    """Rules that would move for ever are a defect, and none of it is recorded."""
    heart, memory, _ = engine()
    move = CloseMoney(("phala",), (Reason("x", "again"),), ())
    monkeypatch.setattr(module.Course, "due", lambda *_: move)
    with pytest.raises(AssertionError, match="moves follow"):
        heart.advance([ready()])
    assert memory.entries == []
    assert heart.run == Run(id="run-1")


def test_facts_and_what_follows_from_them_are_one_append():
    """The decision is in the same transaction as its evidence."""
    heart, memory, _ = engine()
    appends = []
    real = memory.append
    memory.append = lambda facts, at, wall: appends.append(len(facts)) or real(facts, at, wall)
    heart.advance([Started(1, "b1", 0), ready()])
    assert len(appends) == 1
    assert memory.kinds() == ["Started", "Hold", "Readiness"]
    assert isinstance(memory.entries[1].fact, Hold)


def test_time_alone_is_silent_when_nothing_changes():
    """A tick without news writes nothing: the journal grows with events, not with time."""
    heart, memory, ticks = engine()
    heart.advance([Started(1, "b1", 0)])
    count = len(memory.entries)
    for _ in range(50):
        ticks.ms += 1
        assert heart.advance([]) == []
    assert len(memory.entries) == count


def test_a_refused_order_is_journaled_and_changes_nothing_else():
    """Who tried what is on record; the run stands where it stood."""
    heart, memory, _ = engine()
    heart.advance([Started(1, "b1", 0)])
    before = heart.run
    why, _ = heart.order(ResumeOrder("bob", "go on"))
    assert why == "the run is not held"
    last = memory.entries[-1].fact
    assert last == OrderRefused("ResumeOrder", "bob", why)
    assert msgspec.structs.replace(heart.run, seq=before.seq, at=before.at) == before


def test_asking_whether_an_order_would_be_admitted_writes_nothing():
    """`refusal` is a question."""
    heart, memory, _ = engine()
    heart.advance([Started(1, "b1", 0)])
    count = len(memory.entries)
    assert heart.refusal(ResumeOrder("bob", "x")) != ""
    assert heart.refusal(PromoteOrder("bob", "x", "shadow")) != ""
    assert heart.refusal(HOLD) == ""
    assert len(memory.entries) == count


def test_observed_time_never_goes_back():
    """A clock that falls behind the newest entry stands still instead."""
    ticks = Ticks(5_000)
    heart, memory, _ = engine(clock=ticks)
    ticks.ms += 900
    heart.advance([ready()])
    ticks.ms -= 700
    heart.advance([ready("hetzner")])
    assert [e.at_ms for e in memory.entries] == sorted(e.at_ms for e in memory.entries)
    assert heart.now_ms() == 900


def test_snapshots_are_bound_into_the_journal(monkeypatch):
    """Every so many entries the state is stored, and its digest is an entry of its own."""
    monkeypatch.setattr(module, "SNAPSHOT_EVERY", 5)
    heart, memory, ticks = engine()
    for n in range(12):
        ticks.ms += 100
        heart.advance([ready("phala" if n % 2 else "hetzner")])
        heart.snapshot()
    bound = [e.fact for e in memory.entries if type(e.fact).__name__ == "Snapshot"]
    assert len(bound) >= 2
    for snapshot in bound:
        assert snapshot.sha256 == f"digest-of-{snapshot.upto}"
        assert unstored(memory.snapshots[snapshot.upto]).seq == snapshot.upto


def test_a_snapshot_that_fails_is_tried_again(monkeypatch):
    """Not at once, and not only after the next thousands of entries."""
    monkeypatch.setattr(module, "SNAPSHOT_AGAIN", 3)
    heart, memory, _ = engine()
    heart._snapshot_due = 1
    heart.advance([ready()])
    real, tries = memory.save_snapshot, []

    def full(upto, data):
        tries.append(upto)
        raise JournalError("the disk is full")

    memory.save_snapshot = full
    with pytest.raises(JournalError):
        heart.snapshot()
    for _ in range(3):
        assert heart.snapshot() == []
        memory.save_snapshot = real
        heart.advance([ready("hetzner")])
    assert [type(e.fact).__name__ for e in heart.snapshot()] == ["Snapshot"]
    assert len(tries) == 1


def test_evidence_moves_the_run_within_the_same_step():
    """A failing canary twice over an unexposed stage aborts in the step that read it."""
    heart, _, ticks = engine()
    run = Run(id="run-1", phase=Phase.RUNNING, stage=0, term=1)
    heart.run = run
    heart.advance([report(), ready("hetzner"), ready()])
    for _ in range(2):
        ticks.ms += 1_500
        heart.advance([ready("hetzner"), ready(), canary(ok=False)])
    assert heart.run.phase in (Phase.ABORTING, Phase.ABORTED)
    assert heart.run.incident.rule == "canary-failed"
    assert heart.table().routes["analyze"].candidate_bp == 0
    assert DEMO.stages[0].armed is False
