"""Load on a contender, as much as it takes or at a fixed rate, and what came of it.

Other work on the machine spoils a run, so the share of the CPU that others used is measured with
it, and a spoiled run is repeated as long as the time set aside for that lasts.
"""

import asyncio
import os
import shutil
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from lab import (
    CORES,
    HERE,
    LOAD_CORE,
    busy_seconds,
    compiled,
    cpu_seconds,
    pinned,
    python,
)  # fmt: skip

DIRTY: float = 0.04
"""A run during which others used more of the machine is repeated."""
TRIES = 4


@dataclass
class Load:
    """What one run of the load generator saw.

    `foreign` is the share of the machine that others used meanwhile.
    """

    requests: int
    seconds: float
    errors: int
    p50_us: float
    p99_us: float
    cpu_seconds: float = 0.0
    foreign: float = 0.0

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


@dataclass
class Series:
    """Several runs of one contender."""

    name: str
    runs: list[Load] = field(default_factory=list)

    def rates(self) -> list[float]:
        return [run.rate for run in self.runs]

    def median(self, attribute: str) -> float:
        return float(statistics.median(getattr(run, attribute) for run in self.runs))

    def us_per_request(self) -> float:
        return statistics.median(r.cpu_seconds * 1e6 / r.requests for r in self.runs)


@dataclass
class Compared:
    """Two contenders, round by round; only rounds in which both ran undisturbed, if there are any.

    Attributes:
        values: one a round.
        clean: whether the rounds were undisturbed; otherwise nothing follows from the values.
    """

    values: list[float]
    clean: bool


def compare(ours: Series, theirs: Series, difference: Callable[[Load, Load], float]) -> Compared:
    """Compare runs that stood next to each other."""
    pairs = list(zip(ours.runs, theirs.runs, strict=True))
    clean = [(a, b) for a, b in pairs if max(a.foreign, b.foreign) <= DIRTY]
    return Compared([difference(a, b) for a, b in clean or pairs], bool(clean))


def ratio(ours: Series, theirs: Series) -> Compared:
    """Requests a second of ours over theirs."""
    return compare(ours, theirs, lambda a, b: a.rate / b.rate)


def added(ours: Series, theirs: Series, attribute: str) -> Compared:
    """Microseconds of ours over theirs."""
    return compare(ours, theirs, lambda a, b: getattr(a, attribute) - getattr(b, attribute))


class Patience:
    """Repeats spoiled runs, but not for longer than `seconds` altogether."""

    def __init__(self, seconds: float) -> None:
        self.left = seconds
        self.repeated = 0
        self.discarded: Counter[str] = Counter()

    async def cleanest(self, url: str, run: Callable[[], Awaitable[Load]]) -> Load:
        """The first clean run, or the cleanest of those there was time for.

        `discarded` adds up the requests of the others, by url.
        """
        best = await run()
        for _ in range(TRIES - 1):
            if best.foreign <= DIRTY or self.left <= 0:
                break
            start = time.monotonic()
            again = await run()
            self.left -= time.monotonic() - start
            self.repeated += 1
            best, worse = sorted((best, again), key=lambda one: one.foreign)
            self.discarded[url] += worse.requests
        return best


async def saturate(
    url: str, key: str, seconds: float, pids: list[int], own: list[int], *, ids: bool = False
) -> Load:
    """As many requests as 64 connections get answered; CPU time is that of `pids`.

    With `ids` each request has a request id, and with it a head unlike any other's.
    """
    tool = shutil.which("wrk")
    more = ["ids"] if ids else []
    if tool:
        script = [tool, "-t1", "-c64", f"-d{max(1, round(seconds))}s", "-s", str(HERE / "load.lua")]
        return await measured([*script, url, "--", key, "7", *more], pids, own)
    return await measured(
        [python(), str(HERE / "load.py"), url, key, str(seconds), *more], pids, own
    )


async def at_rate(
    url: str, key: str, rate: int, seconds: float, pids: list[int], own: list[int]
) -> Load:
    """So many requests a second, due by the clock; latency counts from when each was due.

    Raises:
        RuntimeError: there is no C compiler (`compiled("openloop")` tells).
    """
    program = compiled("openloop")
    if program is None:
        raise RuntimeError("a fixed rate needs the C load generator, and there is no compiler")
    port = url.rpartition(":")[2]
    return await measured([str(program), port, key, str(rate), str(seconds)], pids, own)


async def measured(command: list[str], pids: list[int], own: list[int]) -> Load:
    """Run a load generator, and see what the machine did meanwhile; CPU time is that of `pids`."""
    everybody = sorted({*own, *pids})
    before, busy, mine = cpu_seconds(pids), busy_seconds(), cpu_seconds(everybody)
    children = _children_seconds()
    process = await asyncio.create_subprocess_exec(
        *pinned(LOAD_CORE, *command), stdout=asyncio.subprocess.PIPE
    )
    out = (await process.communicate())[0].decode()
    said = [line.split()[1:] for line in out.splitlines() if line.startswith("RESULT")]
    if not said:
        raise RuntimeError(f"the load generator said nothing usable: {out[-500:]}")
    requests, micros, errors, p50, p99 = (float(word) for word in said[0])
    used = cpu_seconds(pids) - before
    ours = cpu_seconds(everybody) - mine + _children_seconds() - children
    wall = micros / 1e6
    foreign = max(0.0, (busy_seconds() - busy - ours) / wall / len(CORES))
    return Load(int(requests), wall, int(errors), p50, p99, used, foreign)


def _children_seconds() -> float:
    """CPU time of our children that are gone: the load generators."""
    times = os.times()
    return times.children_user + times.children_system
