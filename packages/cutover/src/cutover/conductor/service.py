"""A conductor as a process: signals stop it, its API listens, and a file tells where."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from cutover.conductor.address import ADDRESS_FILE, write_address
from cutover.conductor.assembly import Parts
from cutover.conductor.work import work
from cutover.crashpoint import crashpoint

GRACE_SECONDS = 2
"""For API requests in hand when the conductor stops."""


async def serve(parts: Parts, api: FastAPI, listener: socket.socket, data: Path) -> None:
    """Work until the run is over or a signal says stop.

    SIGTERM and SIGINT end it in good order.

    Args:
        parts: the conductor.
        api: its control API.
        listener: bound, where the API is served.
        data: directory of the run, where the address is written while the API is served.

    Raises:
        JournalError: the journal cannot be written.
        ApiEndedError: nobody can be told anything any more.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    door = _Door(_server(api), listener, data)
    door.announce()
    crashpoint("start.serving")
    await work(parts, stop, door)


class _Server(uvicorn.Server):
    """Signals belong to the conductor, not to its API."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave every signal alone."""
        yield


class _Door:
    """The control API on its socket; its address is known for as long as it serves."""

    def __init__(self, server: _Server, listener: socket.socket, data: Path) -> None:
        self._server = server
        self._listener = listener
        self._data = data

    def announce(self) -> None:
        """Tell this machine where the API is: the socket takes connections before it is served."""
        write_address(self._data, self._listener)

    async def serve(self) -> None:
        """Serve until `end`; the address is left where it is when the API ends by itself."""
        await self._server.serve(sockets=[self._listener])
        if self._server.should_exit:
            (self._data / ADDRESS_FILE).unlink(missing_ok=True)

    def end(self) -> None:
        """Let requests in hand finish within their grace, and no more in."""
        self._server.should_exit = True


def _server(api: FastAPI) -> _Server:
    return _Server(
        uvicorn.Config(
            api, log_config=None, access_log=False, lifespan="off",
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )  # fmt: skip
