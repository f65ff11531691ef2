"""One door: what is handed in is durable when the caller hears back, and nobody waits in vain."""

import asyncio

import pytest

from conductor.doubles import Memory, engine, ready, report
from cutover.clock import suspended_ms
from cutover.conductor import loop as module
from cutover.conductor.loop import INBOX_MAX, ClosedError, DefectError, Loop
from cutover.decision.command import AbortOrder, HoldOrder
from cutover.decision.run import Phase
from cutover.errors import JournalError
from cutover.evidence.observation import Started
from cutover.evidence.outcome import Count, Outcome
from cutover.journal.schema import BusyError

HOLD = HoldOrder("ann", "looking")


def loop_of(memory=None):
    heart, memory, ticks = engine(memory)
    told = []
    loop = Loop(heart, 500, told.append)
    loop.begin([Started(1, "b1", 0)])
    return loop, memory, told, ticks


async def stopped(task):
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_submit_returns_when_it_is_durable():
    """An acknowledgement is never a promise: the entry is in the journal first."""
    loop, memory, _, _ = loop_of()
    work = asyncio.create_task(loop.run())
    await loop.submit(ready())
    assert "Readiness" in memory.kinds()
    await stopped(work)


async def test_what_could_not_be_journaled_is_not_acknowledged():
    """When the disk refuses, the loop ends with the error and the caller hears no yes."""
    loop, memory, _, _ = loop_of()
    memory.fails = True
    work = asyncio.create_task(loop.run())
    with pytest.raises(ClosedError):
        await loop.submit(ready())
    with pytest.raises(JournalError):
        await work


async def test_a_stopping_loop_turns_everybody_away():
    """Those in the inbox, those in front of a full one and those who come late all get a no."""
    loop, memory, _, _ = loop_of()
    waiting = [asyncio.create_task(loop.submit(ready())) for _ in range(INBOX_MAX + 5)]
    await asyncio.sleep(0)
    work = asyncio.create_task(loop.run())
    await asyncio.sleep(0)
    work.cancel()
    done = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 5)
    await asyncio.gather(work, return_exceptions=True)
    assert all(isinstance(d, ClosedError | None) for d in done)
    assert sum(d is None for d in done) == memory.kinds().count("Readiness")
    with pytest.raises(ClosedError):
        await loop.submit(ready())


async def test_facts_keep_their_order():
    """First come, first journaled."""
    loop, memory, _, _ = loop_of()
    work = asyncio.create_task(loop.run())
    await asyncio.gather(*(loop.submit(ready(status=200 + n)) for n in range(40)))
    seen = [e.fact.status for e in memory.entries if type(e.fact).__name__ == "Readiness"]
    assert seen == [200 + n for n in range(40)]
    await stopped(work)


async def test_watchers_hear_only_what_is_durable():
    """Every batch that is told of is in the journal already."""
    loop, memory, told, _ = loop_of()
    work = asyncio.create_task(loop.run())
    await loop.submit(ready())
    assert [e.seq for batch in told for e in batch] == [e.seq for e in memory.entries]
    await stopped(work)


async def test_the_loop_ends_with_the_run():
    """A run that is over takes nothing more."""
    loop, _, _, _ = loop_of()
    loop.engine.run = loop.engine.run.__class__(id="run-1", phase=Phase.COMPLETE)
    await asyncio.wait_for(loop.run(), 5)
    with pytest.raises(ClosedError):
        await loop.submit(ready())


async def test_wait_table_answers_at_once_when_it_is_another():
    """Who comes with an older table has the new one without waiting."""
    loop, _, _, _ = loop_of()
    table = await asyncio.wait_for(loop.wait_table(0, 0, 60_000), 1)
    assert (table.term, table.generation) == (1, 1)


async def test_wait_table_ends_with_nothing_after_its_wait():
    """None, not an old table; also when there was no time to wait."""
    loop, _, _, _ = loop_of()
    assert await loop.wait_table(1, 1, 30) is None
    assert await loop.wait_table(1, 1, 0) is None


async def test_wait_table_returns_with_the_change():
    """An abort in the middle of a wait is the answer to it, not the next one's."""
    loop, _, _, _ = loop_of()
    waiting = [asyncio.create_task(loop.wait_table(1, 1, 60_000)) for _ in range(3)]
    await asyncio.sleep(0)
    loop.order(HOLD)  # changes no table
    await asyncio.sleep(0)
    assert not any(w.done() for w in waiting)
    assert loop.order(AbortOrder("ann", "stop")) == ""
    for table in await asyncio.wait_for(asyncio.gather(*waiting), 1):
        assert table.generation == 2


async def test_released_waits_end_at_once():
    """A stop is not delayed by long polls."""
    loop, _, _, _ = loop_of()
    waiting = asyncio.create_task(loop.wait_table(1, 1, 60_000))
    await asyncio.sleep(0)
    loop.release()
    with pytest.raises(ClosedError):
        await asyncio.wait_for(waiting, 1)


async def test_after_release_the_last_table_is_still_given():
    """Whoever has an older one gets it even then."""
    loop, _, _, _ = loop_of(Memory())
    loop.release()
    assert (await loop.wait_table(0, 0, 1_000)).generation == 1


async def test_a_snapshot_that_fails_hides_no_decision():
    """What was decided is told and in force, also when the state cannot be stored afterwards."""
    loop, memory, told, _ = loop_of()
    loop.engine._snapshot_due = 0

    def full(upto, data):
        assert [e.seq for batch in told for e in batch][-1] == upto, "told before it is tried"
        tries.append(upto)
        raise JournalError("the disk is full")

    tries = []
    memory.save_snapshot = full
    work = asyncio.create_task(loop.run())
    waiting = asyncio.create_task(loop.wait_table(1, 1, 60_000))
    await loop.submit(ready())
    assert loop.order(AbortOrder("ann", "stop")) == ""
    assert (await asyncio.wait_for(waiting, 5)).generation == 2
    await asyncio.wait_for(work, 5)
    assert len(tries) == 1
    assert [e.seq for batch in told for e in batch] == [e.seq for e in memory.entries]


async def test_a_report_that_breaks_a_rule_ends_nobody():
    """It alone is refused; what came with it is journaled, in order, and the loop goes on."""
    loop, memory, _, _ = loop_of()
    bad = report(counts=(Count(1, "no such intent", "a|b|c", Outcome.OK, 1),))
    real = loop.engine.advance

    def advance(facts):
        if bad in facts:
            raise ValueError("too many values")
        return real(facts)

    loop.engine.advance = advance
    facts = [ready(), bad, ready(status=503)]
    waiting = [asyncio.create_task(loop.submit(fact)) for fact in facts]
    await asyncio.sleep(0)
    work = asyncio.create_task(loop.run())
    done = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 5)
    assert [type(d) for d in done] == [type(None), DefectError, type(None)]
    seen = [e.fact.status for e in memory.entries if type(e.fact).__name__ == "Readiness"]
    assert seen == [200, 503]
    await loop.submit(ready())
    await stopped(work)


async def test_a_defect_that_no_report_brought_ends_the_loop():
    """Our own defects are loud: nobody goes on with a rule that breaks."""
    loop, _, _, _ = loop_of()

    def broken(facts):
        raise ValueError("ours")

    loop.engine.advance = broken
    work = asyncio.create_task(loop.run())
    with pytest.raises(ClosedError):
        await loop.submit(ready())
    with pytest.raises(ValueError, match="ours"):
        await work
    idle = Loop(loop.engine, 10, lambda _: None)
    with pytest.raises(ValueError, match="ours"):
        await asyncio.wait_for(idle.run(), 5)


async def test_a_journal_that_is_held_for_a_moment_is_waited_for(monkeypatch):
    """The fact is journaled when the other program lets go, and the event loop turns meanwhile."""
    monkeypatch.setattr(module, "BUSY_PAUSE_SECONDS", 0.001)
    loop, memory, _, _ = loop_of()
    real, left = memory.append, [5]

    def held(facts, at, wall):
        if left[0]:
            left[0] -= 1
            raise BusyError("another program holds it")
        return real(facts, at, wall)

    memory.append = held
    work = asyncio.create_task(loop.run())
    await asyncio.wait_for(loop.submit(ready()), 5)
    assert memory.kinds().count("Readiness") == 1
    left[0] = 10**9
    with pytest.raises(ClosedError):
        await loop.submit(ready())
    with pytest.raises(BusyError):
        await work


async def test_those_who_act_are_woken_before_the_log_is_written():
    """A log that breaks or blocks delays no table."""
    loop, _, _, _ = loop_of()
    woken = []
    loop._watch = lambda _: woken.append(before.is_set())
    before = loop._changed
    loop.order(HOLD)
    assert woken == [True]


class Machine:
    """One that sleeps when a test says so."""

    def __init__(self):
        self.slept = 5_000

    def suspended_ms(self):
        return self.slept


def sleeper():
    loop, memory, told, _ = loop_of()
    machine = Machine()
    awake = Loop(loop.engine, 500, told.append, suspended_ms=machine.suspended_ms)
    return awake, memory, machine


async def test_after_a_sleep_everything_is_looked_at_again():
    """No observed time passed, yet the evidence is old: a new term, and nothing counts as seen."""
    loop, memory, machine = sleeper()
    work = asyncio.create_task(loop.run())
    await loop.submit(ready())
    assert loop.engine.run.plane("phala").ready_at >= 0
    machine.slept += 60_000
    waiting = asyncio.create_task(loop.wait_table(1, 1, 60_000))
    assert (await asyncio.wait_for(waiting, 5)).term == 2
    assert Started(2, "b1", 60_000) in [e.fact for e in memory.entries]
    assert loop.engine.run.plane("phala").ready_at < 0
    count = memory.kinds().count("Started")
    await loop.submit(ready("hetzner"))
    assert memory.kinds().count("Started") == count == 2
    await stopped(work)


async def test_an_order_after_a_sleep_is_judged_by_no_old_evidence():
    """It may come before the loop's next tick."""
    loop, memory, machine = sleeper()
    machine.slept += 60_000
    loop.order(HOLD)
    kinds = memory.kinds()
    assert kinds.index("HoldOrder") > len(kinds) - 1 - kinds[::-1].index("Started")
    assert loop.engine.run.term == 2


async def test_short_sleeps_add_up_and_a_nap_alone_is_none():
    """Evidence lives as long as the runbook says, asleep or awake."""
    loop, memory, machine = sleeper()
    limit = loop.engine.runbook.blind.after_ms
    machine.slept += limit
    loop.order(HOLD)
    assert loop.engine.run.term == 1
    machine.slept += 1
    loop.order(HOLD)
    assert loop.engine.run.term == 2
    assert Started(2, "b1", limit + 1) in [e.fact for e in memory.entries]


def test_the_machine_tells_how_long_it_slept():
    """Never less than before, and never negative by more than the reading takes."""
    first = suspended_ms()
    assert first >= -1
    assert suspended_ms() - first < 1_000
