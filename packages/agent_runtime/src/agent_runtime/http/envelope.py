"""What all answers have: CORS, plane and request id, OPTIONS, one error shape, counters."""

import re
import secrets
import sqlite3
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent_runtime.errors import ApiError
from agent_runtime.health import Metrics
from agent_runtime.log import about_request, logger
from agent_runtime.telemetry import Telemetry
from agent_runtime.tracing import trace_id_of

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_CORS = {
    "access-control-allow-methods": "GET, POST, OPTIONS",
    "access-control-allow-headers": "Content-Type, x-agent-api-key, x-webhook-signature,"
    " x-ping-signature, x-ping-timestamp, Idempotency-Key",
    "access-control-expose-headers": "x-plane, x-request-id",
}


def error_answer(status: int, code: str, text: str) -> JSONResponse:
    """The one shape of an error."""
    return JSONResponse({"error": text, "code": code}, status)


class Envelope:
    """ASGI middleware around all routes.

    Args:
        app: what answers.
        plane: stamped on every answer.
        origins: web pages that may call from a browser; others get no CORS header.
        metrics: the counters of `/health`.
        telemetry: counts and traces.
    """

    def __init__(
        self,
        app: ASGIApp,
        plane: str,
        origins: tuple[str, ...],
        metrics: Metrics,
        telemetry: Telemetry,
    ) -> None:
        self._app = app
        self._plane = plane
        self._origins = origins
        self._metrics = metrics
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, whatever happens inside."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._metrics.requests += 1
        headers, method = Headers(scope=scope), scope["method"]
        if method == "HEAD":  # answered as GET; the server leaves the body out
            scope = {**scope, "method": "GET"}
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        answer = _Answer(send, self._dress(headers, request_id))
        begun = time.perf_counter()
        with (
            about_request(request_id, trace_id_of(headers.get("traceparent", ""))),
            self._telemetry.tracing.request(method, headers) as span,
        ):
            try:
                await self._serve(scope, receive, answer)
            finally:
                route = getattr(scope.get("route"), "path", "none")
                self._metrics.errors += answer.status >= 500
                self._telemetry.request(route, method, answer.status, time.perf_counter() - begun)
                span.set("http.route", f"{method} {route}")
                span.set("http.response.status_code", answer.status)
                span.set("request.id", request_id)

    async def _serve(self, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        if scope["method"] == "OPTIONS":
            await Response(status_code=200)(scope, receive, answer.send)
            return
        try:
            await self._app(scope, receive, answer.send)
        except ApiError as error:
            refusal = error_answer(error.status, error.code, error.text)
            await refusal(scope, receive, answer.send)
        except sqlite3.OperationalError as error:
            await self._refuse_without_store(error, scope, receive, answer)
        except Exception:  # the outermost door: logged whole, told to the caller as a bare 500
            logger().exception("request_broke", path=scope["path"])
            if answer.status:
                raise  # half an answer is out; only closing the connection is honest
            await error_answer(500, "internal_error", "internal error")(scope, receive, answer.send)

    async def _refuse_without_store(
        self, error: sqlite3.Error, scope: Scope, receive: Receive, answer: "_Answer"
    ) -> None:
        """The disk is full, or the file cannot be written: nobody can tell how far we came."""
        logger().exception("store_broke", path=scope["path"])
        if answer.status:
            raise error  # half an answer is out
        text = "the store does not work, and what became of this request is not known; see /ready"
        await error_answer(503, "store_unavailable", text)(scope, receive, answer.send)

    def _dress(self, headers: Headers, request_id: str) -> dict[str, str]:
        dress = {"x-plane": self._plane, "x-request-id": request_id}
        origin = headers.get("origin", "")
        if self._origins:
            dress["vary"] = "Origin"
        if origin in self._origins:
            dress |= {**_CORS, "access-control-allow-origin": origin}
        return dress


class _Answer:
    """Sends one answer, dressed, and remembers its status; 0 before it begins."""

    def __init__(self, send: Send, dress: dict[str, str]) -> None:
        self._send = send
        self._dress = dress
        self.status = 0

    async def send(self, message: Message) -> None:
        """Pass one message on."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            MutableHeaders(scope=message).update(self._dress)
        await self._send(message)
