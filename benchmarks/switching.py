"""How soon after a switch the last request reaches the plane that was left.

Two starts are measured. *Page*: the table is written into the page that the workers share, so this
can be set beside other ways of switching. *Conductor*: the table is handed out to the node over
HTTP, and the node stores it durably before it writes the page, as in production. The node's
supervisor may use any core here, as it may where it is deployed; its worker stays on its own.
"""

import asyncio
import os
import statistics
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path

from lab import CORES, BenchConductor, Responder, compiled, family, table
from peers import CLIENT_KEY
from pressure import Load, at_rate, saturate

from cutover.gateway.page import Page
from cutover.routing.table import RoutingTable

GAP_SECONDS = 0.25
BOUND_MS = {"paced": 1.0, "saturated": 5.0}

Apply = Callable[[bool], Awaitable[int]]
"""Sends everything to the new plane or back; tells CLOCK_MONOTONIC nanoseconds of the start."""


@dataclass
class Switched:
    """What a series of switches took.

    Attributes:
        start: what the time counts from.
        load: paced or saturated.
        late_ms: from the start to the last arrival, for each switch.
        seen: what the clients saw meanwhile.
    """

    start: str
    load: str
    late_ms: list[float]
    seen: Load

    def row(self) -> dict[str, object]:
        return {
            "from": self.start, "load": self.load, "switches": len(self.late_ms),
            "last_arrival_ms_p50": round(statistics.median(self.late_ms), 3),
            "range": [round(min(self.late_ms), 3), round(max(self.late_ms), 3)],
            "requests": self.seen.requests, "failed": self.seen.errors,
        }  # fmt: skip


class Switching:
    """Everything goes to and fro between two planes, under load.

    Args:
        url: of the gateway.
        pid: of its node.
        page: the node's page file.
        conductor: of the node.
        old: the plane that is left at the first switch.
        new: the other plane.
        times: switches of each series.
        rate: requests a second where they are paced.
        own: processes whose CPU time is no disturbance.
    """

    def __init__(
        self, url: str, pid: int, page: Path, conductor: BenchConductor, old: Responder,
        new: Responder, times: int, rate: int, own: list[int],
    ) -> None:  # fmt: skip
        self._url = url
        self._supervisor = family(pid)[0]
        self._path = page
        self._conductor = conductor
        self._old, self._new = old, new
        self._times = times
        self._rate = rate
        self._own = own
        self._generation = 1

    async def by_conductor(self) -> list[Switched]:
        """Switches that begin when the conductor hands out a table."""
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(self._supervisor, CORES)
        return [await self._series("conductor", load, self._offer) for load in _loads()]

    async def by_page(self) -> list[Switched]:
        """Switches that begin with the page; the node's own counts are of no use afterwards."""
        fd = os.open(self._path, os.O_RDWR)
        page = Page(fd, 1)
        os.close(fd)

        async def publish(to_new: bool) -> int:
            made = self._next(to_new)
            begun_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
            page.publish(made)
            return begun_ns

        return [await self._series("page", load, publish) for load in _loads()]

    async def _offer(self, to_new: bool) -> int:
        await self._conductor.apply(self._next(to_new))
        return self._conductor.handed_ns

    def _next(self, to_new: bool) -> RoutingTable:
        self._generation += 1
        return table(self._generation, 10_000 if to_new else 0, everything=True)

    def _load(self, name: str) -> Coroutine[None, None, Load]:
        seconds = self._times * GAP_SECONDS * 1.5 + 1
        if name == "paced":
            return at_rate(self._url, CLIENT_KEY, self._rate, seconds, [], self._own)
        return saturate(self._url, CLIENT_KEY, seconds, [], self._own)

    async def _series(self, start: str, name: str, apply: Apply) -> Switched:
        loading = asyncio.create_task(self._load(name))
        await asyncio.sleep(0.5)
        late = []
        for turn in range(self._times):
            to_new = turn % 2 == 0
            begun_ns = await apply(to_new)
            await asyncio.sleep(GAP_SECONDS)
            if loading.done():
                break  # this switch was not wholly under load
            _, last_ns = (self._old if to_new else self._new).seen()
            late.append((last_ns - begun_ns) / 1e6)
        seen = await loading
        if not late:
            raise RuntimeError("no switch happened under load; the machine is too busy to measure")
        return Switched(start, name, late, seen)


def _loads() -> list[str]:
    return ["paced", "saturated"] if compiled("openloop") else ["saturated"]
