"""Entry point: settings in, one server out.

Exit codes: 0 after a stop signal, 1 if stopping took longer than ten seconds, 2 for bad settings.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from agent_runtime.errors import SettingsError
from agent_runtime.http.app import make_app
from agent_runtime.log import configure, logger
from agent_runtime.settings import Settings
from agent_runtime.wiring import Service, build

STOP_SECONDS = 10


class Server(uvicorn.Server):
    """uvicorn's server, with the contract's way to stop (contract §1)."""

    def __init__(self, service: Service) -> None:
        settings = service.settings
        self._service = service
        super().__init__(
            uvicorn.Config(
                make_app(service),
                host=settings.host,
                port=settings.port,
                access_log=False,
                log_config=None,
                server_header=False,
                timeout_graceful_shutdown=STOP_SECONDS - 1,
                limit_concurrency=1_000,
                loop="uvloop",
                http="httptools",
                ws="none",
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGTERM and SIGINT, and leave with 0 instead of dying of the signal."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say where."""
        await super().startup(sockets)
        ports = [s.getsockname()[1] for server in self.servers for s in server.sockets]
        if ports:
            settings = self._service.settings
            logger().info(
                "serving", port=ports[0], plane=settings.plane_id, keyed=bool(settings.api_key)
            )

    def _stop(self) -> None:
        if not self.should_exit:
            asyncio.get_running_loop().call_later(STOP_SECONDS, os._exit, 1)
        self.should_exit = True


def main() -> None:
    """Run until told to stop."""
    configure()
    try:
        service = build(Settings.from_environ(os.environ))
    except SettingsError as error:
        lines = "\n".join(f"  {fault}" for fault in error.faults)
        sys.exit(_complain(f"agent-runtime cannot start; correct the environment:\n{lines}"))
    server = Server(service)
    server.run()
    sys.exit(0 if server.started else 1)


def _complain(text: str) -> int:
    sys.stderr.write(text + "\n")
    return 2


if __name__ == "__main__":
    main()
