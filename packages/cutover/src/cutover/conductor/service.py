"""A conductor at work: every task in one group, so that none outlives another unnoticed."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import uvicorn
from fastapi import FastAPI

from cutover.conductor.gatherer import Gatherer
from cutover.conductor.loop import Loop
from cutover.conductor.nodes import Nodes
from cutover.conductor.probes import Probes
from cutover.decision.run import TERMINAL
from cutover.evidence.observation import Stopped

ADDRESS_FILE = "conductor.json"
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

    SIGTERM and SIGINT end it in good order: what was read is journaled, and a `Stopped` closes.

    Raises:
        JournalError: the journal cannot be written.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = _Server(uvicorn.Config(parts.api, log_config=None, access_log=False, lifespan="off"))
    write_address(parts.data, parts.listener)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(parts.probes.run()),
            group.create_task(parts.nodes.watch()),
            group.create_task(parts.gatherer.run()),
        ]
        api = group.create_task(server.serve(sockets=[parts.listener]))
        work = group.create_task(parts.loop.run())
        told = group.create_task(stop.wait())
        await asyncio.wait({work, told}, return_when=asyncio.FIRST_COMPLETED)
        for task in (*tasks, told, work):
            task.cancel()
        if parts.loop.engine.run.phase in TERMINAL:
            await _linger(stop)
        server.should_exit = True
        await api
    with contextlib.suppress(FileNotFoundError):
        (parts.data / ADDRESS_FILE).unlink()
    reason = "stopped by a signal" if stop.is_set() else "the run is over"
    parts.loop.begin([Stopped(reason)])


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


def listen(host: str, port: int) -> socket.socket:
    """Bind the control API's address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(128)
    return listener


def write_address(data: Path, listener: socket.socket) -> None:
    """Tell the CLI and gateways of this machine where the conductor listens."""
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    text = msgspec.json.encode({"url": f"http://{shown}:{port}", "pid": os.getpid()})
    temporary = data / f".{ADDRESS_FILE}.{os.getpid()}"
    temporary.write_bytes(text)
    temporary.replace(data / ADDRESS_FILE)
