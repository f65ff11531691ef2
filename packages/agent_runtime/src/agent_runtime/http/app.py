"""The application: routers, one error shape, and what lives as long as it serves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from agent_runtime.health import VERSION
from agent_runtime.http import (
    about,
    attestation,
    canary,
    fundings,
    grant,
    metrics,
    pages,
    parity,
    payments,
    process,
    webhooks,
)
from agent_runtime.http.envelope import Envelope, error_answer
from agent_runtime.log import logger
from agent_runtime.monitor import keep_asking
from agent_runtime.wiring import Service

RECONCILE_SECONDS = 15.0
AREAS = (
    *(about, process, payments, fundings, canary, webhooks, grant, attestation, parity),
    *(metrics, pages),
)


def make_app(service: Service) -> FastAPI:
    """The whole application; it serves only after open payments have been looked at."""
    app = Described(
        title="agent-runtime",
        version=VERSION,
        description="Analyses contributors, creates payment splits, pays people.",
        openapi_url=None,  # a route of `about`, so that the description has all routes
        docs_url=None,  # those pages load scripts of other people
        redoc_url=None,
        redirect_slashes=False,  # another path is another path
        middleware=[
            Middleware(
                Envelope,
                plane=service.settings.plane_id,
                origins=service.settings.cors_origins,
                metrics=service.health.metrics,
                telemetry=service.telemetry,
            )
        ],
        exception_handlers={HTTPException: _http_error, RequestValidationError: _bad_request},
        lifespan=lambda _: _lifetime(service),
    )
    for area in AREAS:
        app.include_router(area.routes(service))
    return app


class Described(FastAPI):
    """Says of itself what is so: errors have one shape, and there is no 422."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        if not self.openapi_schema:
            found = super().openapi()
            for path in found["paths"].values():
                for operation in path.values():
                    operation["responses"].pop("422", None)
            for unused in ("HTTPValidationError", "ValidationError"):
                found["components"]["schemas"].pop(unused, None)
            self.openapi_schema = found
        return self.openapi_schema


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    if error.status_code == 405:
        answer = error_answer(405, "method_not_allowed", "Method Not Allowed")
        answer.headers.update(error.headers or {})
        return answer
    return error_answer(error.status_code, "not_found", "Not Found")


async def _bad_request(_: Request, error: Exception) -> Response:
    """A parameter that is not as described: 400, naming it and not its value."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for nothing else
    named = ", ".join(str(fault["loc"][-1]) for fault in error.errors())
    return error_answer(400, "invalid_request", f"not as described: {named}")


@asynccontextmanager
async def _lifetime(service: Service) -> AsyncIterator[None]:
    """Settle what was open, serve, and keep settling, going on and asking until the end."""
    await service.tee.guest()
    await _settle(service, starting=True)
    tasks = [asyncio.create_task(_keep_settling(service))]
    tasks.append(asyncio.create_task(service.hooks.casts.keep_answering()))
    if service.payer is not None:
        tasks.append(asyncio.create_task(service.nudges.keep_looking(service.payer.revisit)))
    tasks.append(asyncio.create_task(service.housekeeper.keep_sweeping()))
    tasks.append(asyncio.create_task(service.fundings.keep_looking()))
    if service.settings.canary_monitor:
        every_seconds = service.settings.canary_minutes * 60.0
        tasks.append(asyncio.create_task(keep_asking(service.canary, every_seconds)))
    try:
        yield
    finally:
        await service.carrier.finish()
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
        await service.aclose()


async def _keep_settling(service: Service) -> None:
    """Begins with what a start found half made: nobody waits for it before we serve."""
    while True:
        try:
            if service.payer is not None:
                await service.payer.go_on()
        except Exception:  # noqa: BLE001 - logged; the next round must come
            logger().exception("going_on_broke")
        await asyncio.sleep(RECONCILE_SECONDS)
        try:
            await _settle(service)
        except Exception:  # noqa: BLE001 - logged; the next round must come
            logger().exception("settling_broke")


async def _settle(service: Service, *, starting: bool = False) -> None:
    """Look once for the end of every open transaction, order and payment."""
    if service.sender is None or service.payer is None:
        return
    left = await service.sender.settle_all()
    if service.payouts is not None:
        await service.payouts.settle_due(starting=starting)
    unresolved = service.payer.adopt_all()
    if left or unresolved:
        logger().warning(
            "unresolved",
            transactions=[attempt.tx_hash for attempt in left],
            payments=[payment.id for payment in unresolved],
        )
