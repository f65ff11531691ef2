"""A conductor at work without a process around it: it begins whole, and ends as it is told."""

import asyncio

import pytest

from conductor import puppet
from conductor.doubles import DEMO, report
from cutover.conductor.assembly import assemble
from cutover.conductor.loop import ClosedError
from cutover.conductor.work import LATE_SECONDS, LINGER_SECONDS, ApiEndedError, work
from cutover.decision.command import AbortOrder
from cutover.decision.kinds import BeginChecks, Complete, OpenStage
from cutover.evidence.observation import (
    Adopted,
    CanaryRound,
    PreconditionSeen,
    Readiness,
    Started,
    Stopped,
)
from cutover.journal.store import Journal
from virtual import run


@pytest.fixture
def journal(tmp_path):
    made = Journal.open(tmp_path / "journal.db", "run-1")
    yield made
    made.close()


def play(journal, script, doors=None):
    """Work in virtual time while `script` is played over the parts."""

    async def all_of_it():
        stop, parts = asyncio.Event(), assemble(DEMO, journal, puppet.outside())
        api = doors or puppet.Doors()
        working = asyncio.create_task(work(parts, stop, api))
        try:
            await script(parts, stop, working)
        finally:
            working.cancel()
            await asyncio.wait([working])

    run(all_of_it())
    return [entry.fact for entry in journal.entries()]


def test_everything_is_at_work_and_a_stop_closes_it(journal):
    """Probes probe, what is wanted is gathered, and the last word is why it ended."""

    async def script(parts, stop, working):
        await asyncio.sleep(3.05)
        stop.set()
        await working

    facts = play(journal, script)
    kinds = [type(fact) for fact in facts]
    assert kinds.count(Readiness) == 14
    assert kinds.count(CanaryRound) >= 2
    assert PreconditionSeen in kinds
    assert facts[-1] == Stopped("stopped by a signal")
    assert kinds.count(Stopped) == 1


def test_after_the_end_the_last_table_is_still_served(journal):
    """Nodes have a little time to take it; then everybody is sent home."""

    async def script(parts, stop, working):
        await asyncio.sleep(1)
        assert parts.loop.order(AbortOrder("ann", "stop")) == ""
        loop = asyncio.get_running_loop()
        ended = loop.time()
        await asyncio.sleep(LINGER_SECONDS / 2)
        table = await parts.desk.table("node-1", "run-1", 1, 1, 0)
        assert (table.generation, working.done()) == (2, False)
        with pytest.raises(ClosedError):
            await parts.desk.table("node-1", "run-1", 1, 2, 20_000)
        await working
        assert ended + LINGER_SECONDS <= loop.time() <= ended + LINGER_SECONDS + 0.3

    assert play(journal, script)[-1] == Stopped("the run is over")


def complete(journal):
    """A journal of a run that is over, on whose way one node served."""
    moves = [OpenStage(stage.name, (), ()) for stage in DEMO.stages]
    node = report(generation=len(moves) + 1)
    facts = [Adopted("run-1", DEMO.text, "", {}), Started(1, "b", 0), *moves, BeginChecks((), ())]
    journal.append([*facts, node, Complete((), ())], 1_000, 0)
    return len(moves) + 2


@pytest.mark.parametrize("seconds", [0.5, LINGER_SECONDS + 1.5])
def test_a_complete_run_that_is_started_again_offers_the_table_that_needs_no_conductor(
    journal, seconds
):
    """A node that missed it gets it, even one that finds the conductor only after a while."""
    generation = complete(journal)

    async def script(parts, stop, working):
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.sleep(seconds)
        assert not working.done()
        table = await parts.desk.table("node-1", "run-1", 1, generation - 1, 20_000)
        assert (table.term, table.generation, table.leased) == (2, generation, False)
        with pytest.raises(ClosedError):
            await parts.desk.table("node-1", "run-1", 2, generation, 20_000)
        await working
        assert loop.time() - began == pytest.approx(max(seconds, LINGER_SECONDS), abs=0.3)

    assert play(journal, script)[-1] == Stopped("the run is over")


@pytest.mark.parametrize("stopped", [True, False])
def test_a_node_that_never_comes_is_not_waited_for_long(journal, stopped, monkeypatch):
    """It is named, with what to do; a signal ends the wait at once."""
    told = []
    monkeypatch.setattr("cutover.conductor.work.say", lambda event, **more: told.append(more))
    complete(journal)

    async def script(parts, stop, working):
        loop = asyncio.get_running_loop()
        began = loop.time()
        if stopped:
            loop.call_later(1, stop.set)
        await working
        waited = 1 if stopped else LINGER_SECONDS + LATE_SECONDS
        assert loop.time() - began == pytest.approx(waited, abs=0.3)

    play(journal, script)
    assert [said["nodes"] for said in told] == [["node-1"]]


class Gone(puppet.Doors):
    """An API that is gone by itself after a while."""

    def __init__(self, error):
        super().__init__()
        self._error = error

    async def serve(self):
        await asyncio.sleep(2)
        if self._error:
            raise self._error


@pytest.mark.parametrize("error", [None, OSError("accept failed")])
def test_an_api_that_ends_by_itself_ends_the_work_loudly(journal, error):
    """No last word is journaled as if all were well."""

    async def script(parts, stop, working):
        with pytest.raises(BaseExceptionGroup) as caught:
            await working
        expected = OSError if error else ApiEndedError
        assert caught.value.subgroup(expected) is not None

    facts = play(journal, script, Gone(error))
    assert not any(isinstance(fact, Stopped) for fact in facts)


def test_a_cancelled_conductor_says_nothing_more(journal):
    """As one whose process was killed: the next start goes on from its last entry."""
    heads = []

    async def script(parts, stop, working):
        await asyncio.sleep(2)
        heads.append(journal.head)
        working.cancel()
        await asyncio.wait([working])

    play(journal, script)
    assert heads == [journal.head]
