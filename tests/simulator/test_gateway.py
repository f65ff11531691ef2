"""A gateway node on virtual time: the product's own supervisor, crew and protocols."""

import asyncio
import contextlib
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from cutover import crashpoint
from cutover.errors import ConfigurationError
from cutover.evidence.outcome import Outcome
from cutover.evidence.wire import Grant
from cutover.gateway.config import GatewayConfig, Limits, PlaneEndpoint
from cutover.gateway.crashing import instrumented
from cutover.gateway.link import LinkError
from cutover.runbook.intent import Intent
from cutover.simulator.gateway import SimulatedNode, Site
from cutover.simulator.kernel.clock import SimulatedClock
from cutover.simulator.kernel.host import HOST, Killed, unwind
from cutover.simulator.kernel.loop import SimulationLoop
from cutover.simulator.kernel.network import Network
from cutover.simulator.kernel.weather import Weather
from gateway.doubles import CLIENT_KEY, NEAR_HASH, TOKEN, Raw, process, read_message, table, text

PAY = "pay 1 USDC to o/r"


class Plane:
    """A plane that says who it is; while `holding` it takes requests and answers none."""

    def __init__(self, name):
        self.name, self.seen, self.holding = name, [], False
        self.writers = []

    async def start(self):
        await asyncio.start_server(self._serve, self.name, 80)

    async def _serve(self, reader, writer):
        self.writers.append(writer)
        try:
            while True:
                line, headers, body = await read_message(reader)
                self.seen.append((line, headers, body))
                if not self.holding:
                    writer.write(text(f"✅ Distributed\n🔗 Transaction: {NEAR_HASH}"))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


class Conductor:
    """Offers one table; keeps every report, unless it is away."""

    def __init__(self):
        self.table, self.reports, self.away, self.closed = None, [], False, 0
        self.money_ms = 60_000
        self.changed = asyncio.Event()

    async def newer_table(self, node, has):
        if self.away:
            raise LinkError("nobody there")
        while self.table is None or (has and self.table.generation <= has.generation):
            self.changed.clear()
            await self.changed.wait()
        return self.table

    def offer(self, new):
        self.table = new
        self.changed.set()

    async def report(self, report):
        if self.away:
            raise LinkError("nobody there")
        self.reports.append(report)
        table = self.table
        return Grant(table.run if table else "", table.term if table else 1, self.money_ms)

    async def close(self):
        self.closed += 1

    def told(self):
        """Outcomes by boot, plane and intent, as the last report with each of them had it."""
        return {
            (r.boot, c.generation, c.plane, c.intent, c.outcome): c.n
            for r in self.reports
            for c in r.counts
        }


class World:
    def __init__(self, folder, seed=1, **changes):
        self.loop = asyncio.get_running_loop()
        self.network = self.loop.network = Network(self.loop, Weather(Random(seed)))
        self.planes = [Plane("hetzner"), Plane("phala")]
        self.conductor = Conductor()
        self.ended = []
        self.names = iter(range(1_000_000))
        defaults = {
            "node": "node-1", "host": "node-1", "port": 80, "workers": 1,
            "client_keys": (CLIENT_KEY,), "conductor_url": "http://conductor",
            "planes": {p.name: PlaneEndpoint(f"http://{p.name}", "key") for p in self.planes},
            "gateway_token": TOKEN, "state_dir": folder / "node", "report_every_ms": 500,
        }  # fmt: skip
        self.site = Site(
            config=GatewayConfig(**(defaults | changes)), link=lambda: self.conductor,
            clock=SimulatedClock(self.loop), fresh=lambda: f"fresh-{next(self.names)}",
            ended=lambda node: self.ended.append((node.exit_code, self.loop.now_ms())),
        )  # fmt: skip
        self.node = SimulatedNode(self.site)
        self.clients = []

    async def start(self, new=None):
        for plane in self.planes:
            await plane.start()
        self.conductor.table = new
        self.node.start()
        await asyncio.sleep(1)
        return self

    async def client(self):
        client = Raw(*await asyncio.open_connection("node-1", 80))
        self.clients.append(client)
        return client

    def hang_up(self):
        writers = [client.writer for client in self.clients]
        for writer in writers + [w for plane in self.planes for w in plane.writers]:
            writer.transport.abort()

    async def until(self, condition, seconds=30):
        """Virtual seconds, so a generous bound costs nothing."""
        async with asyncio.timeout(seconds):
            # ASYNC110: what it looks at is the world's, without an event
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.01)


def play(scenario, directory, seed=1, **changes):
    """Run a scenario in a simulation of its own and unwind it; no defect may be left over."""

    async def whole():
        world = World(directory, seed, **changes)
        try:
            return await scenario(world)
        finally:
            world.node.bury()
            world.hang_up()
            await asyncio.sleep(1)

    loop = SimulationLoop()
    try:
        result = loop.run_until_complete(whole())
    finally:
        for task in asyncio.all_tasks(loop):
            unwind(task)
        loop.close()
    assert [d for d in loop.defects if not isinstance(d.get("exception"), Killed)] == []
    return result


@pytest.fixture
def simulate(tmp_path):
    def run(scenario, folder="", **changes):
        return play(scenario, tmp_path / folder, **changes)

    return run


def test_a_request_goes_through_the_real_protocols_and_is_counted(simulate):
    """It reaches the plane of the table with that plane's key, and the conductor hears of it."""

    async def scenario(world):
        await world.start(table(7, share=10_000))
        answer = await (await world.client()).ask()
        await world.until(world.conductor.told)
        return answer, world.planes, world.conductor

    answer, (hetzner, phala), conductor = simulate(scenario)
    assert answer.status == 200
    assert (answer.headers["x-cutover-plane"], answer.headers["x-cutover-generation"]) == (
        "phala", "7",
    )  # fmt: skip
    assert hetzner.seen == []
    [(line, headers, _)] = phala.seen
    assert line == "POST /process HTTP/1.1"
    assert ("x-agent-api-key", "key") in headers
    assert conductor.told() == {("fresh-0", 7, "phala", Intent.ANALYZE, Outcome.OK): 1}
    assert answer.headers["x-request-id"].startswith("fresh-1-")


def test_a_table_from_the_link_is_adopted_and_said_to_be_in_force(simulate):
    async def scenario(world):
        await world.start()
        client = await world.client()
        before = await client.ask()
        offered = world.loop.now_ms()
        world.conductor.offer(table(3))
        await world.until(lambda: world.conductor.reports[-1].generation == 3)
        return before, world.loop.now_ms() - offered, await client.ask()

    before, took_ms, after = simulate(scenario)
    assert (before.status, before.json()["code"]) == (503, "no_table")
    assert after.headers["x-cutover-generation"] == "3"
    assert took_ms < 1_000


def test_a_crashed_node_goes_on_with_the_table_on_its_disk(simulate):
    """Nothing of it runs after the crash; the next start needs no conductor and is another boot."""

    async def scenario(world):
        await world.start(table(5))
        client = await world.client()
        await client.ask()
        world.node.crash()
        said = len(world.conductor.reports)
        assert world.node.workers == []
        assert await client.ended()
        with pytest.raises(ConnectionRefusedError):
            await world.client()
        await asyncio.sleep(60)
        assert len(world.conductor.reports) == said
        assert world.conductor.closed == 0, "a killed process says no farewell"
        world.conductor.away = True
        world.node.start()
        await asyncio.sleep(0.1)
        answer = await (await world.client()).ask()
        world.conductor.away = False
        await world.until(lambda: len(world.conductor.reports) > said)
        return answer, {report.boot for report in world.conductor.reports}, world.ended

    answer, boots, ended = simulate(scenario)
    assert (answer.status, answer.headers["x-cutover-generation"]) == (200, "5")
    assert len(boots) == 2
    assert [code for code, _ in ended] == [-9]


def test_what_was_not_on_the_disk_at_the_crash_is_not_there_after_it(simulate):
    async def scenario(world):
        await world.start(table(1, share=10_000))
        world.node.disk_seconds = 5
        world.conductor.offer(table(2, share=0))
        await world.until(lambda: world.conductor.reports[-1].generation == 2)
        world.node.crash()
        await asyncio.sleep(10)
        world.conductor.away = True
        world.node.start()
        await asyncio.sleep(0.1)
        return await (await world.client()).ask()

    assert simulate(scenario).headers["x-cutover-generation"] == "1"


def test_a_crashed_worker_is_replaced_and_the_money_it_held_has_an_unknown_end(simulate):
    """Its counts stay counted; the money in its hand is neither in flight nor forgotten."""

    async def scenario(world):
        await world.start(table(1, share=10_000, pay=10_000))
        client = await world.client()
        await client.ask(PAY)
        world.planes[1].holding = True
        await client.send(process(PAY))
        reports = world.conductor.reports
        await world.until(lambda: reports[-1].money_in_flight == 1)
        dead = world.node.workers[0]
        world.node.crash_worker(0)
        assert await client.ended()
        await world.until(lambda: world.node.workers[0] is not dead)
        world.planes[1].holding = False
        await asyncio.sleep(1)
        again = await (await world.client()).ask(PAY)
        await world.until(lambda: sum(world.conductor.told().values()) == 3)
        ends = {key[-1]: n for key, n in world.conductor.told().items()}
        return again, reports[-1], dead.returncode, ends

    again, last, code, ends = simulate(scenario)
    assert again.status == 200
    assert ends == {Outcome.OK: 2, Outcome.UNKNOWN: 1}
    assert (last.lost, last.in_flight, last.money_in_flight) == (0, 0, 0)
    assert code == -9


def test_an_orderly_stop_finishes_what_is_in_hand_and_says_the_last_counts(simulate):
    async def scenario(world):
        await world.start(table(1))
        client = await world.client()
        world.planes[0].holding = True
        await client.send(process("analyze o/r"))
        await asyncio.sleep(0.2)
        world.node.stop()
        await world.node.gone()
        answer = await client.answer()
        return answer, world.conductor, world.ended

    answer, conductor, ended = simulate(scenario, limits=Limits(drain_seconds=2.0))
    assert answer.status == 504
    assert list(conductor.told().values()) == [1]
    assert conductor.reports[-1].in_flight == 0
    assert [code for code, _ in ended] == [0]
    assert conductor.closed == 1


def test_a_paused_machine_does_nothing_until_it_goes_on(simulate):
    async def scenario(world):
        await world.start(table(1))
        client = await world.client()
        await client.ask()
        world.node.pause()
        said = len(world.conductor.reports)
        await client.send(process("analyze o/r"))
        await asyncio.sleep(20)
        assert len(world.conductor.reports) == said
        assert len(world.planes[0].seen) == 1
        world.node.go_on()
        return await client.answer()

    assert simulate(scenario).status == 200


def test_a_node_at_rest_costs_only_its_reports(simulate):
    """Without clients nobody looks at workers, and they sweep nothing; then it serves as ever."""

    async def scenario(world):
        await world.start(table(1))
        await (await world.client()).ask()
        world.clients[0].writer.transport.abort()
        await asyncio.sleep(10)
        calls = []
        crew, board = world.node._life.node._crew, world.node.workers[0]._board
        for owner, name in ((crew, "check"), (board, "sweep")):
            method = getattr(owner, name)
            setattr(owner, name, lambda m=method, n=name: (calls.append(n), m()))
        await asyncio.sleep(3_600)
        at_rest = list(calls)
        answer = await (await world.client()).ask()
        await asyncio.sleep(1)
        return at_rest, answer, set(calls)

    at_rest, answer, then = simulate(scenario, report_every_ms=60_000)
    assert at_rest == []
    assert answer.status == 200
    assert then == {"check", "sweep"}


def test_a_second_node_on_the_same_directory_ends_at_once_and_says_why(simulate):
    async def scenario(world):
        await world.start()
        second = SimulatedNode(world.site)
        second.start()
        await second.gone()
        return second

    second = simulate(scenario)
    assert second.exit_code == 1
    assert isinstance(second.error, ConfigurationError)
    assert "in use by another gateway node" in str(second.error)


@pytest.mark.parametrize(
    ("point", "generation"),
    [
        ("node.serving", "2"), ("node.keep.before", "1"), ("node.keep.after", "2"),
        ("node.publish.before", "1"), ("node.publish.after", "1"), ("node.report.answered", "2"),
    ],
)  # fmt: skip
def test_a_node_that_dies_at_a_point_starts_with_what_was_on_its_disk(simulate, point, generation):
    """The new table raises no share, so it is in force before it is on the disk."""

    async def scenario(world):
        await world.start(table(1, share=10_000))
        with dying(world.node, point):
            world.conductor.offer(table(2, share=0))
            if point == "node.serving":
                await world.until(lambda: world.node.in_force.generation == 2)
                world.node.crash()
                world.node.start()
            await world.until(lambda: world.ended and world.node.host is None)
        world.conductor.away = True
        world.node.start()
        await asyncio.sleep(0.1)
        return await (await world.client()).ask()

    assert simulate(scenario).headers["x-cutover-generation"] == generation


@pytest.mark.parametrize(
    ("point", "planes_saw", "counted", "lost"),
    [("worker.carry.before", 0, 0, 1), ("worker.answer.before", 1, 0, 1),
     ("worker.count.before", 1, 0, 0), ("worker.answer.after", 1, 1, 0)],
)  # fmt: skip
def test_a_worker_that_dies_at_a_point_loses_what_it_held_then(
    simulate, point, planes_saw, counted, lost
):
    async def scenario(world):
        await world.start(table(1))
        client = await world.client()
        with instrumented(), dying(None, point):
            await client.send(process())
            await world.until(lambda: world.node.workers[0].returncode is not None)
        await asyncio.sleep(5)
        await (await world.client()).ask()
        await asyncio.sleep(2)
        return len(world.planes[0].seen), world.conductor

    saw, conductor = simulate(scenario)
    assert saw == planes_saw + 1
    assert sum(conductor.told().values()) == counted + 1
    assert conductor.reports[-1].lost == lost


@contextlib.contextmanager
def dying(node, point):
    """Kill the supervisor, or the worker that passes it, at the first passing of a point."""

    def passed(name):
        host = HOST.get()
        if name == point and host is not None and host.alive:
            if node is not None:
                node.crash()
            host.kill()
            raise Killed(name)

    crashpoint.arm(passed)
    try:
        yield
    finally:
        crashpoint.disarm()


def test_the_same_seed_gives_the_same_reports_and_answers(simulate):
    """With a crash of a worker and of the node in it."""
    first, again = (simulate(_eventful, seed=9, folder=folder) for folder in ("a", "b"))
    assert first == again
    assert first != simulate(_eventful, seed=10, folder="c")


def test_the_order_of_everything_is_the_same_under_another_hash_seed(tmp_path):
    said = [
        subprocess.run(
            [sys.executable, __file__, str(tmp_path / seed)],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[1])},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    ]  # fmt: skip
    assert said[0] == said[1]
    assert "generation" in said[0]


async def _eventful(world):
    await world.start(table(1, share=5_000))
    said = []
    for number in range(30):
        if number == 10:
            world.node.crash_worker(0)
            await asyncio.sleep(2)
        if number == 20:
            world.node.crash()
            world.node.start()
            await asyncio.sleep(2)
        answer = await (await world.client()).ask(author=f"user-{number}")
        said.append((world.loop.now_ms(), answer.status, sorted(answer.headers.items())))
    await asyncio.sleep(2)
    return said, world.conductor.reports


if __name__ == "__main__":  # in a process with a hash seed of its own
    print(play(_eventful, Path(sys.argv[1]), workers=1))  # noqa: T201 - its parent reads it
