"""What nodes get from a conductor without any HTTP between them."""

import asyncio

import msgspec
import pytest

from conductor.doubles import DEMO, engine, verdict
from cutover.conductor import desk
from cutover.conductor.desk import Desk, UnreadableError
from cutover.conductor.loop import ClosedError, Loop
from cutover.conductor.nodes import Nodes
from cutover.decision.command import AbortOrder
from cutover.evidence import wire
from cutover.evidence.observation import GatewayReport, Started, Verdict
from cutover.evidence.wire import Grant, NodeReport, key_proof
from virtual import run

KEYS = {"hetzner": "key-h", "phala": "key-p"}


class World:
    """A desk over a working loop, in virtual time."""

    def __init__(self):
        heart, self.memory, self.ticks = engine()
        self.slept = 0
        self.loop = Loop(heart, 500, lambda _: None, suspended_ms=lambda: self.slept)
        self.loop.begin([Started(1, "b1", 0)])
        self.desk = Desk(self.loop, Nodes(heart._clock, 3_000, self.loop.submit, ()), KEYS)

    def play(self, work):
        async def all_of_it():
            async with asyncio.TaskGroup() as group:
                working = group.create_task(self.loop.run())
                try:
                    return await work
                finally:
                    working.cancel()

        return run(all_of_it())

    def reports(self):
        return [e.fact for e in self.memory.entries if isinstance(e.fact, GatewayReport)]


def said(**changes):
    proofs = {plane: key_proof(key, "b1") for plane, key in KEYS.items()}
    values = {
        "node": "node-1", "boot": "b1", "term": 1, "generation": 1, "refused_generation": 0,
        "refused": "", "in_flight": 0, "lost": 0, "counts": (), "conversations": (),
        "key_proofs": proofs,
    }  # fmt: skip
    return msgspec.json.encode(NodeReport(**{**values, **changes}))


async def took(work):
    loop = asyncio.get_running_loop()
    began = loop.time()
    found = await work
    return found, loop.time() - began


def test_a_node_without_the_table_in_force_has_it_at_once():
    """An older generation, an older term or another run's numbers are all worth a table."""
    world = World()
    for run_id, term, generation in (("", 1, 0), ("", 0, 1), ("run-0", 1, 1)):
        asked = took(world.desk.table("node-1", run_id, term, generation, 9_000))
        table, seconds = world.play(asked)
        assert (table.run, table.term, table.generation, seconds) == ("run-1", 1, 1, 0)


@pytest.mark.parametrize(
    ("wait_ms", "seconds"), [(-5, 0), (0, 0), (2_000, 2), (10**9, wire.TABLE_WAIT_MS_MAX / 1000)]
)
def test_a_node_waits_as_long_as_it_says_and_no_longer_than_the_limit(wait_ms, seconds):
    """Nothing new is no table."""
    world = World()
    assert world.play(took(world.desk.table("node-1", "run-1", 1, 1, wait_ms))) == (None, seconds)


def test_a_change_ends_the_wait():
    """Whoever waits has the next table in the moment it is decided."""
    world = World()

    async def ordered():
        waiting = asyncio.create_task(took(world.desk.table("node-1", "run-1", 1, 1, 20_000)))
        await asyncio.sleep(3)
        assert world.loop.order(AbortOrder("ann", "stop")) == ""
        return await waiting

    table, seconds = world.play(ordered())
    assert (table.generation, seconds) == (2, 3)


@pytest.mark.parametrize("node", ["", "a b", "n\n", "x" * 65, "\xe9"])
def test_a_name_that_no_node_has_gets_nothing(node):
    """It is refused whether it would have had to wait or not."""
    world = World()
    with pytest.raises(UnreadableError, match="node"):
        run(world.desk.table(node, "", 0, 0, 0))


def test_a_report_is_durable_when_it_was_taken():
    """With the proof of its keys judged."""
    world = World()
    wrong = {plane: key_proof("another", "b1") for plane in KEYS}

    async def told():
        await world.desk.report(said())
        assert [(seen.node, seen.keys_match) for seen in world.reports()] == [("node-1", True)]
        await world.desk.report(said(node="node-2", key_proofs=wrong))
        assert [seen.keys_match for seen in world.reports()] == [True, False]

    world.play(told())


MAX_AGE = DEMO.attestation_gate().max_age_ms


def test_a_report_is_answered_with_how_long_money_may_go_on():
    """The rest of the newest trusted verdict's age, said by whom; nothing before one is there."""
    world = World()

    async def told():
        grants = [await world.desk.report(said())]
        await world.loop.submit(verdict())
        for _ in range(2):  # the second says nothing new, and is answered all the same
            world.ticks.ms += 3_000
            grants.append(await world.desk.report(said()))
        await world.loop.submit(verdict(Verdict.DEGRADED))
        return [*grants, await world.desk.report(said())]

    left = [0, MAX_AGE - 3_000, MAX_AGE - 6_000, 0]
    assert world.play(told()) == [Grant("run-1", 1, ms) for ms in left]


def test_after_a_sleep_of_the_machine_nothing_is_granted_for_what_was_before_it():
    """Observed time stood still meanwhile; the answer does not wait for the loop to notice."""
    world = World()

    async def told():
        await world.desk.report(said())
        await world.loop.submit(verdict())
        world.slept = 8 * 3_600_000
        return await world.desk.report(said())

    assert world.play(told()) == Grant("run-1", 2, 0)


def test_no_grant_is_longer_than_the_wire_takes(monkeypatch):
    """However old a runbook lets verdicts become."""
    monkeypatch.setattr(desk, "GRANT_MS_MAX", 4_000)
    world = World()

    async def told():
        await world.loop.submit(verdict())
        return await world.desk.report(said())

    assert world.play(told()).money_ms == 4_000


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"[" * 5_000, b"\xff", said(node="a b"), b" " * (wire.REPORT_BYTES_MAX + 1)],
)
def test_what_is_no_report_leaves_nothing_behind(body):
    """Whatever it is, it is one kind of error, and the journal does not know of it."""
    world = World()
    with pytest.raises(UnreadableError, match="not a report"):
        run(world.desk.report(body))
    assert world.reports() == []


def test_a_stopping_conductor_sends_its_nodes_away():
    """They go on with what they have, and say their numbers again later."""
    world = World()

    async def closed():
        working = asyncio.create_task(world.loop.run())
        await asyncio.sleep(1)
        working.cancel()
        await asyncio.wait([working])
        world.loop.release()
        with pytest.raises(ClosedError):
            await world.desk.table("node-1", "run-1", 1, 1, 9_000)
        with pytest.raises(ClosedError):
            await world.desk.report(said())

    run(closed())
    assert world.reports() == []
