"""`POST /process`: one text, one answer, stamped with the plane that gave it."""

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from agent_runtime.http import models
from agent_runtime.http.body import only_header, read_asked, read_body
from agent_runtime.http.door import BODY, faults, json_body, needs_key, parameter
from agent_runtime.requests import KEY_MAX_CHARS
from agent_runtime.wiring import Service

_KEY = parameter(
    "Idempotency-Key", "header", {"type": "string", "maxLength": KEY_MAX_CHARS}, required=False
)


def routes(service: Service) -> APIRouter:
    """The routes of this file."""
    router = APIRouter(tags=["intents"], dependencies=[needs_key(service.settings.api_key)])

    @router.post(
        "/process",
        response_model=models.Said,
        responses=faults(*BODY, 401, 409, 503),
        openapi_extra={**json_body(models.Text), **_KEY},
    )
    async def process(request: Request) -> JSONResponse:
        """Carry out one text; a repeated Idempotency-Key gets the first answer.

        Answered within AGENT_ANSWER_SECONDS; work that takes longer goes on, whether or not the
        caller stays, and the answer tells where its end can be had.
        """
        settings, begun = service.settings, asyncio.get_running_loop().time()
        body = await read_body(request)
        asked = read_asked(body, only_header(request, "idempotency-key"))
        taken = asyncio.get_running_loop().time() - begun  # by the body
        reply = await service.carrier.answer(asked, settings.answer_seconds - taken)
        service.telemetry.intent(reply)
        more = {"paymentId": reply.payment_id, "eventId": reply.event_id}
        return JSONResponse(
            {
                "response": reply.text,
                "intent": reply.intent,
                "plane": settings.plane_id,
                "build": settings.build,
                **{name: value for name, value in more.items() if value},
                **({} if reply.final else {"final": False}),
            }
        )

    return router
