"""The control endpoint of a world: its faults, its books, its clock, its webhooks.

    GET|PUT|DELETE /faults           the list of rules in force
    GET            /ledger           the chain's books
    GET            /calls            how often each operation was called
    POST           /near/blocks      {"count": n}: make n blocks now
    POST           /ping/deliver     {"url": ..., "kind": "good|wrong|stale|replay"}

Every request carries `Authorization: Bearer <control token>`.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final, get_args

from pydantic import ValidationError

from sandbox.access import ControlError, is_authorized
from sandbox.faults import RULES, Faults
from sandbox.near.chain import ADVANCE_MAX, Chain
from sandbox.near.ledger import dump
from sandbox.rails.webhooks import Variety, Webhooks
from sandbox.web import (
    Answer,
    BodyTooLargeError,
    Receive,
    Request,
    Scope,
    Send,
    json_answer,
    read_request,
    send_answer,
)

_KINDS: Final = get_args(Variety)


@dataclass(frozen=True, slots=True)
class Control:
    """The ASGI application of the control endpoint."""

    token: str
    faults: Faults
    chain: Chain
    webhooks: Webhooks
    calls: Counter[str] = field(default_factory=Counter)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        try:
            request = await read_request(scope, receive)
            answer = await self._guarded(request)
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

    async def _answer(self, request: Request) -> Any:
        match request.method, request.path:
            case "GET", "/faults":
                return {"faults": self.faults.state()}
            case "PUT", "/faults":
                self._replace(request)
                return {"faults": self.faults.state()}
            case "DELETE", "/faults":
                self.faults.clear()
                return {"faults": []}
            case "GET", "/ledger":
                return dump(self.chain)
            case "GET", "/calls":
                return dict(self.calls)
            case "POST", "/near/blocks":
                return self._advance(request)
            case "POST", "/ping/deliver":
                return await self._deliver(request)
            case _:
                raise ControlError(404, f"no {request.method} {request.path} here")

    def _replace(self, request: Request) -> None:
        try:
            body = request.json()
            rules = body.get("faults") if isinstance(body, dict) else body
            self.faults.replace(RULES.validate_python(rules))
        except (ValidationError, ValueError) as error:
            raise ControlError(422, f"a list of fault rules is expected: {error}") from error

    def _advance(self, request: Request) -> dict[str, int]:
        count = request.json_object().get("count", 1)
        if not isinstance(count, int) or not 1 <= count <= ADVANCE_MAX:
            raise ControlError(422, f"count: 1 to {ADVANCE_MAX} is expected")
        for _ in range(count):
            self.chain.produce()
        return {"head": self.chain.head.height, "final": self.chain.final.height}

    async def _deliver(self, request: Request) -> dict[str, Any]:
        body = request.json_object()
        url, kind = body.get("url"), body.get("kind", "good")
        if not isinstance(url, str) or kind not in _KINDS:
            raise ControlError(422, f"url, and kind of {', '.join(_KINDS)}, are expected")
        try:
            return await self.webhooks.deliver(url, kind)
        except ValueError as error:
            raise ControlError(409, str(error)) from error
