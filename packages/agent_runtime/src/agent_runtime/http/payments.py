"""`/payments/{id}`: the state of a payment, and the evidence of its end."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from agent_runtime.errors import ApiError
from agent_runtime.http import models
from agent_runtime.http.door import faults, needs_key
from agent_runtime.wiring import Service


def routes(service: Service) -> APIRouter:
    """The routes of this file."""
    router = APIRouter(tags=["payments"], dependencies=[needs_key(service.settings.api_key)])

    @router.get(
        "/payments/{payment_id}", response_model=models.Payment, responses=faults(401, 404, 503)
    )
    async def payment(payment_id: str) -> JSONResponse:
        """One payment as this plane has it; the other plane has a ledger of its own."""
        if service.payer is None:
            text = "NEAR is not configured here, so what the ledger holds cannot be told"
            raise ApiError(503, "near_not_configured", text)
        found = service.payer.document(payment_id)
        if found is None:
            raise ApiError(404, "no_such_payment", "this plane knows no payment with this id")
        return JSONResponse(found, headers={"cache-control": "no-store"})

    return router
