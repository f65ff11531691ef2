"""A conductor at work: every task in one group, so that none outlives another unnoticed."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog
import uvicorn
from fastapi import FastAPI

from cutover.conductor.gatherer import Gatherer
from cutover.conductor.loop import ClosedError, Loop
from cutover.conductor.nodes import Nodes
from cutover.conductor.probes import Probes
from cutover.decision.run import TERMINAL
from cutover.errors import ConfigurationError
from cutover.evidence.observation import Stopped

ADDRESS_FILE = "conductor.json"
PORT_FILE = "conductor.port"
GRACE_SECONDS = 2
"""For API requests in hand when the conductor stops."""

LINGER_SECONDS = 2.0
"""After the end the last table is still served, so that every node can take it."""


@dataclass(frozen=True)
class Parts:
    """What a conductor is made of; `cutover.app` puts it together."""

    loop: Loop
    nodes: Nodes
    probes: Probes
    gatherer: Gatherer
    api: FastAPI
    listener: socket.socket
    data: Path


async def serve(parts: Parts) -> None:
    """Work until the run is over or a signal says stop.

    SIGTERM and SIGINT end it in good order: what was acknowledged is journaled, what was not is
    turned away, and a `Stopped` closes.

    Raises:
        JournalError: the journal cannot be written.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = _server(parts.api)
    write_address(parts.data, parts.listener)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_until_closed(parts.probes.run())),
            group.create_task(_until_closed(parts.nodes.watch())),
            group.create_task(_until_closed(parts.gatherer.run())),
        ]
        api = group.create_task(server.serve(sockets=[parts.listener]))
        work = group.create_task(parts.loop.run())
        told = group.create_task(stop.wait())
        await asyncio.wait({work, told}, return_when=asyncio.FIRST_COMPLETED)
        for task in (*tasks, told, work):
            task.cancel()
        if parts.loop.engine.run.phase in TERMINAL:
            await _linger(stop)
        parts.loop.release()
        server.should_exit = True
        await api
    with contextlib.suppress(FileNotFoundError):
        (parts.data / ADDRESS_FILE).unlink()
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


def listen(host: str, port: int, data: Path) -> socket.socket:
    """Bind the control API's address.

    Port 0 means the port of the last start, if it is still free: gateway nodes keep the address
    that they were started with, so a conductor comes back to where it was.

    Raises:
        ConfigurationError: the address cannot be had.
    """
    before = port_before(data) if port == 0 else 0
    if before:
        try:
            return _bound(host, before)
        except OSError as error:
            structlog.get_logger().warning("port_taken", port=before, error=str(error))
    try:
        return _bound(host, port)
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(
            f"the control API cannot listen on {host} port {port}: {error}; choose another "
            "conductor.host or conductor.port, or stop what holds it"
        ) from error


def port_before(data: Path) -> int:
    """The port of the last start with this data directory; 0 when there was none."""
    try:
        return int((data / PORT_FILE).read_bytes()[:8])
    except (FileNotFoundError, ValueError):
        return 0


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With its protocol named, asyncio sets TCP_NODELAY: every answer comes 40 ms sooner.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except BaseException:
        listener.close()
        raise
    return listener


def url_of(host: str, port: int) -> str:
    """An address as a client writes it."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def write_address(data: Path, listener: socket.socket) -> None:
    """Tell the CLI and gateways of this machine where the conductor listens."""
    host, port = listener.getsockname()[:2]
    address = {"url": url_of(host, port), "pid": os.getpid()}
    _put(data / PORT_FILE, str(port).encode())
    _put(data / ADDRESS_FILE, msgspec.json.encode(address))


def _put(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content)
    temporary.replace(path)
