"""What a gateway node does with payments to the candidate while nobody tells it anything."""

import asyncio
import json

import pytest

from cutover.evidence.outcome import Outcome
from cutover.evidence.wire import Grant
from cutover.gateway.answers import PAUSED_RETRY_SECONDS
from cutover.gateway.link import LinkError
from cutover.runbook.intent import Intent
from gateway.doubles import request, table
from simulator.test_gateway import PAY, play

EXPOSED = {"share": 10_000, "pay": 10_000}
LEASE_MS = 10_000


@pytest.fixture
def simulate(tmp_path):
    def run(scenario, **changes):
        return play(scenario, tmp_path, **changes)

    return run


async def serving(world, **changes):
    """A node whose table sends payments to the candidate, and a client of it."""
    world.conductor.money_ms = LEASE_MS
    await world.start(table(1, **{**EXPOSED, **changes}))
    return await world.client()


def cut_off(world):
    """The conductor is gone; returns until when its last word holds, in loop milliseconds."""
    world.conductor.away = True
    return world.loop.now_ms() + LEASE_MS


async def wait_until(world, at_ms):
    await asyncio.sleep((at_ms - world.loop.now_ms()) / 1000)


def paused(answer):
    """Refused before anything was sent, in the one shape, with a word on when to come again."""
    assert (answer.status, answer.json()["code"]) == (503, "payments_paused")
    assert answer.headers["retry-after"] == str(PAUSED_RETRY_SECONDS)
    return "nothing was sent" in answer.json()["error"]


def test_cut_off_it_pays_until_the_last_word_is_over_and_not_after(simulate):
    """Whatever is not money goes on; each refusal is counted, and the candidate sees none."""

    async def scenario(world):
        client = await serving(world)
        over = cut_off(world)
        await wait_until(world, over - 600)  # the last report was up to 500 ms earlier
        before = await client.ask(PAY)
        await wait_until(world, over)
        seen = len(world.planes[1].seen)
        refused = [await client.ask(PAY) for _ in range(2)]
        assert len(world.planes[1].seen) == seen
        await asyncio.sleep(3_600)
        refused.append(await (await world.client()).ask(PAY))
        other = await (await world.client()).ask("analyze o/r")
        world.conductor.away = False
        await world.until(lambda: Outcome.REFUSED in {k[-1] for k in world.conductor.told()})
        return before, refused, other, world.conductor.told(), await client_again(world)

    before, refused, other, told, after = simulate(scenario)
    assert before.status == 200
    assert all(paused(answer) for answer in refused)
    assert (other.status, other.headers["x-cutover-plane"]) == (200, "phala")
    assert told["fresh-0", 1, "phala", Intent.PAY, Outcome.REFUSED] == 3
    assert after.status == 200, "the conductor is back and says that it may"


async def client_again(world):
    await asyncio.sleep(1)
    return await (await world.client()).ask(PAY)


def test_the_fallback_needs_nobodys_word(simulate):
    """Payments that the table keeps on the fallback go on for ever."""

    async def scenario(world):
        await serving(world, pay=0)
        cut_off(world)
        await asyncio.sleep(100)
        return await (await world.client()).ask(PAY)

    answer = simulate(scenario)
    assert (answer.status, answer.headers["x-cutover-plane"]) == (200, "hetzner")


def test_a_word_of_nothing_pauses_at_once_and_the_next_one_lifts_it(simulate):
    """The newest answer counts, however long the one before it held."""

    async def scenario(world):
        client = await serving(world)
        found = [await client.ask(PAY)]
        for money_ms in (0, LEASE_MS):
            world.conductor.money_ms = money_ms
            await asyncio.sleep(1)
            found.append(await client.ask(PAY))
        return found

    first, between, last = simulate(scenario)
    assert (first.status, last.status) == (200, 200)
    assert paused(between)


def test_after_a_restart_it_waits_for_the_first_word(simulate):
    """What it was told before it ended is not on its disk: nobody knows how long ago that was."""

    async def scenario(world):
        await serving(world)
        world.node.crash()
        cut_off(world)
        world.node.start()
        await asyncio.sleep(0.5)
        alone = await (await world.client()).ask(PAY)
        world.conductor.away = False
        await asyncio.sleep(3)
        return alone, await (await world.client()).ask(PAY)

    alone, heard = simulate(scenario)
    assert paused(alone)
    assert heard.status == 200


def test_a_table_without_lease_goes_on_for_ever(simulate):
    """A run that is complete has no conductor any more; its table is on the disk."""

    async def scenario(world):
        await serving(world, leased=False)
        cut_off(world)
        await asyncio.sleep(100)
        before = await (await world.client()).ask(PAY)
        world.node.crash()
        world.node.start()
        await asyncio.sleep(0.5)
        return before, await (await world.client()).ask(PAY)

    assert [answer.status for answer in simulate(scenario)] == [200, 200]


@pytest.mark.parametrize("stranger", [Grant("run-2", 9, LEASE_MS), Grant("run-1", 1, LEASE_MS)])
def test_only_the_conductor_of_its_own_run_has_a_say_and_no_replaced_one(simulate, stranger):
    """Another's word neither lets money go on nor ends it."""

    async def scenario(world):
        client = await serving(world, term=2)
        told = world.conductor.report

        async def report(said):
            await told(said)
            return stranger

        world.conductor.report = report
        await asyncio.sleep(LEASE_MS / 2_000)
        before = await client.ask(PAY)
        await asyncio.sleep(LEASE_MS / 1_000)
        return before, await client.ask(PAY)

    before, after = simulate(scenario)
    assert before.status == 200
    assert paused(after)


def test_the_word_of_one_run_is_not_worth_anything_in_the_next(simulate):
    """What lets payments go on is said by the conductor of the table in force."""

    async def scenario(world):
        client = await serving(world)

        async def unheard(_):
            raise LinkError("lost")

        world.conductor.report = unheard
        world.conductor.offer(table(2, run="run-2", **EXPOSED))
        await asyncio.sleep(1)
        return await client.ask(PAY)

    answer = simulate(scenario, accept_run="run-1")
    assert paused(answer)


def test_the_word_is_counted_from_when_it_was_asked_for(simulate):
    """An answer that was long on its way is not worth more for that."""

    async def scenario(world):
        client = await serving(world)
        world.conductor.money_ms = 0
        await asyncio.sleep(1)
        told, asked = world.conductor.report, []

        async def report(said):
            asked.append(world.loop.now_ms())
            world.conductor.money_ms = 5_000
            grant = await told(said)
            await asyncio.sleep(4)
            world.conductor.report, world.conductor.away = told, True
            return grant

        world.conductor.report = report
        await world.until(lambda: world.conductor.away)
        await wait_until(world, asked[0] + 4_500)
        before = await client.ask(PAY)
        await wait_until(world, asked[0] + 5_000)
        return before, await client.ask(PAY)

    before, after = simulate(scenario)
    assert before.status == 200
    assert paused(after)


def test_the_web_client_is_refused_the_same_way(simulate):
    """A text that nobody understands may be a payment, by whichever route it comes."""

    async def scenario(world):
        await serving(world)
        cut_off(world)
        await asyncio.sleep(100)
        client = await world.client()
        body = json.dumps({"text": "do something", "userId": "u1"}).encode()
        await client.send(request("POST", "/api/agent", body))
        return await client.answer(), world.planes[1].seen

    answer, seen = simulate(scenario)
    assert paused(answer)
    assert seen == []


def test_a_payment_that_waited_for_its_connection_is_not_sent_when_it_has_become_too_late(simulate):
    """It is judged when it is sent, not when it came."""

    async def scenario(world):
        client = await serving(world)
        over = cut_off(world)
        pool = world.node.workers[0]._board.pools["phala"]
        connect, late = pool.connect, []
        pool.connect = lambda exchange: late.append(exchange) or True
        await asyncio.sleep(1)
        asking = asyncio.create_task(client.ask(PAY))
        await wait_until(world, over)
        pool.connect = connect
        assert connect(late[0])
        answer = await asking
        world.conductor.away = False
        await world.until(world.conductor.told)
        return answer, world.planes[1].seen, world.conductor

    answer, seen, conductor = simulate(scenario, deadlines_ms={Intent.PAY: 60_000})
    assert paused(answer)
    assert answer.headers["x-cutover-plane"] == "phala"
    assert seen == []
    assert conductor.told() == {("fresh-0", 1, "phala", Intent.PAY, Outcome.REFUSED): 1}
    assert conductor.reports[-1].money_in_flight == 0
