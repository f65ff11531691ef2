"""The gateway beside its peers and beside the upstream alone, in one interleaved run.

Subjects share one core; load and upstream, and with them everything that the numbers are relative
to, have the other. Rates of different runs, or of different machines, do not compare; the ratios of
neighbouring runs do. Every contender does the same for each request: check the client's key, read
the JSON body, find intent and sticky share (crc32), choose the plane, rewrite path and key, give a
request id. HAProxy logs nothing; the gateway counts every outcome by intent, plane and table.
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
    compiled,
    family,
    pinned,
    running,
    table,
)
from peers import CLIENT_KEY, SHARE_BP, envoy, haproxy, wait_for
from pressure import DIRTY, Compared, Load, Patience, Series, added, at_rate, ratio, saturate
from switching import BOUND_MS, Switched, Switching

from cutover.gateway.config import GatewayConfig, PlaneEndpoint, from_json, to_json
from cutover.gateway.node import run as run_node

NAME = "gateway"
OURS, STDLIB, DIRECT = "gateway (uvloop)", "gateway (stdlib loop)", "upstream alone"
FRESH = "gateway (uvloop), every head another"
HAPROXY, ENVOY = "HAProxy, JSON + map", "Envoy, JSON + Lua"
RATE = 5_000


@dataclass
class Plan:
    """How long to measure what."""

    rounds: int
    seconds: float
    switches: int
    patience: float


QUICK = Plan(rounds=3, seconds=1.0, switches=6, patience=5.0)
WHOLE = Plan(rounds=4, seconds=2.0, switches=16, patience=30.0)


@dataclass
class Contender:
    """Somebody who answers `POST /process`."""

    name: str
    url: str
    pids: list[int]
    ids: bool = False

    def family(self) -> list[int]:
        """All its processes."""
        return [pid for first in self.pids for pid in family(first)]


@dataclass
class Goal:
    """A promise about the median of some measurements, and whether they vouch for anything."""

    name: str
    seen: Compared
    bound: float
    at_least: bool

    def row(self) -> dict[str, object]:
        values = self.seen.values
        median = statistics.median(values)
        met = median >= self.bound if self.at_least else median <= self.bound
        return {
            "goal": self.name, "median": round(median, 3),
            "range": [round(min(values), 3), round(max(values), 3)], "of": len(values),
            "wanted": f"{'≥' if self.at_least else '≤'} {self.bound:g}",
            "met": met if self.seen.clean else "unknown: no undisturbed round",
        }  # fmt: skip


def run(quick: bool) -> dict[str, object]:
    """Measure; see the module's text."""
    return asyncio.run(_run(QUICK if quick else WHOLE))


async def _run(plan: Plan) -> dict[str, object]:
    stack = contextlib.ExitStack()
    try:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        old, new = Responder(stack), Responder(stack)
        contenders, missing, conductors = await _start(stack, folder, old, new)
        own = [os.getpid(), old.process.pid, new.process.pid]
        own += [pid for c in contenders for pid in c.family()]
        patience = Patience(plan.patience)
        full = await _saturated(contenders, own, plan, patience)
        paced = await _paced(contenders, own, plan, patience, missing)
        ours = next(c for c in contenders if c.name == OURS)
        conductor, page = conductors[OURS], folder / "uvloop" / "page.bin"
        switching = Switching(
            ours.url, ours.pids[0], page, conductor, old, new, plan.switches, RATE, own
        )  # fmt: skip
        switched = await switching.by_conductor()
        runs = [*full[OURS].runs, *full[FRESH].runs, *(paced[OURS].runs if paced else [])]
        runs += [series.seen for series in switched]
        counted = await _counts(conductor, patience.discarded[ours.url], runs)
        switched += await switching.by_page()
    finally:
        await asyncio.to_thread(stack.close)  # the nodes say their last word to this loop
    return {
        "upstream": "C epoll responder" if compiled("upstream") else "Python (no C compiler)",
        "missing": missing,
        "repeated because of other work on the machine": patience.repeated,
        "rows": [_row(s, full[DIRECT]) for s in full.values()],
        "at_5000_a_second": [_paced_row(s, paced[DIRECT]) for s in paced.values()],
        "switch": [series.row() for series in switched],
        "goals": [goal.row() for goal in _goals(full, paced, switched)],
        "counted": counted,
    }


async def _saturated(
    contenders: list[Contender], own: list[int], plan: Plan, patience: Patience
) -> dict[str, Series]:
    series = {c.name: Series(c.name) for c in contenders}
    for _ in range(plan.rounds):
        for c in contenders:
            pids = c.family()

            async def once(c: Contender = c, pids: list[int] = pids) -> Load:
                return await saturate(c.url, CLIENT_KEY, plan.seconds, pids, own, ids=c.ids)

            series[c.name].runs.append(await patience.cleanest(c.url, once))
    return series


async def _paced(
    contenders: list[Contender], own: list[int], plan: Plan, patience: Patience, missing: list[str]
) -> dict[str, Series]:
    if compiled("openloop") is None:
        missing.append("latency at a fixed rate: needs a C compiler")
        return {}
    chosen = [c for c in contenders if not c.ids]
    series = {c.name: Series(c.name) for c in chosen}
    for _ in range(plan.rounds):
        for c in chosen:
            pids = c.family()

            async def once(c: Contender = c, pids: list[int] = pids) -> Load:
                return await at_rate(c.url, CLIENT_KEY, RATE, plan.seconds, pids, own)

            series[c.name].runs.append(await patience.cleanest(c.url, once))
    return series


async def _start(
    stack: contextlib.ExitStack, folder: Path, old: Responder, new: Responder
) -> tuple[list[Contender], list[str], dict[str, BenchConductor]]:
    contenders = [Contender(DIRECT, old.url, [old.process.pid])]
    missing, conductors = [], {}
    for name, loop in ((OURS, "uvloop"), (STDLIB, "asyncio")):
        conductor = await BenchConductor().start()
        contenders.append(await _gateway(stack, folder / loop, name, loop, conductor, old, new))
        conductors[name] = conductor
    ours = next(c for c in contenders if c.name == OURS)
    contenders.append(Contender(FRESH, ours.url, ours.pids, ids=True))
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


async def _counts(conductor: BenchConductor, discarded: int, runs: list[Load]) -> dict[str, object]:
    """Compare what the gateway reported with what its clients got; a few were cut at the end."""
    await asyncio.sleep(1.2)
    answered = sum(run.requests for run in runs) + discarded
    return {"reported": conductor.counted, "answered": answered}


def _row(series: Series, direct: Series) -> dict[str, object]:
    shares = ratio(series, direct).values
    return {
        "name": series.name,
        "requests_per_second": round(statistics.median(series.rates())),
        "range": [round(min(series.rates())), round(max(series.rates()))],
        "p50_ms": round(series.median("p50_us") / 1000, 2),
        "p99_ms": round(series.median("p99_us") / 1000, 2),
        "cpu_us_per_request": round(series.us_per_request(), 1),
        "ratio": round(statistics.median(shares), 3),
        "spread": [round(min(shares), 3), round(max(shares), 3)],
        "errors": sum(run.errors for run in series.runs),
        "foreign_cpu": round(series.median("foreign"), 3),
    }


def _paced_row(series: Series, direct: Series) -> dict[str, object]:
    p50, p99 = (added(series, direct, name).values for name in ("p50_us", "p99_us"))
    return {
        "name": series.name,
        "p50_us": round(series.median("p50_us")),
        "p99_us": round(series.median("p99_us")),
        "added_p50_us": round(statistics.median(p50)),
        "range_p50": [round(min(p50)), round(max(p50))],
        "added_p99_us": round(statistics.median(p99)),
        "range_p99": [round(min(p99)), round(max(p99))],
        "errors": sum(run.errors for run in series.runs),
        "foreign_cpu": round(series.median("foreign"), 3),
    }


def _goals(
    full: dict[str, Series], paced: dict[str, Series], switched: list[Switched]
) -> list[Goal]:
    wanted = [
        (OURS, HAPROXY, 1.0), (FRESH, HAPROXY, 1.0), (STDLIB, HAPROXY, 0.85), (OURS, DIRECT, 0.62),
        (STDLIB, DIRECT, 0.55), (OURS, ENVOY, 1.0),
    ]  # fmt: skip
    goals = [
        Goal(f"{ours} / {peer}", ratio(full[ours], full[peer]), bound, at_least=True)
        for ours, peer, bound in wanted
        if peer in full
    ]
    for name, bound in (("p50", 200.0), ("p99", 500.0)) if paced else ():
        more = added(paced[OURS], paced[DIRECT], f"{name}_us")
        goals.append(Goal(f"added {name} at {RATE}/s, µs", more, bound, at_least=False))
    for series in switched:
        late = Compared(series.late_ms, series.seen.foreign <= DIRTY)
        said = f"last arrival after a switch, from the {series.start}, {series.load}, ms"
        goals.append(Goal(said, late, BOUND_MS[series.load], at_least=False))
    failed = Compared([float(series.seen.errors) for series in switched], clean=True)
    return [*goals, Goal("requests failed by switches", failed, 0.0, at_least=False)]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":  # a node of its own process
    sys.exit(run_node(from_json(sys.stdin.buffer.read(), GatewayConfig)))
