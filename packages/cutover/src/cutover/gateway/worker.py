"""One worker process: `python -m cutover.gateway.worker`, started by the supervisor only.

Standard input carries the configuration as one line of JSON (so no secret is in an argument list)
and then stays open as a lifeline: its end means that the supervisor is gone, and a worker without
one must not hold the port. On Linux the kernel is asked for the same, so that a worker that does
not get round to reading its input dies too.
"""

import asyncio
import ctypes
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec
import uvloop

from cutover.clock import ElapsedClock
from cutover.gateway.board import Board
from cutover.gateway.client import Client
from cutover.gateway.config import GatewayConfig, from_json
from cutover.gateway.crashing import arm_worker
from cutover.gateway.page import Page
from cutover.gateway.serving import SWEEP_SECONDS, serve

_PR_SET_PDEATHSIG: Final = 1

log = logging.getLogger("cutover.gateway.worker")


class Start(msgspec.Struct, frozen=True):
    """What the supervisor tells a worker.

    Attributes:
        config: of the node.
        worker: number of its block in the page.
        listener: file descriptor of its listening socket.
        page: file descriptor of the shared page.
        parent: process id of the supervisor.
    """

    config: GatewayConfig
    worker: int
    listener: int
    page: int
    parent: int


def main() -> None:
    """Serve until told to stop, or until the supervisor is gone."""
    start = from_json(_first_line(), Start)
    arm_worker(start.config)
    _die_with(start.parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor decides what ^C means
    factory = uvloop.new_event_loop if start.config.loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_run(start))


async def _run(start: Start) -> None:
    loop = asyncio.get_running_loop()
    page = Page(start.page, start.config.workers)
    prefix = os.urandom(6).hex().encode()
    board = Board(start.config, page, start.worker, loop, ElapsedClock(), prefix)
    loop.set_exception_handler(lambda _, context: _defect(board, context))
    loop.add_reader(sys.stdin.fileno(), _lifeline)
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    listener = socket.socket(fileno=start.listener)

    async def listen(factory: Callable[[], Client]) -> asyncio.Server:
        server = await loop.create_server(factory, sock=listener, backlog=1024)
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)  # a request makes no cycles; look rarely
        return server

    await serve(board, listen, stop, partial(asyncio.sleep, SWEEP_SECONDS))


def _defect(board: Board, context: dict[str, Any]) -> None:
    """A callback raised what it must not: say so, and that the counts may lack an outcome."""
    error = context.get("exception")
    if isinstance(error, (ConnectionError, TimeoutError)):
        return  # a peer that went away; its protocol has been told
    board.tally.lose()
    log.error("defect in a worker: %s", context.get("message"), exc_info=error)


def _first_line() -> bytes:
    line = bytearray()
    while not line.endswith(b"\n"):
        piece = os.read(sys.stdin.fileno(), 1)  # byte by byte: what follows is the lifeline
        if not piece:
            raise SystemExit("a gateway worker is started by `cutover gateway`, not by hand")
        line += piece
    return bytes(line)


def _lifeline() -> None:
    os._exit(1)  # nobody is left who could be told


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit("the gateway's supervisor is gone")


if __name__ == "__main__":
    main()
