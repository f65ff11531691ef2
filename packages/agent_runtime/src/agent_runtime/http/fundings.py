"""`/fundings`: asking to be paid through HOT Pay; and what HOT says by itself, as a hint."""

import re
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from agent_runtime.errors import ApiError
from agent_runtime.funding.document import document
from agent_runtime.http import funding_models, models
from agent_runtime.http.body import only_header, read_body, read_model
from agent_runtime.http.door import BODY, faults, needs_key, parameter
from agent_runtime.http.envelope import error_answer
from agent_runtime.requests import KEY_MAX_CHARS
from agent_runtime.settings import Settings
from agent_runtime.webhooks.hot import BODY_MAX_BYTES, HotWebhook
from agent_runtime.wiring import Service

_KEY = parameter(
    "Idempotency-Key", "header", {"type": "string", "maxLength": KEY_MAX_CHARS}, required=False
)


def routes(service: Service) -> APIRouter:
    """The routes of this file."""
    router = APIRouter()
    _fundings(router, service)
    _webhook(router, service)
    return router


def _fundings(router: APIRouter, service: Service) -> None:
    desk, settings = service.fundings, service.settings
    key = needs_key(settings.api_key)

    @router.post(
        "/fundings",
        tags=["fundings"],
        dependencies=[key],
        response_model=funding_models.Funding,
        responses=faults(*BODY, 401, 409, 503),
        openapi_extra={**_described(settings), **_KEY},
    )
    async def ask(request: Request) -> JSONResponse:
        """Ask to be paid, once for an Idempotency-Key; a repeated one gets it as it stands."""
        wanted = read_model(funding_models.FundingWish, await read_body(request))
        _check(wanted, settings)
        wish = desk.wish(wanted.amount, wanted.token)
        found = await desk.ask(wish, _key_of(request))
        shown = document(found, settings)
        return JSONResponse(shown, headers={"cache-control": "no-store"})

    @router.get(
        "/fundings/{funding_id}",
        tags=["fundings"],
        dependencies=[key],
        response_model=funding_models.Funding,
        responses=faults(401, 404),
    )
    async def funding(funding_id: str) -> JSONResponse:
        """One funding as this plane has it; what has not arrived is looked at soon."""
        found = desk.get(funding_id)
        if found is None:
            raise ApiError(404, "no_such_funding", "this plane knows no funding with this id")
        shown = document(found, settings)
        return JSONResponse(shown, headers={"cache-control": "no-store"})


def _webhook(router: APIRouter, service: Service) -> None:
    hook = HotWebhook(service.fundings)
    described = {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"type": "object"}}},
        }
    }

    @router.post(
        "/webhook/hotpay",
        tags=["webhooks"],
        response_model=models.Taken,
        responses=faults(*BODY, 429, 503),
        openapi_extra=described,
    )
    async def hotpay(request: Request) -> JSONResponse:
        """Take a delivery of HOT, which nothing proves: a known funding is looked at soon."""
        wait_seconds = hook.wait_seconds()
        if wait_seconds:
            answer = error_answer(429, "crowded", f"too many deliveries; again in {wait_seconds} s")
            answer.headers["retry-after"] = str(wait_seconds)
            return answer
        hook.take(await read_body(request, BODY_MAX_BYTES))
        return JSONResponse({"ok": True})


def _described(settings: Settings) -> dict[str, Any]:
    """The body, as far as this plane's tokens go."""
    schema = funding_models.wish_schema(settings.ft_contracts.values())
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _check(wanted: funding_models.FundingWish, settings: Settings) -> None:
    """See that a wish is as described.

    Raises:
        ApiError: 400.
    """
    token = settings.ft_contracts.get(wanted.token)
    if token is not None and not re.fullmatch(funding_models.pattern_of(token), wanted.amount):
        text = (
            f"amount: a plain decimal above zero with at most {token.decimals} decimals is expected"
        )
        raise ApiError(400, "invalid_request", text)


def _key_of(request: Request) -> str:
    """The caller's Idempotency-Key; empty for none.

    Raises:
        ApiError: 400.
    """
    key = only_header(request, "idempotency-key")
    if not (key.isascii() and key.isprintable()) or len(key) > KEY_MAX_CHARS:
        text = f"Idempotency-Key is at most {KEY_MAX_CHARS} ASCII characters"
        raise ApiError(400, "invalid_request", text)
    return key
