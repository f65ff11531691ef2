"""A loop whose run only waits does nothing until something could change, and is never late."""

import asyncio

import msgspec
import pytest

from conductor.doubles import Memory
from cutover.clock import ObservedClock
from cutover.conductor.engine import NOTHING, Engine
from cutover.conductor.loop import SLEEP_SECONDS_MAX, TICK_SECONDS_MAX, Loop
from cutover.decision.command import DisarmOrder, HoldOrder
from cutover.decision.kinds import Hold
from cutover.decision.run import Run
from cutover.decision.step import table_for, table_parts
from cutover.decision.wanted import wanted
from cutover.evidence.observation import Readiness
from decision.scenario import _begun, _copied, runbook_text
from virtual import VirtualClock, run

TEXT = runbook_text("phased")


def calm_world():
    world = _copied(_begun(TEXT, "primary", 10_000))
    world.advance(90_000)
    return world


class Counted(Engine):
    """Counts how often time alone was asked."""

    asked = 0

    def advance(self, facts):
        self.asked += not facts
        return super().advance(facts)


def played(story, suspended_ms=None):
    """Tell a story to a loop that works on a calm run; the engine and its journal afterwards."""

    async def all_of_it():
        world, memory = calm_world(), Memory()
        memory.shift = world.run.seq
        engine = Counted(world.runbook, world.run, memory, ObservedClock(VirtualClock(), world.now))
        loop = Loop(engine, 5_000, lambda _: None, suspended_ms=suspended_ms)
        work = asyncio.create_task(loop.run())
        await story(loop)
        work.cancel()
        return engine, memory

    return run(all_of_it())


def test_time_alone_is_not_asked_while_it_can_bring_nothing():
    """Twenty seconds of rest are a question or two instead of eighty."""

    async def story(_):
        await asyncio.sleep(20)

    engine, memory = played(story)
    assert engine.asked <= 2
    assert memory.entries == []


def test_a_loop_that_rests_is_there_when_something_grows_too_old():
    """The first decision that time alone brings is at its own millisecond."""

    async def story(_):
        await asyncio.sleep(60)

    engine, memory = played(story)
    first = memory.entries[0]
    world = calm_world()
    blind = world.runbook.blind.after_ms
    newest = min(world.run.plane(name).ready_at for name in world.runbook.planes)
    assert isinstance(first.fact, Hold)
    assert first.at_ms == newest + blind + 1
    assert engine.asked > 60 / TICK_SECONDS_MAX / 3  # not calm any more: asked as ever


def test_a_look_while_the_loop_rests_is_taken_at_once():
    """Resting is no reason to let anybody wait."""

    async def story(loop):
        await asyncio.sleep(3)
        before = asyncio.get_running_loop().time()
        await loop.submit(Readiness("phala", 503, None, None, "503"))
        assert asyncio.get_running_loop().time() == before

    _, memory = played(story)
    assert memory.kinds()[0] == "Readiness"


def test_an_order_ends_the_rest():
    """What runs out after it is noticed in time, though the loop had lain down for longer."""

    async def story(loop):
        await asyncio.sleep(3)
        assert loop.order(DisarmOrder("ann", "works on it", "payments-failed", 2_000)) == ""
        await asyncio.sleep(2 + 2 * TICK_SECONDS_MAX)

    _, memory = played(story)
    held = [e for e in memory.entries if isinstance(e.fact, Hold)]
    codes = [[reason.code for reason in e.fact.reasons] for e in held]
    assert any(code.startswith("disarmed:") for code in codes[0])
    assert not any(code.startswith("disarmed:") for code in codes[-1])
    assert held[-1].at_ms - held[0].at_ms <= 2_000 + 1_000 * TICK_SECONDS_MAX


def test_a_machine_that_may_sleep_is_looked_at_all_the_same():
    """A sleep is noticed within a second, though the run could rest for longer."""
    slept = [0]

    async def story(loop):
        await asyncio.sleep(3)
        slept[0] = 3_600_000
        await asyncio.sleep(SLEEP_SECONDS_MAX)
        assert loop.engine.run.plane("phala").ready_at < 0

    _, memory = played(story, lambda: slept[0])
    assert memory.kinds()[0] == "Started"


def test_nothing_is_wanted_in_a_rest():
    """The short answer is the whole one's, and the whole one is given when the rest is over."""

    async def story(loop):
        engine = loop.engine
        await asyncio.sleep(1)
        assert engine.rests_ms() > 0
        assert engine.wanted() is NOTHING
        assert wanted(engine.runbook, engine.run, engine.now_ms()) == NOTHING
        loop.order(HoldOrder("ann", "looking"))
        assert engine.rests_ms() == 0
        assert engine.wanted() == wanted(engine.runbook, engine.run, engine.now_ms())
        assert engine.wanted() is not NOTHING

    played(story)


@pytest.mark.parametrize("name", Run.__struct_fields__)
def test_a_table_is_made_of_its_parts_alone(name):
    """Whatever else of a state is as in another one, its table stays the same."""
    begun, runbook = calm_world().run, calm_world().runbook
    other = _copied(_begun(TEXT, "mixed", 10_000)).run
    changed = msgspec.structs.replace(begun, **{name: getattr(other, name)})
    if table_parts(changed) == table_parts(begun):
        assert table_for(runbook, changed) == table_for(runbook, begun)


def test_the_table_is_made_anew_when_it_changes():
    """An abort's table is another one; until then it is the very same."""

    async def story(loop):
        first = loop.engine.table()
        await loop.submit(Readiness("phala", 200, True, True, "200"))
        assert loop.engine.table() is first
        loop.engine.run = msgspec.structs.replace(
            loop.engine.run, stage=-1, generation=first.generation + 1
        )
        assert loop.engine.table() == table_for(loop.engine.runbook, loop.engine.run)
        assert loop.engine.table() != first

    played(story)
