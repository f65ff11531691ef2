"""Thousands of simulations side by side, each with its own seed and its own faults."""

import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Final

import msgspec

from cutover.runbook.document import Runbook
from cutover.runbook.load import load_text
from cutover.simulator.chance import random_schedule
from cutover.simulator.faults import Schedule, document
from cutover.simulator.play import Verdict, simulate
from cutover.simulator.shrink import smallest
from cutover.simulator.world.world import NODES, Habits

RUNS_A_PROCESS: Final = 400
"""After which a process is replaced: what killed processes left behind is given back with it."""

HORIZON_MS: Final = 40_000

SELDOM_MS: Final = 5_000
"""Cadence of looks at `/ready` from which on a runbook is played with the habits of `DAYS`."""

DAYS: Final = Habits(
    request_every_ms=60_000, report_every_ms=10_000, attend_every_ms=60_000, idle_ms=500, wire=False
)
"""A world that lasts for days: few clients, and planes that the conductor asks at its own port."""


@dataclass(frozen=True)
class Job:
    """What is to be simulated.

    Attributes:
        text: of the runbook.
        source: its name.
        horizon_ms: faults begin before this.
        schedule: the same faults for every seed; None for random ones.
        nodes: gateway nodes; 0 to let the seed choose.
        until: a phase or stage at which to end early.
    """

    text: str
    source: str
    horizon_ms: int = HORIZON_MS
    schedule: Schedule | None = None
    nodes: int = 0
    until: str = ""

    def habits(self, seed: int) -> Habits:
        """How the world of a seed is."""
        nodes = self.nodes or (2 if seed % 4 == 0 else 1)
        if _takes_days(self.text, self.source):
            return replace(DAYS, nodes=nodes)
        return Habits(nodes=nodes, request_every_ms=150)

    def faults(self, seed: int, runbook: Runbook) -> Schedule:
        """The faults of a seed."""
        if self.schedule is not None:
            return self.schedule
        nodes = NODES[: self.habits(seed).nodes]
        return random_schedule(seed, self.horizon_ms, nodes, runbook.planes)


@lru_cache
def _takes_days(text: str, source: str) -> bool:
    """Whether a runbook looks so seldom that it is made for days."""
    return load_text(text, source).timing.readiness_every_ms >= SELDOM_MS


class Tally(msgspec.Struct):
    """What a swarm found.

    Attributes:
        runs: simulations.
        failed: those that found something, in order of their seeds.
        phases: how runs ended.
        faults: how often a kind of fault was played.
        moves: journal entries by kind.
        requests: of clients, and how many of them a fault cost their answer.
        simulated_ms: simulated time in all.
    """

    runs: int = 0
    failed: list[Verdict] = []
    phases: dict[str, int] = {}
    faults: dict[str, int] = {}
    moves: dict[str, int] = {}
    requests: int = 0
    excused: int = 0
    simulated_ms: int = 0


def play_seed(job: Job, seed: int) -> tuple[Verdict, tuple[str, ...]]:
    """Play one seed; what it found, and the kinds of its faults."""
    runbook = load_text(job.text, job.source)
    schedule = job.faults(seed, runbook)
    verdict = simulate(runbook, seed, schedule, habits=job.habits(seed), until=job.until)
    return verdict, tuple(str(fault.what) for fault in schedule)


def swarm(
    job: Job, seeds: Iterable[int], jobs: int, told: Callable[[Tally], None] = lambda _: None
) -> Tally:
    """Play many seeds.

    Args:
        job: what is to be simulated.
        seeds: one simulation each.
        jobs: processes side by side.
        told: called after each simulation with what is known so far.
    """
    tally = Tally()
    for verdict, kinds in _played(job, list(seeds), jobs):
        _count(tally, verdict, kinds)
        told(tally)
    tally.failed.sort(key=lambda verdict: verdict.seed)
    return tally


def _played(job: Job, seeds: list[int], jobs: int) -> Iterator[tuple[Verdict, tuple[str, ...]]]:
    if jobs == 1 or len(seeds) == 1:
        yield from map(partial(play_seed, job), seeds)
        return
    spawning = multiprocessing.get_context("spawn")
    with closing(spawning.Pool(jobs, maxtasksperchild=RUNS_A_PROCESS // 4)) as pool:
        yield from pool.imap_unordered(partial(play_seed, job), seeds, chunksize=4)


def _count(tally: Tally, verdict: Verdict, kinds: tuple[str, ...]) -> None:
    tally.runs += 1
    tally.requests += verdict.requests
    tally.excused += verdict.excused
    tally.simulated_ms += verdict.simulated_ms
    tally.phases = _added(tally.phases, {verdict.phase: 1})
    tally.faults = _added(tally.faults, Counter(kinds))
    tally.moves = _added(tally.moves, verdict.moves)
    if verdict.line:
        tally.failed.append(verdict)


def _added(known: dict[str, int], more: dict[str, int]) -> dict[str, int]:
    return dict(sorted((Counter(known) + Counter(more)).items()))


def shrunk(job: Job, verdict: Verdict) -> str:
    """The smallest schedule that still crosses the same line, as a file that can be kept."""
    runbook = load_text(job.text, job.source)

    def still(schedule: Schedule) -> bool:
        again = simulate(
            runbook, verdict.seed, schedule, habits=job.habits(verdict.seed), until=job.until
        )
        return again.line == verdict.line

    least = smallest(job.faults(verdict.seed, runbook), still)
    says = f"line {verdict.line}: {verdict.text}"[:300].replace("\\", "/").replace('"', "'")
    return document(least, verdict.seed, says.replace("\n", " "))
