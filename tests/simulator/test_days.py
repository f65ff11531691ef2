"""A run of days in a world that is made for days: fewer clients and no bytes, and nothing else."""

import asyncio
from pathlib import Path

import pytest

from cutover.conductor.plane_client import HttpPlane
from cutover.runbook.load import load_text
from cutover.simulator.kernel.host import Host
from cutover.simulator.play import simulate
from cutover.simulator.swarm import DAYS, Job
from cutover.simulator.trace import Trace
from cutover.simulator.world.http import client
from cutover.simulator.world.port import PortPlane
from cutover.simulator.world.world import Habits, Watch, World
from simulator.paths import SWIFT, swift
from simulator.sims import networked

PHASED = Path(__file__).parents[2] / "runbooks" / "phased.toml"
KEY = "secret-key-of-simulated-phala"


def job(path):
    return Job(path.read_text("utf-8"), path.name)


def worlds(tmp_path, play):
    """Run `play(plane, by port, by wire)` in a world whose planes are up."""

    async def main(network):
        world = World(network.loop, swift(), 1, tmp_path, Trace(), Habits(nodes=1), Watch())
        plane = world.planes["phala"]
        plane.start()
        await asyncio.sleep(0.01)
        wire = HttpPlane("phala", "http://phala:80", KEY, client(network.loop))
        try:
            return await play(plane, PortPlane(plane, KEY, world.network), wire, world)
        finally:
            world.bury()

    return networked(main)


async def everything(plane):
    return [
        await plane.get("/ready", 1_000),
        await plane.get("/health", 1_000),
        await plane.get("/nothing", 1_000),
        await plane.canary(1_000),
        await plane.process("pay 0.01 USDC to acme/tool", 1_000, idempotency_key="k1"),
    ]


@pytest.mark.parametrize("ready", [True, False, None])
def test_a_plane_says_the_same_at_its_port_as_over_the_wire(tmp_path, ready):
    """Status, body and text of every kind of question; a key that was had gives the same answer."""

    async def play(plane, port, wire, _):
        plane.ready = ready
        return await everything(port), await everything(wire)

    at_port, over_wire = worlds(tmp_path, play)
    assert at_port == over_wire
    assert at_port[0].status == (503 if ready is None else 200)


def test_a_plane_that_is_down_hangs_or_refuses_is_no_exception_at_its_port(tmp_path):
    """As over the wire: no status, and how it failed; a hang ends with the deadline."""

    async def play(plane, port, _, world):
        plane.hang = True
        hung = await port.get("/ready", 500)
        at = world.loop.time()
        plane.hang = False
        plane.crash()
        return hung, at, await port.canary(500), await port.process("help", 500)

    hung, at, *down = worlds(tmp_path, play)
    assert (hung.status, hung.error) == (None, "no whole answer within 500 ms")
    assert 0.5 <= at < 0.52
    assert [one.status for one in down] == [None, None]
    assert all("ConnectionRefusedError" in one.error for one in down)


def test_a_plane_that_dies_while_it_is_asked_gives_no_answer(tmp_path):
    """What was on its way when the process ended does not arrive."""

    async def play(plane, port, _, world):
        world.loop.call_later(0.0012, plane.crash)
        return [await port.get("/ready", 500) for _ in range(1)]

    (answer,) = worlds(tmp_path, play)
    assert answer.status is None


def test_what_is_asked_of_nobody_is_refused():
    """`Network.ask` looks for somebody before it asks, and again before the answer is there."""

    async def play(network):
        host = Host("far")

        async def dies():
            host.kill()
            return 1

        with pytest.raises(ConnectionResetError):
            await network.ask(host, "far", dies)
        for gone in (host, None):
            with pytest.raises(ConnectionRefusedError):
                await network.ask(gone, "far", dies)

    networked(play)


def test_a_runbook_for_days_gets_a_world_for_days():
    """Chosen by the cadence of its looks; nodes are the caller's and the seed's as ever."""
    assert job(PHASED).habits(1) == Habits(1, 60_000, 10_000, 60_000, 500, wire=False)
    assert job(PHASED).habits(4).nodes == DAYS.nodes == 2
    assert job(SWIFT).habits(1) == Habits(nodes=1, request_every_ms=150)


def test_two_hours_of_the_phased_runbook_pass_with_nothing_left_out():
    """Every look, canary and verdict of the first stage, and where the run is is told."""
    runbook = load_text(PHASED.read_text("utf-8"), PHASED.name)
    told = []
    verdict = simulate(
        runbook, 1, (), habits=job(PHASED).habits(1), until="canary",
        told=lambda ms, where: told.append((ms // 1_000, where)),
    )  # fmt: skip
    assert (verdict.line, verdict.text, verdict.excused) == (0, "", 0)
    assert [where for _, where in told] == ["preparing", "running shadow", "running canary"]
    seconds = told[-1][0]
    assert 7_200 <= seconds < 7_300
    assert verdict.moves["Readiness"] == pytest.approx(2 * seconds / 5, abs=30)
    assert verdict.moves["CanaryRound"] == pytest.approx(seconds / 300, abs=2)
    around = 2  # before the switch, and after it
    assert verdict.moves["Attestation"] == pytest.approx(seconds / 60 + around, abs=2)
    assert verdict.requests == pytest.approx(seconds / 60, abs=12)
