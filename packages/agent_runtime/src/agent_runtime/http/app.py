"""The routes of contract §1 over the parts of `wiring`."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agent_runtime.attestation.turnstile import Crowded
from agent_runtime.errors import RailError
from agent_runtime.health import VERSION
from agent_runtime.http.body import read_asked, read_body, require_key
from agent_runtime.http.envelope import Envelope, error_answer
from agent_runtime.http.pages import page_routes
from agent_runtime.log import logger
from agent_runtime.webhook import Delivery
from agent_runtime.wiring import Service

RECONCILE_SECONDS = 15.0
ENDPOINTS = {
    "health": "GET /health",
    "ready": "GET /ready",
    "process": "POST /process",
    "pingWebhook": "POST /webhook/pingpay",
    "eigenaiGrant": "GET /eigenai/grant",
    "canary": "GET /canary",
    "runCanary": "POST /canary/run",
    "app": "GET /app",
}
ATTESTATION = "/.well-known/attestation"
NONCE = re.compile(r"[0-9a-f]{64}")


class Routes:
    """The handlers; each reads, asks one part, and writes."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def index(self, _: Request) -> Response:
        """What this is and where to ask."""
        attested = self._service.attestor is not None
        more = {"attestation": f"GET {ATTESTATION}"} if attested else {}
        return JSONResponse(
            {
                "name": "agent-runtime",
                "version": VERSION,
                "description": "Analyses contributors, creates payment splits, pays people",
                "endpoints": {**ENDPOINTS, **more},
            }
        )

    async def health(self, _: Request) -> Response:
        """Always 200; the body tells."""
        return JSONResponse(await self._service.health.health())

    async def ready(self, _: Request) -> Response:
        """200 or 503."""
        body = await self._service.health.ready()
        return JSONResponse(body, 200 if body["ready"] else 503)

    async def process(self, request: Request) -> Response:
        """One text, one answer, stamped with the plane that gave it."""
        settings = self._service.settings
        require_key(request, settings.api_key)
        body = await read_body(request)
        asked = read_asked(body, request.headers.get("idempotency-key", ""))
        reply = await self._service.desk.answer(asked)
        answer: dict[str, Any] = {
            "response": reply.text,
            "intent": reply.intent,
            "plane": settings.plane_id,
            "build": settings.build,
        }
        if reply.payment_id:
            answer["paymentId"] = reply.payment_id
        if reply.event_id:
            answer["eventId"] = reply.event_id
        return JSONResponse(answer)

    async def canary(self, _: Request) -> Response:
        """The newest result, which may be none."""
        canary = self._service.canary
        return JSONResponse({"result": canary.last, "logFile": str(canary.log_file)})

    async def run_canary(self, request: Request) -> Response:
        """Ask every dependency now; 503 if they are not well."""
        require_key(request, self._service.settings.api_key)
        await read_body(request)
        result = await self._service.canary.run()
        return JSONResponse(result, 200 if result["ok"] else 503)

    async def pingpay(self, request: Request) -> Response:
        """Take a delivery of Ping."""
        delivery = Delivery(
            request.headers.get("x-ping-signature", ""),
            request.headers.get("x-ping-timestamp", ""),
            await read_body(request),
        )
        self._service.webhook.take(delivery)
        return JSONResponse({"ok": True})

    async def attestation(self, request: Request) -> Response:
        """Evidence made for the caller's nonce; open to all, a few at a time."""
        attestor = self._service.attestor
        if attestor is None:
            text = "no attested TLS ends here (AGENT_TLS=off), so evidence would bind no channel"
            return error_answer(404, "no_attestation", text)
        given = request.query_params.getlist("nonce")
        if len(given) != 1 or not NONCE.fullmatch(given[0]):
            return error_answer(
                400, "bad_nonce", "nonce is required once: 64 lower-case hex digits"
            )
        try:
            body = await attestor.answer(given[0])
        except Crowded as error:
            answer = error_answer(429, "crowded", f"too many ask for evidence; {error}")
            answer.headers["retry-after"] = str(error.retry_seconds)
            return answer
        except RailError as error:
            logger().warning("no_evidence", said=error.said)
            return error_answer(503, "guest_agent_unavailable", str(error))
        return Response(body, media_type="application/json", headers={"cache-control": "no-store"})

    async def grant(self, request: Request) -> Response:
        """What is left of the EigenAI grant."""
        require_key(request, self._service.settings.api_key)
        try:
            return JSONResponse(await self._service.eigenai.grant())
        except RailError as error:
            return error_answer(502, "eigenai_unavailable", str(error))


def make_app(service: Service) -> Starlette:
    """The whole application; it serves only after open payments have been looked at."""
    routes = Routes(service)
    app = Starlette(
        routes=[
            Route("/", routes.index),
            Route("/health", routes.health),
            Route("/ready", routes.ready),
            Route("/process", routes.process, methods=["POST"]),
            Route("/canary", routes.canary),
            Route(ATTESTATION, routes.attestation),
            Route("/canary/run", routes.run_canary, methods=["POST"]),
            Route("/webhook/pingpay", routes.pingpay, methods=["POST"]),
            Route("/eigenai/grant", routes.grant),
            *page_routes(service.desk),
        ],
        middleware=[
            Middleware(Envelope, plane=service.settings.plane_id, metrics=service.health.metrics)
        ],
        exception_handlers={HTTPException: _http_error},
        lifespan=lambda _: _lifetime(service),
    )
    app.router.redirect_slashes = False  # another path is another path
    return app


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    if error.status_code == 405:
        answer = error_answer(405, "method_not_allowed", "Method Not Allowed")
        answer.headers.update(error.headers or {})
        return answer
    return error_answer(error.status_code, "not_found", "Not Found")


@asynccontextmanager
async def _lifetime(service: Service) -> AsyncIterator[None]:
    """Settle what was open, serve, and keep settling until the end."""
    await service.tee.guest()
    await _settle(service)
    task = asyncio.create_task(_keep_settling(service))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await service.aclose()


async def _keep_settling(service: Service) -> None:
    while True:
        await asyncio.sleep(RECONCILE_SECONDS)
        try:
            await _settle(service)
        except Exception:  # noqa: BLE001 - logged; the next round must come
            logger().exception("settling_broke")


async def _settle(service: Service) -> None:
    """Look once for the end of every open transaction and payment."""
    if service.sender is None or service.payer is None:
        return
    left = await service.sender.settle_all()
    unresolved = service.payer.adopt_all()
    if left or unresolved:
        logger().warning(
            "unresolved",
            transactions=[attempt.tx_hash for attempt in left],
            payments=[payment.id for payment in unresolved],
        )
