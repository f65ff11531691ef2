"""A conductor at work: every task in one group, so that none outlives another unnoticed."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Coroutine, Iterator
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from cutover.conductor.address import ADDRESS_FILE, write_address
from cutover.conductor.assembly import Parts
from cutover.conductor.loop import ClosedError
from cutover.decision.run import TERMINAL
from cutover.errors import CutoverError
from cutover.evidence.observation import Stopped

GRACE_SECONDS = 2
"""For API requests in hand when the conductor stops."""

LINGER_SECONDS = 2.0
"""After the end the last table is still served, so that every node can take it."""


class ApiEndedError(CutoverError):
    """The control API is gone while the conductor still works."""


async def serve(parts: Parts, api: FastAPI, listener: socket.socket, data: Path) -> None:
    """Work until the run is over or a signal says stop.

    SIGTERM and SIGINT end it in good order: what was acknowledged is journaled, what was not is
    turned away, and a `Stopped` closes.

    Raises:
        JournalError: the journal cannot be written.
        ApiEndedError: nobody can be told anything any more.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = _server(api)
    write_address(data, listener)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_until_closed(parts.probes.run())),
            group.create_task(_until_closed(parts.nodes.watch())),
            group.create_task(_until_closed(parts.gatherer.run())),
        ]
        serving = group.create_task(server.serve(sockets=[listener]))
        work = group.create_task(parts.loop.run())
        told = group.create_task(stop.wait())
        await asyncio.wait({work, told, serving}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            raise ApiEndedError(
                "the control API ended by itself: no gateway could take a table or report, so the "
                "conductor stops; start it again, and look at its log for the cause"
            )
        for task in (*tasks, told, work):
            task.cancel()
        if parts.loop.engine.run.phase in TERMINAL:
            await _linger(stop)
        parts.loop.release()
        server.should_exit = True
        await serving
    with contextlib.suppress(FileNotFoundError):
        (data / ADDRESS_FILE).unlink()
    reason = "stopped by a signal" if stop.is_set() else "the run is over"
    parts.loop.begin([Stopped(reason)])


async def _until_closed(part: Coroutine[None, None, None]) -> None:
    """A part that still has something to say when the run is over just ends."""
    try:
        await part
    except* ClosedError:
        pass  # nobody is left who could be told


async def _linger(stop: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            await stop.wait()


class _Server(uvicorn.Server):
    """Signals belong to the conductor, not to its API."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave every signal alone."""
        yield


def _server(api: FastAPI) -> _Server:
    return _Server(
        uvicorn.Config(
            api, log_config=None, access_log=False, lifespan="off",
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )  # fmt: skip
