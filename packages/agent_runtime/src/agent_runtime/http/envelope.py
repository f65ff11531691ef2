"""What is the same on every answer: CORS and plane headers, OPTIONS, one error shape, counters."""

from collections.abc import Awaitable, Callable

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent_runtime.errors import ApiError
from agent_runtime.health import Metrics
from agent_runtime.log import logger

CORS = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "GET, POST, OPTIONS",
    "access-control-allow-headers": "Content-Type, x-agent-api-key, x-webhook-signature,"
    " x-ping-signature, x-ping-timestamp, Idempotency-Key",
}


def error_answer(status: int, code: str, text: str) -> JSONResponse:
    """The one shape of an error."""
    return JSONResponse({"error": text, "code": code}, status)


class Envelope:
    """ASGI middleware around all routes."""

    def __init__(self, app: ASGIApp, plane: str, metrics: Metrics) -> None:
        self._app = app
        self._plane = plane
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, whatever happens inside."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._metrics.requests += 1
        begun, dressed = self._dress(send)
        if scope["method"] == "OPTIONS":
            await Response(status_code=200)(scope, receive, dressed)
            return
        try:
            await self._app(scope, receive, dressed)
        except ApiError as error:
            answer = error_answer(error.status, error.code, error.text)
            await answer(scope, receive, dressed)
        except Exception:  # the outermost door: logged whole, told to the caller as a bare 500
            logger().exception("request_broke", path=scope["path"])
            if begun():
                raise  # half an answer is out; only closing the connection is honest
            answer = error_answer(500, "internal_error", "internal error")
            await answer(scope, receive, dressed)

    def _dress(self, send: Send) -> tuple[Callable[[], bool], Callable[[Message], Awaitable[None]]]:
        started = False

        async def dressed(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers["x-plane"] = self._plane
                headers.update(CORS)
                self._metrics.errors += message["status"] >= 500
            await send(message)

        return (lambda: started), dressed
