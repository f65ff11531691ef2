"""Where faults meet services: one application a stand-in, the same for all of them.

The path may begin with `/~<plane>`: the same service at an address of that plane's own, so that a
fault can be given to one plane's calls although both planes carry the same credentials.
"""

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from sandbox.faults import Call, Faults, Rule
from sandbox.web import (
    Answer,
    BodyTooLargeError,
    Receive,
    Request,
    Scope,
    Send,
    cut,
    json_answer,
    read_request,
    send_answer,
)

_HANG_SECONDS_MAX: Final = 600.0
_log = logging.getLogger("sandbox")


class Service(Protocol):
    """A remote system: it says what a request asks for, and answers it."""

    @property
    def name(self) -> str:
        """What fault rules call it."""
        ...

    def identify(self, request: Request) -> Call:
        """Return the operation asked for and the marks that the call carries."""
        ...

    async def answer(self, request: Request, call: Call, wrong: str | None) -> Answer:
        """Answer; `wrong` names the misbehaviour to show, or is None."""
        ...


@dataclass(frozen=True, slots=True)
class StandIn:
    """The ASGI application of one service under the faults in force."""

    service: Service
    faults: Faults
    calls: Counter[str] = field(default_factory=Counter)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or spoil it as the matching rule says."""
        try:
            request = await read_request(scope, receive)
        except BodyTooLargeError:
            await send_answer(send, json_answer({"message": "body too large"}, 413))
            return
        plane, request = _unmark(request)
        call = self.service.identify(request)
        if plane is not None:
            call = replace(call, marks={**call.marks, "plane": plane})
        self.calls[f"{call.service}.{call.operation}"] += 1
        rule = self.faults.pick(call)
        if rule is None or rule.wrong is not None:
            wrong = None if rule is None else rule.wrong
            await send_answer(send, await self._answer(request, call, wrong))
            return
        answer = None
        if rule.after or rule.kind in {"half", "latency_ms"}:
            answer = await self._answer(request, call, None)
        await _spoil(rule, answer, scope, receive, send)

    async def _answer(self, request: Request, call: Call, wrong: str | None) -> Answer:
        try:
            return await self.service.answer(request, call, wrong)
        except Exception:  # noqa: BLE001  # our own bug must look like a broken server, and be logged
            _log.exception("%s %s failed", call.service, call.operation)
            return json_answer({"message": "the stand-in failed; see its log"}, 500)


def _unmark(request: Request) -> tuple[str | None, Request]:
    if not request.path.startswith("/~"):
        return None, request
    plane, _, rest = request.path[2:].partition("/")
    return plane, replace(request, path="/" + rest)


async def _spoil(
    rule: Rule, answer: Answer | None, scope: Scope, receive: Receive, send: Send
) -> None:
    match rule.kind:
        case "status":
            await send_answer(send, json_answer({"message": "fault injected"}, rule.status))
        case "latency_ms":
            await asyncio.sleep(rule.latency_ms / 1000)
            await send_answer(send, answer or Answer(500))
        case "hang":
            await _wait_until_gone(receive)
            cut(scope, hard=True)
        case "reset":
            cut(scope, hard=True)
            await _wait_until_gone(receive)
        case "half":
            whole = answer or Answer(500)
            part = replace(whole, body=whole.body[: len(whole.body) // 2])
            await send_answer(send, part, length=len(whole.body) + 1)
            cut(scope, hard=False)
            await _wait_until_gone(receive)
        case "wrong":
            raise AssertionError("a wrong answer is the service's to give")


async def _wait_until_gone(receive: Receive) -> None:
    """Return when the peer has closed the connection, at the latest after ten minutes."""
    try:
        async with asyncio.timeout(_HANG_SECONDS_MAX):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return
