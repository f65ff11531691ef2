"""The local control API: operators order and look, gateway nodes subscribe and report.

Every route needs a bearer token of its role; every error has one shape, `{"error", "code"}`.
Bodies are bounded before they are parsed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from itertools import islice
from typing import Any, Final

import msgspec
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import ClientDisconnect

from cutover.conductor.credentials import Tokens
from cutover.conductor.desk import UNREADABLE, Desk, UnreadableError
from cutover.conductor.loop import ClosedError, DefectError, Loop
from cutover.crashpoint import crashpoint
from cutover.decision.command import Command
from cutover.decision.fact import Entry
from cutover.errors import CutoverError
from cutover.evidence.wire import REPORT_BYTES_MAX

ORDER_BYTES_MAX: Final = 8 * 1024
ENTRIES_MAX: Final = 200
_CODES: Final = {
    401: "unauthorized", 404: "not_found", 405: "method_not_allowed", 413: "too_large",
}  # fmt: skip

Entries = Callable[[int], Iterator[Entry]]


def build_api(loop: Loop, desk: Desk, tokens: Tokens, entries: Entries) -> FastAPI:
    """The API over a running loop.

    Args:
        loop: the conductor's loop.
        desk: where gateway nodes ask and report.
        tokens: who may do what.
        entries: reads journal entries after a number.
    """
    api = FastAPI(
        title="cutover conductor", docs_url=None, redoc_url=None, openapi_url=None,
        redirect_slashes=False,
    )  # fmt: skip
    api.add_exception_handler(StarletteHTTPException, _http_error)
    api.add_exception_handler(RequestValidationError, _invalid)
    api.add_exception_handler(UnreadableError, _not_taken)
    api.add_exception_handler(DefectError, _not_taken)
    api.add_exception_handler(CutoverError, _unavailable)
    api.add_exception_handler(Exception, _defect)
    _operator_routes(api, loop, tokens, entries)
    _gateway_routes(api, desk, tokens)
    return api


def _operator_routes(api: FastAPI, loop: Loop, tokens: Tokens, entries: Entries) -> None:
    operator = [Depends(_role(tokens.is_operator))]

    @api.get("/v1/status", dependencies=operator)
    async def status() -> Response:
        return _json(loop.engine.status())

    @api.get("/v1/explain", dependencies=operator)
    async def explain() -> Response:
        return _json(loop.engine.explain())

    @api.get("/v1/entries", dependencies=operator)
    async def read(after: int = 0, limit: int = ENTRIES_MAX) -> Response:
        most = min(max(1, limit), ENTRIES_MAX)
        return await asyncio.to_thread(lambda: _json(list(islice(entries(max(0, after)), most))))

    @api.post("/v1/orders", dependencies=operator)
    async def order(request: Request, *, dry_run: bool = False) -> Response:
        body = await _bounded(request, ORDER_BYTES_MAX)
        try:
            command: Command = msgspec.json.decode(body, type=Command)
        except UNREADABLE as error:
            raise HTTPException(400, f"not an order: {error}") from error
        refused = loop.engine.refusal(command) if dry_run else loop.order(command)
        if refused:
            return _error(409, "refused", refused)
        return _json(loop.engine.status())


def _gateway_routes(api: FastAPI, desk: Desk, tokens: Tokens) -> None:
    gateway = [Depends(_role(tokens.is_gateway))]

    @api.get("/v1/table", dependencies=gateway)
    async def table(
        node: str, term: int = 0, generation: int = 0, wait_ms: int = 0, run: str = ""
    ) -> Response:
        new = await desk.table(node, run, term, generation, wait_ms)
        answer = Response(status_code=204) if new is None else _json(new)
        answer.background = BackgroundTask(_table_served)
        return answer

    @api.post("/v1/report", dependencies=gateway)
    async def report(request: Request) -> Response:
        return _json(await desk.report(await _bounded(request, REPORT_BYTES_MAX)))


async def _table_served() -> None:
    crashpoint("table.serve.after")


def _role(admits: Callable[[str], bool]) -> Callable[[Request], Awaitable[None]]:
    """A dependency, so that nothing of a request is looked at before its token."""

    async def need(request: Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not admits(token):
            raise HTTPException(401, "a bearer token of this route's role is needed")

    return need


async def _bounded(request: Request, limit: int) -> bytes:
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > limit:
                raise HTTPException(413, f"a body of more than {limit} bytes")
    except ClientDisconnect as error:
        raise HTTPException(400, "the body ended before its length") from error
    return bytes(body)


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def _error(status: int, code: str, text: str) -> Response:
    return _json({"error": text, "code": code}, status)


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, StarletteHTTPException)  # noqa: S101 - registered for this class
    code = _CODES.get(error.status_code, "bad_request")
    return _error(error.status_code, code, str(error.detail))


async def _not_taken(_: Request, error: Exception) -> Response:
    return _error(400, "bad_request", str(error))


async def _unavailable(_: Request, error: Exception) -> Response:
    return _error(503, "stopping" if isinstance(error, ClosedError) else "journal", str(error))


async def _defect(_: Request, error: Exception) -> Response:
    """The server logs it with its traceback; the caller learns its kind, nothing of its text."""
    said = f"a defect in the conductor ({type(error).__name__}); its log tells more"
    return _error(500, "internal", said)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class
    first = error.errors()[0]
    return _error(400, "bad_request", f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
