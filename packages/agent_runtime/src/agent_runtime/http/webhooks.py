"""Deliveries of other systems, judged on their raw bytes."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from agent_runtime.http import models
from agent_runtime.http.body import only_header, read_body
from agent_runtime.http.door import BODY, faults
from agent_runtime.webhooks.ping import Delivery
from agent_runtime.wiring import Service

GITHUB_MAX_BYTES = 1024 * 1024
"""GitHub sends up to 25 MB; nothing here needs what so large an event has to say."""


def _signed(*headers: str) -> dict[str, Any]:
    """Describe the headers, and a body that is judged before it is read."""
    return {
        "parameters": [
            {"name": name, "in": "header", "required": False, "schema": {"type": "string"}}
            for name in headers
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"type": "object"}}},
        },
    }


def routes(service: Service) -> APIRouter:
    """The routes of this file."""
    router = APIRouter(tags=["webhooks"])

    @router.post(
        "/webhook/pingpay",
        response_model=models.Taken,
        responses=faults(*BODY, 401, 503),
        openapi_extra=_signed("x-ping-signature", "x-ping-timestamp"),
    )
    async def pingpay(request: Request) -> JSONResponse:
        """Take a delivery of Ping: authentic, fresh and new."""
        delivery = Delivery(
            only_header(request, "x-ping-signature"),
            only_header(request, "x-ping-timestamp"),
            await read_body(request),
        )
        service.hooks.ping.take(delivery)
        return JSONResponse({"ok": True})

    @router.post(
        "/webhook/github",
        response_model=models.TakenOnce,
        responses=faults(*BODY, 401, 503),
        openapi_extra=_signed("x-hub-signature-256", "x-github-event", "x-github-delivery"),
    )
    async def github(request: Request) -> JSONResponse:
        """Take a delivery of GitHub; a repeated one is told apart and changes nothing."""
        names = ("x-hub-signature-256", "x-github-event", "x-github-delivery")
        signature, event, guid = (only_header(request, name) for name in names)
        body = await read_body(request, GITHUB_MAX_BYTES)
        first = service.hooks.github.take(signature, event, guid, body)
        return JSONResponse({"ok": True, "duplicate": not first})

    @router.post(
        "/webhook/farcaster",
        response_model=models.TakenCast,
        responses=faults(*BODY, 401, 503),
        openapi_extra=_signed("x-neynar-signature"),
    )
    async def farcaster(request: Request) -> JSONResponse:
        """Take a cast from Neynar; it is answered where it was said, once."""
        signature = only_header(request, "x-neynar-signature")
        first = service.hooks.casts.take(signature, await read_body(request))
        return JSONResponse({"success": True, "duplicate": not first})

    return router
