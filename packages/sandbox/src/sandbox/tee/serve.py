"""A guest agent and a collateral service, each with its control endpoint, over real sockets."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from sandbox.faults import Faults
from sandbox.standin import Service, StandIn
from sandbox.tee.agent import GuestAgent
from sandbox.tee.boot import ExtraEvent
from sandbox.tee.desk import Action, Desk
from sandbox.tee.machine import Machine
from sandbox.tee.pccs import Pccs
from sandbox.tee.settings import Collateral
from sandbox.web import Application, Receive, Request, Scope, Send, Server


@dataclass(frozen=True, slots=True)
class Where:
    """Where to listen; the system chooses ports that are not given.

    Attributes:
        uds: a Unix socket; `host` and `port` otherwise.
        token: of the control endpoint.
        gone_file: while it exists, calls are taken and never answered.
    """

    token: str = field(repr=False)
    uds: Path | None = None
    host: str = "127.0.0.1"
    port: int = 0
    control_port: int = 0
    gone_file: Path | None = None


class Served:
    """A stand-in on a socket, and its control endpoint."""

    def __init__(
        self, service: Service, where: Where, actions: dict[tuple[str, str], Action]
    ) -> None:
        self.faults, self.calls = Faults({}), Counter[str]()
        application: Application = StandIn(service, self.faults, self.calls)
        if where.gone_file is not None:
            application = Gone(application, where.gone_file.exists)
        self._server = Server(application, host=where.host, port=where.port, uds=where.uds)
        desk = Desk(where.token, self.faults, self._server, actions, self.calls)
        self._control = Server(desk, host=where.host, port=where.control_port)

    @property
    def url(self) -> str:
        """Where the service is: a base URL or the path of its socket."""
        return self._server.url

    @property
    def control(self) -> str:
        """Base URL of the control endpoint."""
        return self._control.url

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """Listen until the end of the block; raises OSError when an address is taken."""
        try:
            await self._server.start()
            await self._control.start()
            yield self
        finally:
            await self._server.stop()
            await self._control.stop()


class ServedMachine(Served):
    """A machine's guest agent.

    Its control endpoint adds:

        GET  /machine           {"facts": what a policy would pin, "boot": how it was started}
        POST /machine/restart   fields of `Boot` to change; measured events are gone afterwards
        POST /machine/events    {"event": name, "payload": hex}: measured into RTMR3, in any age
    """

    def __init__(self, machine: Machine, where: Where) -> None:
        self.machine = machine
        actions: dict[tuple[str, str], Action] = {
            ("GET", "/machine"): self._state,
            ("POST", "/machine/restart"): self._restart,
            ("POST", "/machine/events"): self._emit,
        }
        super().__init__(GuestAgent(machine), where, actions)

    def _state(self, _: Request) -> dict[str, Any]:
        return {"facts": self.machine.facts(), "boot": self.machine.boot.model_dump()}

    def _restart(self, request: Request) -> dict[str, Any]:
        self.machine.restart(_object(request))
        return self._state(request)

    def _emit(self, request: Request) -> dict[str, Any]:
        extra = ExtraEvent.model_validate(_object(request))
        self.machine.emit(extra.event, bytes.fromhex(extra.payload))
        return self._state(request)


class ServedPccs(Served):
    """A collateral service.

    Its control endpoint adds:

        GET       /collateral           the settings in force
        PUT       /collateral           settings (see `settings.Collateral`), the rest by default
        PATCH     /collateral           settings to change
        POST      /collateral/promote   the early set becomes the standard one
    """

    def __init__(self, pccs: Pccs, where: Where) -> None:
        self.pccs = pccs
        actions: dict[tuple[str, str], Action] = {
            ("GET", "/collateral"): lambda _: self._state(),
            ("PUT", "/collateral"): lambda request: self._change(_object(request)),
            ("PATCH", "/collateral"): lambda request: self._change(
                {**self.pccs.settings.model_dump(), **_object(request)}
            ),
            ("POST", "/collateral/promote"): lambda _: self._promote(),
        }
        super().__init__(pccs, where, actions)

    def _state(self) -> dict[str, Any]:
        return self.pccs.settings.model_dump()

    def _change(self, value: dict[str, Any]) -> dict[str, Any]:
        self.pccs.settings = Collateral.model_validate(value)
        return self._state()

    def _promote(self) -> dict[str, Any]:
        self.pccs.settings = self.pccs.settings.promoted()
        return self._state()


class Gone:
    """ASGI middleware: takes a call and never answers it while `is_gone` says so."""

    def __init__(self, app: Application, is_gone: Callable[[], bool]) -> None:
        self._app = app
        self._is_gone = is_gone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or wait until the caller gives up."""
        if scope["type"] == "http" and self._is_gone():
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        await self._app(scope, receive, send)


def _object(request: Request) -> dict[str, Any]:
    """Return the body; raises ValueError when it is no JSON object."""
    value = request.json() if request.body.strip() else {}
    if not isinstance(value, dict):
        found = type(value).__name__
        raise ValueError(f"a JSON object is expected, not {found}")  # noqa: TRY004  # the caller's
    return value
