"""A conductor at work: every task in one group, so that none outlives another unnoticed."""

import asyncio
from collections.abc import Coroutine
from typing import Final, Protocol

from cutover.conductor.assembly import Parts
from cutover.conductor.desk import Desk
from cutover.conductor.log import say
from cutover.conductor.loop import ClosedError
from cutover.crashpoint import crashpoint
from cutover.decision.run import TERMINAL
from cutover.errors import CutoverError
from cutover.evidence.observation import Stopped

LINGER_SECONDS: Final = 2.0
"""After the end the last table is still served, so that every node can take it."""
LATE_SECONDS: Final = 4.0
"""Longer, for nodes that have not taken it yet: one that finds nobody asks every two seconds."""


class ApiEndedError(CutoverError):
    """The control API is gone while the conductor still works."""


class Api(Protocol):
    """Whatever lets operators and nodes in."""

    async def serve(self) -> None:
        """Let them in until `end` is called; returning sooner means that it is gone."""
        ...

    def end(self) -> None:
        """Ask `serve` to return soon."""
        ...


async def work(parts: Parts, stop: asyncio.Event, api: Api) -> None:
    """Work until the run is over or `stop` is set.

    Either way it ends in good order: what was acknowledged is journaled, what was not is turned
    away, and a `Stopped` closes. Cancelled, it just ends, as if the process had been killed.

    Raises:
        JournalError: the journal cannot be written.
        ApiEndedError: nobody can be told anything any more.
    """
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_until_closed(parts.probes.run())),
            group.create_task(_until_closed(parts.nodes.watch())),
            group.create_task(_until_closed(parts.gatherer.run())),
        ]
        serving = group.create_task(api.serve())
        looping = group.create_task(parts.loop.run())
        told = group.create_task(stop.wait())
        await asyncio.wait((looping, told, serving), return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            raise ApiEndedError(
                "the control API ended by itself: no gateway could take a table or report, so the "
                "conductor stops; start it again, and look at its log for the cause"
            )
        for task in (*tasks, told, looping):
            task.cancel()
        if parts.loop.engine.run.phase in TERMINAL:
            await _linger(stop, parts.desk)
        parts.loop.release()
        api.end()
        await serving
    reason = "stopped by a signal" if stop.is_set() else "the run is over"
    crashpoint("stop.before")
    parts.loop.begin([Stopped(reason)])
    crashpoint("stop.after")


async def _until_closed(part: Coroutine[None, None, None]) -> None:
    """A part that still has something to say when the run is over just ends."""
    try:
        await part
    except* ClosedError:
        pass  # nobody is left who could be told


async def _linger(stop: asyncio.Event, desk: Desk) -> None:
    """Let the nodes have the last table: for good, since a complete run's needs no conductor."""
    told, had = asyncio.create_task(stop.wait()), asyncio.create_task(desk.wait_current())
    try:
        await asyncio.wait((told,), timeout=LINGER_SECONDS)
        await asyncio.wait((told, had), timeout=LATE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    finally:
        told.cancel()
        had.cancel()
    if behind := desk.behind():
        say("table_not_taken", nodes=list(behind), next="start this conductor again to offer it")
