"""The control endpoint of a world: its faults, its books, its clock, its webhooks.

    GET|PUT|DELETE /faults           the list of rules in force
    GET            /ledger           the chain's books
    GET            /calls            how often each operation was called
    POST           /near/blocks      {"count": n, "skip": m}: make n blocks now, after m heights
                                     without one
    POST           /near/reorg       {"blocks": n, "return_after": m}: take back the newest n
                                     blocks, as far as none is final; their transactions come in
                                     again after m further blocks, or (null) when sent again
    GET|PUT|DELETE /near/providers   {"<name>": {"lag", "forgets_after", "height_offset"}}: how the
                                     chain looks at `/~<name>`; or {"nodes": [..], "order", "seed"}:
                                     several such nodes behind that one address
    POST           /hot/pay          a payer pays an item, on the chain: {"item_id", "units",
                                     "receiver", "memo", "status"}, all but the first optional
                                     (see `rails.hot`)
    POST           /<who>/deliver    who is ping, github, neynar or hot. {"url": ..., "kind":
                                     "good|wrong|stale|replay", "copies": n, "event": {...}}: all
                                     copies of the one delivery at the same time; what an event
                                     may say is in `rails.webhooks`
    GET            /neynar/casts     what was cast through Neynar

Every request carries `Authorization: Bearer <control token>`.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, get_args

from pydantic import ValidationError

from sandbox.access import ControlError, is_authorized
from sandbox.faults import RULES, Faults
from sandbox.near.chain import ADVANCE_MAX, Chain
from sandbox.near.ledger import dump
from sandbox.near.view import VIEWS
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
_COPIES_MAX: Final = 100
_SKIP_MAX: Final = 10**6

Order = Callable[[Mapping[str, Any]], dict[str, Any]]
"""Carries out what a body says; raises ValueError if it says what cannot be done."""


@dataclass(frozen=True, slots=True)
class Control:
    """The ASGI application of the control endpoint."""

    token: str
    faults: Faults
    chain: Chain
    senders: Mapping[str, Webhooks]
    casts: Sequence[Mapping[str, Any]]
    calls: Counter[str] = field(default_factory=Counter)
    orders: Mapping[str, Order] = field(default_factory=dict)

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
            case "GET", "/neynar/casts":
                return {"casts": list(self.casts)}
            case "POST", path if path.endswith("/deliver") and path[1:-8] in self.senders:
                return await self._deliver(self.senders[path[1:-8]], request)
            case "POST", path if path in self.orders:
                return _carry_out(self.orders[path], request)
            case _:
                return self._order_chain(request)

    def _order_chain(self, request: Request) -> Any:
        match request.method, request.path:
            case "POST", "/near/blocks":
                return self._advance(request)
            case "POST", "/near/reorg":
                return self._reorganise(request)
            case "GET", "/near/providers":
                return self._views()
            case "PUT", "/near/providers":
                self._look_differently(request)
                return self._views()
            case "DELETE", "/near/providers":
                self.chain.views = {}
                return self._views()
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
        body = request.json_object()
        count, skip = _number(body, "count", 1, ADVANCE_MAX), _number(body, "skip", 0, _SKIP_MAX)
        self.chain.produce(skip=skip)
        for _ in range(count - 1):
            self.chain.produce()
        return {"head": self.chain.head.height, "final": self.chain.final.height}

    def _reorganise(self, request: Request) -> dict[str, Any]:
        body = request.json_object()
        blocks = _number(body, "blocks", 1, ADVANCE_MAX)
        later = body.get("return_after")
        if later is not None:
            later = _number(body, "return_after", 0, ADVANCE_MAX)
        vanished = self.chain.reorganise(blocks, later)
        now = self.chain.now
        return {"head": now.head, "final": now.final, "vanished": vanished}

    def _look_differently(self, request: Request) -> None:
        try:
            self.chain.views = VIEWS.validate_python(request.json())
        except (ValidationError, ValueError) as error:
            raise ControlError(422, f"views by provider name are expected: {error}") from error

    def _views(self) -> dict[str, Any]:
        return {name: view.model_dump() for name, view in self.chain.views.items()}

    async def _deliver(self, sender: Webhooks, request: Request) -> dict[str, Any]:
        body = request.json_object()
        url, kind, event = body.get("url"), body.get("kind", "good"), body.get("event", {})
        if not isinstance(url, str) or kind not in _KINDS or not isinstance(event, dict):
            raise ControlError(422, f"url, and kind of {', '.join(_KINDS)}, are expected")
        copies = _number(body, "copies", 1, _COPIES_MAX)
        try:
            answers = await sender.deliver(url, kind, copies, event)
        except ValueError as error:
            raise ControlError(409, str(error)) from error
        return answers[0] if copies == 1 else {**answers[0], "answers": answers}


def _carry_out(order: Order, request: Request) -> dict[str, Any]:
    try:
        return order(request.json_object())
    except ValueError as error:
        raise ControlError(422, str(error)) from error


def _number(body: Mapping[str, Any], name: str, least: int, most: int) -> int:
    """Return an optional whole number, `least` if absent; raises ControlError."""
    value = body.get(name, least)
    if not isinstance(value, int) or not least <= value <= most:
        raise ControlError(422, f"{name}: {least} to {most} is expected")
    return value
