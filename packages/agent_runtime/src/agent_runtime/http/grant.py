"""`/eigenai/grant`: what is left of the EigenAI grant."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from agent_runtime.errors import ApiError, RailError
from agent_runtime.http.door import faults, needs_key
from agent_runtime.wiring import Service


def routes(service: Service) -> APIRouter:
    """The routes of this file."""
    router = APIRouter(tags=["rails"], dependencies=[needs_key(service.settings.api_key)])

    @router.get("/eigenai/grant", responses=faults(401, 502))
    async def grant() -> JSONResponse:
        """The grant, as EigenAI shows it."""
        try:
            return JSONResponse(await service.eigenai.grant())
        except RailError as error:
            raise ApiError(502, "eigenai_unavailable", str(error)) from error

    return router
