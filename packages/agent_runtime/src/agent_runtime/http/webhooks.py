"""Deliveries of other systems, judged on their raw bytes."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from agent_runtime.http import models
from agent_runtime.http.body import read_body
from agent_runtime.http.door import BODY, faults
from agent_runtime.webhook import Delivery
from agent_runtime.wiring import Service

_SIGNED = {
    "parameters": [
        {"name": name, "in": "header", "required": False, "schema": {"type": "string"}}
        for name in ("x-ping-signature", "x-ping-timestamp")
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
        openapi_extra=_SIGNED,
    )
    async def pingpay(request: Request) -> JSONResponse:
        """Take a delivery of Ping: authentic, fresh and new."""
        delivery = Delivery(
            request.headers.get("x-ping-signature", ""),
            request.headers.get("x-ping-timestamp", ""),
            await read_body(request),
        )
        service.webhook.take(delivery)
        return JSONResponse({"ok": True})

    return router
