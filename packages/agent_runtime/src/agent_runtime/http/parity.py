"""`/parity`: keyed fingerprints of the settings, for the conductor's preflight."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from agent_runtime.errors import ApiError
from agent_runtime.http import models
from agent_runtime.http.body import read_body, read_model
from agent_runtime.http.door import BODY, faults, json_body, needs_key
from agent_runtime.parity import parity
from agent_runtime.wiring import Service


def routes(service: Service) -> APIRouter:
    """The routes of this file."""
    settings = service.settings
    router = APIRouter(tags=["about"], dependencies=[needs_key(settings.api_key)])

    @router.post(
        "/parity",
        response_model=models.Parity,
        responses=faults(*BODY, 401, 503),
        openapi_extra=json_body(models.Run),
    )
    async def fingerprints(request: Request) -> JSONResponse:
        """What may be compared with the other plane's, under a key and this run's nonce."""
        run = read_model(models.Run, await read_body(request))
        key = settings.parity_key or settings.api_key
        if not key:
            text = "set PARITY_KEY (or AGENT_SERVER_API_KEY): a bare hash would give values away"
            raise ApiError(503, "no_parity_key", text)
        found = parity(settings, key, bytes.fromhex(run.nonce))
        return JSONResponse(found, headers={"cache-control": "no-store"})

    return router
