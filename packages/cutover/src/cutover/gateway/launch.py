"""Workers as processes of the operating system: how they are started, and what they are told."""

import contextlib
import subprocess
import sys
from os import getpid
from socket import socket

from cutover.crashpoint import handed_down
from cutover.gateway.config import GatewayConfig, to_json
from cutover.gateway.worker import Start


class WorkerProcess(subprocess.Popen[bytes]):
    """A running worker; the pipe to its standard input is its lifeline.

    Args:
        start: what it is told.
    """

    def __init__(self, start: Start) -> None:
        super().__init__(
            [sys.executable, "-m", "cutover.gateway.worker"],
            stdin=subprocess.PIPE,
            env=handed_down(),
            pass_fds=(start.listener, start.page),
        )
        if self.stdin is None:
            raise AssertionError("a piped stdin was asked for")
        # A worker that is dead before it was told anything is noticed, and replaced, by the crew.
        with contextlib.suppress(BrokenPipeError):
            self.stdin.write(to_json(start) + b"\n")
            self.stdin.flush()

    def hang_up(self) -> None:
        """Close our end of a dead worker's lifeline; what it never read is of no use any more."""
        if self.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.stdin.close()


class Launcher:
    """Starts the workers of one node.

    Args:
        config: of the node.
        listeners: one a worker; a worker's stays when its process goes.
        page_fd: of the page's file.
    """

    def __init__(self, config: GatewayConfig, listeners: list[socket], page_fd: int) -> None:
        self._config = config
        self._listeners = listeners
        self._page_fd = page_fd

    def __call__(self, worker: int) -> WorkerProcess:
        """Start a worker."""
        listener = self._listeners[worker].fileno()
        return WorkerProcess(Start(self._config, worker, listener, self._page_fd, getpid()))
