"""The canary: its newest result, and a new one."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from agent_runtime.http import models
from agent_runtime.http.body import read_body
from agent_runtime.http.door import BODY, faults, needs_key
from agent_runtime.wiring import Service

_UNWELL: dict[int | str, dict[str, Any]] = {
    503: {"model": models.CanaryResult, "description": "The dependencies are not well."}
}


def routes(service: Service) -> APIRouter:
    """The routes of this file."""
    router = APIRouter(tags=["canary"])

    @router.get("/canary", response_model=models.Newest)
    async def newest() -> JSONResponse:
        """The newest result, which may be none, and the name of the log that keeps all."""
        canary = service.canary
        return JSONResponse({"result": canary.last, "logFile": canary.log_file.name})

    @router.post(
        "/canary/run",
        response_model=models.CanaryResult,
        responses={**faults(*BODY, 401), **_UNWELL},
        dependencies=[needs_key(service.settings.api_key)],
    )
    async def run(request: Request) -> JSONResponse:
        """Ask every dependency now; 503 if they are not well."""
        await read_body(request)
        result = await service.canary.run()
        return JSONResponse(result, 200 if result["ok"] else 503)

    return router
