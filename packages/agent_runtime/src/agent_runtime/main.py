"""Entry point: settings in, one server out; or one of the operator's commands (`command`).

Exit codes of the server: 0 after a stop signal, 1 if stopping took longer than ten seconds, 2 for
bad settings or for a start that they ask for and that is not possible.
"""

import asyncio
import os
import signal
import socket
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from agent_runtime.advice import advice
from agent_runtime.attestation.attestor import Attestor
from agent_runtime.errors import SettingsError, StartError
from agent_runtime.http.app import make_app
from agent_runtime.http.doorman import Doorman
from agent_runtime.log import configure, logger
from agent_runtime.settings import Settings
from agent_runtime.wiring import Service, build

STOP_SECONDS = 10
GOODBYE_SECONDS = 0.25


class Server(uvicorn.Server):
    """uvicorn's server, with the contract's way to stop (contract §1)."""

    def __init__(self, service: Service) -> None:
        settings = service.settings
        self._service = service
        self._opening: asyncio.Task[ssl.SSLContext] | None = None
        super().__init__(
            uvicorn.Config(
                make_app(service),
                host=settings.host,
                port=settings.port,
                access_log=False,
                log_config=None,
                server_header=False,
                timeout_graceful_shutdown=STOP_SECONDS - 2,  # the work needs a little longer
                loop="uvloop",
                http=Doorman,
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
        """Listen, and say where; with TLS under this instance's key, or not at all.

        Raises:
            StartError: there is no such key.
        """
        if self._service.attestor is not None and not await self._open(self._service.attestor):
            return
        await super().startup(sockets)
        ports = [s.getsockname()[1] for server in self.servers for s in server.sockets]
        if ports:
            settings = self._service.settings
            logger().info(
                "serving",
                port=ports[0],
                plane=settings.plane_id,
                keyed=bool(settings.api_key),
                tls=settings.tls,
                **_named(self._service.attestor),
            )
            for said in advice(settings):
                logger().warning("advice", said=said)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop, without waiting for peers that do not say goodbye."""
        self._service.carrier.stop_soon()
        hanging_up = asyncio.ensure_future(self._hang_up())
        try:
            await super().shutdown(sockets)
        finally:
            hanging_up.cancel()

    async def _hang_up(self) -> None:
        """Cut connections that we closed and whose peer lets us wait for the end of its TLS."""
        closing: set[asyncio.Transport] = set()
        while True:
            open_ = {found.transport for found in self.server_state.connections}
            for transport in open_ & closing:
                transport.abort()
            closing = {one for one in open_ if one.is_closing() and not one.get_write_buffer_size()}
            await asyncio.sleep(GOODBYE_SECONDS)

    async def _open(self, attestor: Attestor) -> bool:
        """Get the key before anything listens; False if told to stop meanwhile."""
        self._opening = asyncio.ensure_future(attestor.open())
        try:
            self.config.ssl = await self._opening
        except (asyncio.CancelledError, StartError):
            await self._service.aclose()  # who serves does that at the end; nobody will serve
            if not self.should_exit:
                raise
            return False
        return True

    def _stop(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
        if not self.should_exit:
            asyncio.get_running_loop().call_later(STOP_SECONDS, os._exit, 1)
        self.should_exit = True


def main() -> None:
    """Carry out the command that is named; without one, or with `serve`, run until told to stop."""
    configure()
    if sys.argv[1:] not in ([], ["serve"]):
        from agent_runtime.command import run  # noqa: PLC0415 - what serves needs none of it

        sys.exit(run(sys.argv[1:], os.environ))
    try:
        service = build(Settings.from_environ(os.environ))
    except SettingsError as error:
        lines = "\n".join(f"  {fault}" for fault in error.faults)
        sys.exit(_complain(f"agent-runtime cannot start; correct the environment:\n{lines}"))
    server = Server(service)
    try:
        server.run()
    except StartError as error:
        sys.exit(_complain(f"agent-runtime cannot start: {error}"))
    sys.exit(0 if server.started or server.should_exit else 1)


def _named(attestor: Attestor | None) -> dict[str, str]:
    return {} if attestor is None else {"tls_spki": attestor.spki}


def _complain(text: str) -> int:
    sys.stderr.write(text + "\n")
    return 2


if __name__ == "__main__":
    main()
