"""The control endpoint of one stand-in: its faults, its state, and whether it is there at all.

    GET|PUT|DELETE /faults      the list of rules in force (see `sandbox.faults`)
    GET            /calls       how often each operation was called
    GET|PUT        /listening   {"listening": false}: nobody is there; its socket is gone

and what the service adds. Every request carries `Authorization: Bearer <control token>`.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from sandbox.access import ControlError, is_authorized
from sandbox.faults import RULES, Faults
from sandbox.web import (
    Answer,
    BodyTooLargeError,
    Receive,
    Request,
    Scope,
    Send,
    Server,
    json_answer,
    read_request,
    send_answer,
)

Action = Callable[[Request], Any]


@dataclass(frozen=True, slots=True)
class Desk:
    """The ASGI application of the control endpoint.

    Attributes:
        actions: by method and path; one that raises ValueError is answered 422.
    """

    token: str
    faults: Faults
    server: Server
    actions: Mapping[tuple[str, str], Action]
    calls: Counter[str] = field(default_factory=Counter)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        try:
            answer = await self._guarded(await read_request(scope, receive))
        except BodyTooLargeError:
            answer = json_answer({"error": "body too large"}, 413)
        await send_answer(send, answer)

    async def _guarded(self, request: Request) -> Answer:
        if not is_authorized(request, self.token):
            return json_answer({"error": "the control token is required"}, 401)
        try:
            return json_answer(await self._answer(request))
        except ControlError as error:
            return json_answer({"error": error.message}, error.status)
        except (ValidationError, ValueError) as error:
            return json_answer({"error": str(error)}, 422)

    async def _answer(self, request: Request) -> Any:
        match request.method, request.path:
            case "GET", "/faults":
                return {"faults": self.faults.state()}
            case "PUT", "/faults":
                body = request.json()
                rules = body.get("faults") if isinstance(body, dict) else body
                self.faults.replace(RULES.validate_python(rules))
                return {"faults": self.faults.state()}
            case "DELETE", "/faults":
                self.faults.clear()
                return {"faults": []}
            case "GET", "/calls":
                return dict(self.calls)
            case "GET" | "PUT", "/listening":
                return await self._listening(request)
            case _:
                pass
        action = self.actions.get((request.method, request.path))
        if action is None:
            raise ControlError(404, f"no {request.method} {request.path} here")
        return action(request)

    async def _listening(self, request: Request) -> dict[str, bool]:
        if request.method == "PUT":
            wanted = request.json_object().get("listening")
            if not isinstance(wanted, bool):
                raise ControlError(422, "listening: true or false is expected")
            if wanted and not self.server.is_listening:
                await self.server.start()
            elif not wanted:
                await self.server.stop()
        return {"listening": self.server.is_listening}
