"""Worlds in which the real conductor works for days of virtual time, on one core.

`modelled` has one node that reports through the conductor's desk what `healthy` says, without a
gateway; `gateway` has the real gateway node and clients whose requests are bytes; `checked` is that
and every line of the design checked at every entry, which is what `cutover simulate` plays. None
has a fault. Journal, loop, engine, probes, gatherer and nodes are the product's in all of them.
"""

import asyncio
import json
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from cProfile import Profile
from dataclasses import replace
from pathlib import Path
from pstats import Stats
from time import perf_counter, process_time
from typing import Any

import msgspec
from healthy import Node

from cutover import crashpoint
from cutover.conductor.assembly import Outside
from cutover.conductor.loop import ClosedError
from cutover.decision.run import TERMINAL, Run
from cutover.evidence.observation import GatewayReport, PostCheckSeen, PreconditionSeen
from cutover.evidence.wire import NodeReport, key_proof
from cutover.runbook.document import Runbook
from cutover.runbook.gate import Check, PostCheckName
from cutover.runbook.load import load_text
from cutover.simulator.kernel.loop import current
from cutover.simulator.kernel.run import run as simulated
from cutover.simulator.swarm import DAYS
from cutover.simulator.trace import Trace
from cutover.simulator.watch.watcher import Watcher
from cutover.simulator.world.world import Watch, World, secrets

ROOT = Path(__file__).parents[1]
DAY_MS = 86_400_000
LOOK_SECONDS = 30
WAIT_MS = 20_000
BOOT = "b0" * 8
LOOK_FIRST_SECONDS = 0.1
AREAS = (
    "cutover/conductor", "cutover/decision", "cutover/evidence", "cutover/gateway",
    "cutover/journal", "sqlite3", "simulator/kernel", "simulator/checkers", "simulator/watch",
    "simulator/trace", "cutover/simulator", "benchmarks", "asyncio", "heapq",
)  # fmt: skip


SHARED = tuple(name for name in NodeReport.__struct_fields__ if name != "key_proofs")


class Mute(Trace):
    """Tells nothing: a trace is the simulator's, not the conductor's."""

    def say(self, at_us: int, who: str, what: str, detail: Any = None) -> None:
        """Leave a line out."""


class Well:
    """The `Inspector` of a world without a gateway: what is looked at is well."""

    async def precondition(self, check: Check) -> PreconditionSeen:
        """It holds."""
        return PreconditionSeen(check, True, ("well",))

    async def post_check(self, name: PostCheckName) -> PostCheckSeen:
        """It holds."""
        return PostCheckSeen(name, True, ("well",), {}, True)


class Modelled(World):
    """One node that takes tables and reports by the conductor's desk, and serves nobody."""

    def start(self) -> None:
        """Start what runs from the beginning."""
        crashpoint.arm(self._passed)
        for plane in self.planes.values():
            plane.start()
        self.conductors[0].start()
        self._modelled, self._turn = Node("g1"), asyncio.Lock()
        works = (self._tables(), self._paced())
        self.tasks = [self.loop.create_task(_until_closed(work)) for work in works]

    def _outside(self, name: str) -> Outside:
        outside = super()._outside(name)
        self._keys = dict(outside.keys)
        return replace(outside, inspector=lambda _: Well())

    async def _tables(self) -> None:
        run, term, generation = "", 0, 0
        while True:
            while (parts := self.conductors[0].parts) is None:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(LOOK_FIRST_SECONDS)
            table = await parts.desk.table("g1", run, term, generation, WAIT_MS)
            if table is not None:
                run, term, generation = table.run, table.term, table.generation
                self._table = table
                await self._report(0)

    async def _paced(self) -> None:
        every = self.habits.report_every_ms
        requests = max(1, every // self.habits.request_every_ms)
        while True:
            await asyncio.sleep(every / 1000)
            await self._report(requests)

    async def _report(self, requests: int) -> None:
        async with self._turn:
            seen = self._modelled.report(self._table, requests)
            parts = self.conductors[0].parts
            with suppress(ClosedError):  # the run is over: only the last table is still given out
                assert parts is not None
                await parts.desk.report(msgspec.json.encode(_sent(seen, self._keys)))


async def _until_closed(work: Coroutine[Any, Any, None]) -> None:
    """A node's work, until the conductor sends everybody home."""
    with suppress(ClosedError):
        await work


def _sent(seen: GatewayReport, keys: dict[str, str]) -> NodeReport:
    shared = {name: getattr(seen, name) for name in SHARED}
    return NodeReport(**{**shared, "boot": BOOT}, key_proofs=_proofs(keys))


def _proofs(keys: dict[str, str]) -> dict[str, str]:
    return {name: key_proof(key, BOOT) for name, key in keys.items()}


def play(
    runbook: Runbook, way: str, days: float, request_every_ms: int
) -> tuple[Run, int, int, float, float]:
    """The state, requests, virtual milliseconds, and seconds of processor and wall that it took."""
    folder = Path(tempfile.mkdtemp(prefix="days-", dir=_memory()))
    try:
        wall, cpu = perf_counter(), process_time()
        run, requests, ms = simulated(_played(runbook, way, days, request_every_ms, folder))
        return run, requests, ms, process_time() - cpu, perf_counter() - wall
    finally:
        shutil.rmtree(folder)


def _memory() -> str | None:
    shared = Path("/dev/shm")  # noqa: S108 - a directory of our own is made in it
    return str(shared) if shared.is_dir() else None


async def _played(
    runbook: Runbook, way: str, days: float, request_every_ms: int, folder: Path
) -> tuple[Run, int, int]:
    loop, habits = current(), replace(DAYS, nodes=1, request_every_ms=request_every_ms)
    kind = Modelled if way == "modelled" else World
    watcher = Watcher(runbook) if way == "checked" else None
    trace: Trace = Trace() if watcher is not None else Mute()
    world = kind(loop, runbook, 0, folder, trace, habits, watcher or Watch())
    if watcher is not None:
        watcher.join(world, secrets(runbook))
    try:
        world.start()
        await asyncio.sleep(1)
        tasks = getattr(world, "tasks", None) or [loop.create_task(world.clients.run())]
        conductor = world.conductors[0]
        while loop.now_ms() < days * DAY_MS and not conductor.over():  # noqa: ASYNC110 - as above
            await asyncio.sleep(LOOK_SECONDS)
        for task in tasks:
            if task.done():
                task.result()  # whatever went wrong but the end of the run
            task.cancel()
        assert conductor.parts is not None, "it never began"
        run = conductor.parts.loop.engine.run
        assert run.phase in (*TERMINAL, "running"), run.phase
        assert watcher is None or watcher.violation is None, watcher.violation
        assert not loop.defects, loop.defects
        return run, len(world.clients.asked), loop.now_ms()
    finally:
        world.bury()


def measure(way: str, days: float, request_every_ms: int) -> dict[str, Any]:
    """One row."""
    run, requests, ms, cpu, wall = play(phased(), way, days, request_every_ms)
    return {
        "world": way, "days": round(ms / DAY_MS, 3), "ends": f"{run.phase}", "entries": run.seq,
        "requests": requests, "a request each s": request_every_ms / 1000,
        "s": round(wall, 2), "CPU s": round(cpu, 2), "entries/s": round(run.seq / wall),
        "µs/entry": round(1e6 * cpu / run.seq), "virtual/CPU": round(ms / 1000 / cpu),
    }  # fmt: skip


def shares(way: str, days: float, request_every_ms: int) -> list[dict[str, Any]]:
    """Where the time goes, in percent of a profile; what Python calls often is overstated."""
    profile = Profile()
    profile.runcall(play, phased(), way, days, request_every_ms)
    spent: Counter[str] = Counter()
    for (file, _, name), (_, _, own, _, _) in Stats(profile).stats.items():  # type: ignore[attr-defined]
        spent[_area(file, name)] += own
    total = sum(spent.values())
    return [{"area": area, "%": round(100 * s / total, 1)} for area, s in spent.most_common(12)]


def _area(file: str, name: str) -> str:
    return next((area for area in AREAS if area in file or area in name), "the rest")


def phased() -> Runbook:
    """The runbook of nine days."""
    return load_text((ROOT / "runbooks" / "phased.toml").read_text(), "phased.toml")


ASKED: dict[str, Callable[[str, float, int], Any]] = {"measure": measure, "shares": shares}

if __name__ == "__main__":
    what, which, span, every = sys.argv[1:]
    print(json.dumps(ASKED[what](which, float(span), int(every))))
