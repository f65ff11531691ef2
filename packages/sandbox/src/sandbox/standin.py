"""Where faults meet services: one application a stand-in, the same for all of them.

The path may begin with `/~<name>`: the same service at an address of its own. The name of a plane
lets a fault be given to that plane's calls although both planes carry the same credentials; any
other name is a provider of the same service, `/~<plane>/~<provider>` is both.
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
        names, request = _unmark(request)
        call = self.service.identify(request)
        if names:
            own = {"plane": names[0], "provider": names[-1]}
            call = replace(call, marks={**call.marks, **own})
        self.calls[f"{call.service}.{call.operation}"] += 1
        rule = self.faults.pick(call)
        if rule is None or rule.wrong is not None:
            wrong = None if rule is None else rule.wrong
            await send_answer(send, await self._answer(request, call, wrong))
            return
        answer = None
        if rule.after or rule.kind in {"half", "torn", "latency_ms"}:
            answer = await self._answer(request, call, None)
        await _spoil(rule, answer, scope, receive, send)

    async def _answer(self, request: Request, call: Call, wrong: str | None) -> Answer:
        try:
            return await self.service.answer(request, call, wrong)
        except Exception:  # noqa: BLE001  # our own bug must look like a broken server, and be logged
            _log.exception("%s %s failed", call.service, call.operation)
            return json_answer({"message": "the stand-in failed; see its log"}, 500)


def _unmark(request: Request) -> tuple[list[str], Request]:
    names, path = [], request.path
    while path.startswith("/~"):
        name, _, rest = path[2:].partition("/")
        names.append(name)
        path = "/" + rest
    return names, replace(request, path=path)


async def _spoil(
    rule: Rule, answer: Answer | None, scope: Scope, receive: Receive, send: Send
) -> None:
    match rule.kind:
        case "status":
            wait = {} if rule.retry_after is None else {"retry-after": str(rule.retry_after)}
            await send_answer(send, json_answer({"message": "fault injected"}, rule.status, wait))
        case "latency_ms":
            await asyncio.sleep(rule.latency_ms / 1000)
            await send_answer(send, answer or Answer(500))
        case "hang":
            await _wait_until_gone(receive)
            cut(scope, hard=True)
        case "reset":
            cut(scope, hard=True)
            await _wait_until_gone(receive)
        case "half" | "torn":
            whole = answer or Answer(500)
            part = replace(whole, body=whole.body[: len(whole.body) // 2])
            await send_answer(send, part, length=len(whole.body) + 1)
            cut(scope, hard=rule.kind == "torn")
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
