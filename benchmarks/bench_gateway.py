"""The gateway beside its peers and beside the upstream alone, in one interleaved run.

Subjects share one core, load and upstream the other. Rates of different runs, or of different
machines, do not compare; the ratios of neighbouring runs do.
"""

import asyncio
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab import (
    SUBJECT_CORE,
    TOKEN,
    BenchConductor,
    Responder,
    Series,
    compiled,
    family,
    load,
    median_ratio,
    pinned,
    running,
    table,
)
from peers import CLIENT_KEY, SHARE_BP, envoy, haproxy, wait_for

from cutover.gateway.config import GatewayConfig, PlaneEndpoint, from_json, to_json
from cutover.gateway.node import run as run_node

NAME = "gateway"
OURS, STDLIB, DIRECT = "gateway (uvloop)", "gateway (stdlib loop)", "upstream alone"
HAPROXY, ENVOY = "HAProxy, JSON + map", "Envoy, JSON + Lua"


@dataclass
class Contender:
    """Somebody who answers `POST /process`."""

    name: str
    url: str
    pids: list[int]


@dataclass
class Goal:
    """A promise as a ratio of two contenders, or as a bound."""

    name: str
    value: float
    least: float
    most: float
    bound: float
    at_least: bool

    def row(self) -> dict[str, object]:
        met = self.value >= self.bound if self.at_least else self.value <= self.bound
        sign = "≥" if self.at_least else "≤"
        return {
            "goal": self.name, "ratio": round(self.value, 3),
            "spread": [round(self.least, 3), round(self.most, 3)],
            "wanted": f"{sign} {self.bound:g}", "met": met,
        }  # fmt: skip


def run(quick: bool) -> dict[str, object]:
    """Measure; see the module's text."""
    return asyncio.run(_run(3 if quick else 5, 1.0 if quick else 3.0, 8 if quick else 20))


async def _run(rounds: int, seconds: float, switches: int) -> dict[str, object]:
    stack = contextlib.ExitStack()
    try:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        old, new = Responder(stack), Responder(stack)
        contenders, missing, conductors = await _start(stack, folder, old, new)
        series = {c.name: Series(c.name) for c in contenders}
        own = [os.getpid(), old.process.pid, new.process.pid]
        for _ in range(rounds):
            for c in contenders:
                pids = [pid for first in c.pids for pid in family(first)]
                series[c.name].runs.append(await load(c.url, CLIENT_KEY, seconds, pids, own))
        ours = next(c for c in contenders if c.name == OURS)
        switching = await _switch(ours, conductors[OURS], old, new, switches)
        counted = await _counts(conductors[OURS], series[OURS], switching)
    finally:
        await asyncio.to_thread(stack.close)  # the nodes say their last word to this loop
    return {
        "upstream": "C epoll responder" if compiled() else "Python responder (no C compiler)",
        "missing": missing,
        "rows": [_row(s, series[DIRECT]) for s in series.values()],
        "goals": [goal.row() for goal in _goals(series, switching)],
        "switch": switching | counted,
    }


async def _start(
    stack: contextlib.ExitStack, folder: Path, old: Responder, new: Responder
) -> tuple[list[Contender], list[str], dict[str, BenchConductor]]:
    contenders = [Contender(DIRECT, old.url, [old.process.pid])]
    missing, conductors = [], {}
    for name, loop in ((OURS, "uvloop"), (STDLIB, "asyncio")):
        conductor = await BenchConductor().start()
        contenders.append(await _gateway(stack, folder / loop, name, loop, conductor, old, new))
        conductors[name] = conductor
    peers: list[tuple[str, Callable[..., subprocess.Popen[str] | None]]]
    peers = [(HAPROXY, haproxy), (ENVOY, envoy)]
    for name, start in peers:
        port = _free_port()
        process = start(stack, folder, port, old, new)
        if process is None:
            missing.append(f"{name.partition(',')[0]}: not installed")
        else:
            contenders.append(Contender(name, f"http://127.0.0.1:{port}", [process.pid]))
    return contenders, missing, conductors


async def _gateway(
    stack: contextlib.ExitStack, folder: Path, name: str, loop: str, conductor: BenchConductor,
    old: Responder, new: Responder,
) -> Contender:  # fmt: skip
    config = GatewayConfig(
        node="bench", host="127.0.0.1", port=0, workers=1, client_keys=(CLIENT_KEY,),
        planes={
            "old": PlaneEndpoint(old.url, "key-of-old"),
            "new": PlaneEndpoint(new.url, "key-of-new"),
        },
        conductor_url=conductor.url, gateway_token=TOKEN, state_dir=folder, loop=loop,
    )  # fmt: skip
    command = pinned(SUBJECT_CORE, sys.executable, __file__)
    process = stack.enter_context(running(*command, stdin=subprocess.PIPE))
    if process.stdin is None:
        raise AssertionError("stdin is a pipe")
    process.stdin.write(to_json(config).decode())
    process.stdin.close()
    while not (folder / "node.json").exists():
        if process.poll() is not None:
            raise RuntimeError("the gateway did not start")
        await asyncio.sleep(0.02)
    url = json.loads((folder / "node.json").read_bytes())["url"]
    await asyncio.to_thread(wait_for, url)
    await conductor.apply(table(1, SHARE_BP))
    return Contender(name, url, [process.pid])


async def _switch(
    ours: Contender, conductor: BenchConductor, old: Responder, new: Responder, times: int
) -> dict[str, object]:
    """Move everything to and fro under load; when does the last request reach the old plane?"""
    gap = 0.25
    seconds = times * gap * 2 + 1
    pids = family(ours.pids[0])
    loading = asyncio.create_task(load(ours.url, CLIENT_KEY, seconds, pids, []))
    await asyncio.sleep(0.5)
    late = []
    for turn in range(times):
        to_new = turn % 2 == 0
        await conductor.apply(table(2 + turn, 10_000 if to_new else 0, everything=True))
        await asyncio.sleep(gap)
        if loading.done():
            break  # this switch was not wholly under load
        _, last_ns = (old if to_new else new).seen()
        late.append((last_ns - conductor.handed_ns) / 1e6)
    result = await loading
    if not late:
        raise RuntimeError("no switch happened under load; the machine is too busy to measure")
    return {
        "switches": len(late),
        "last_arrival_ms_p50": round(statistics.median(late), 3),
        "last_arrival_ms_max": round(max(late), 3),
        "requests": result.requests,
        "failed": result.errors,
    }


async def _counts(
    conductor: BenchConductor, series: Series, switching: dict[str, object]
) -> dict[str, object]:
    """Compare what the gateway reported with what its clients got; a few were cut at the end."""
    await asyncio.sleep(1.2)
    answered = sum(run.requests for run in series.runs) + int(str(switching["requests"]))
    return {"reported": conductor.counted, "answered": answered}


def _row(series: Series, direct: Series) -> dict[str, object]:
    ratio, least, most = median_ratio(series, direct)
    return {
        "name": series.name,
        "requests_per_second": round(statistics.median(series.rates())),
        "range": [round(min(series.rates())), round(max(series.rates()))],
        "p50_ms": round(series.median("p50_us") / 1000, 2),
        "p99_ms": round(series.median("p99_us") / 1000, 2),
        "cpu_us_per_request": round(series.us_per_request(), 1),
        "ratio": round(ratio, 3),
        "spread": [round(least, 3), round(most, 3)],
        "errors": sum(run.errors for run in series.runs),
        "foreign_cpu": round(series.median("foreign"), 3),
    }


def _goals(series: dict[str, Series], switching: dict[str, object]) -> list[Goal]:
    wanted = [
        (OURS, HAPROXY, 1.0), (STDLIB, HAPROXY, 0.85), (OURS, DIRECT, 0.62),
        (STDLIB, DIRECT, 0.55), (OURS, ENVOY, 1.0),
    ]  # fmt: skip
    goals = []
    for ours, peer, bound in wanted:
        if peer in series:
            ratio, least, most = median_ratio(series[ours], series[peer])
            goals.append(Goal(f"{ours} / {peer}", ratio, least, most, bound, at_least=True))
    late = float(str(switching["last_arrival_ms_max"]))
    middle = float(str(switching["last_arrival_ms_p50"]))
    failed = float(str(switching["failed"]))
    return [
        *goals,
        Goal("ms from issuing a table to the last arrival at the old plane", middle, middle, late,
             5.0, at_least=False),
        Goal("requests failed by the switches", failed, failed, failed, 0.0, at_least=False),
    ]  # fmt: skip


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":  # a node of its own process
    sys.exit(run_node(from_json(sys.stdin.buffer.read(), GatewayConfig)))
