"""`/`, `/health`, `/ready`, `/identity`: what this is, how it is, which deployment it is."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from agent_runtime.health import VERSION
from agent_runtime.http import models
from agent_runtime.http.attestation import PATH as ATTESTATION
from agent_runtime.http.door import NONCE_PARAMETER, faults, needs_key, read_nonce
from agent_runtime.wiring import Service

ENDPOINTS = {
    "health": "GET /health",
    "ready": "GET /ready",
    "process": "POST /process",
    "payment": "GET /payments/{id}",
    "webhook": "POST /webhook/farcaster",
    "pingWebhook": "POST /webhook/pingpay",
    "githubWebhook": "POST /webhook/github",
    "eigenaiGrant": "GET /eigenai/grant",
    "canary": "GET /canary",
    "runCanary": "POST /canary/run",
    "identity": "GET /identity",
    "parity": "POST /parity",
    "metrics": "GET /metrics",
    "openapi": "GET /openapi.json",
    "app": "GET /app",
}


def routes(service: Service) -> APIRouter:
    """The routes of this file."""
    router = APIRouter(tags=["about"])

    @router.get("/", response_model=models.Index)
    async def index() -> JSONResponse:
        """What this is and where to ask."""
        attested = service.attestor is not None
        more = {"attestation": f"GET {ATTESTATION}"} if attested else {}
        return JSONResponse(
            {
                "name": "agent-runtime",
                "version": VERSION,
                "description": "Analyses contributors, creates payment splits, pays people",
                "endpoints": {**ENDPOINTS, **more},
            }
        )

    @router.get("/openapi.json", responses=_document())
    async def description(request: Request) -> JSONResponse:
        """This description."""
        return JSONResponse(request.app.openapi())

    @router.get("/health", response_model=models.Health)
    async def health() -> JSONResponse:
        """How this plane is; always 200, the body tells."""
        return JSONResponse(await service.health.health())

    @router.get("/ready", response_model=models.Ready, responses=_not_ready())
    async def ready() -> JSONResponse:
        """Whether it can do its work: 200 or 503."""
        body = await service.health.ready()
        return JSONResponse(body, 200 if body["ready"] else 503)

    @router.get(
        "/identity",
        response_model=models.Identity,
        responses=faults(400, 401),
        openapi_extra=NONCE_PARAMETER,
        dependencies=[needs_key(service.settings.api_key)],
    )
    async def identity(request: Request) -> JSONResponse:
        """Which deployment this is; what cannot be known here is empty, never guessed."""
        body = await _identity(service, read_nonce(request))
        return JSONResponse(body, headers={"cache-control": "no-store"})

    return router


def _document() -> dict[int | str, dict[str, Any]]:
    schema = {"type": "object", "required": ["openapi", "paths"]}
    return {200: {"content": {"application/json": {"schema": schema}}}}


def _not_ready() -> dict[int | str, dict[str, Any]]:
    return {503: {"model": models.Ready, "description": "It cannot; `reasons` tell why."}}


async def _identity(service: Service, nonce: str) -> dict[str, Any]:
    settings = service.settings
    guest = await service.tee.guest()
    return {
        "v": 1,
        "nonce": nonce,
        "plane": settings.plane_id,
        "version": VERSION,
        "build": settings.build,
        "mode": settings.mode,
        "imageDigest": settings.image_digest,
        "guest": None if guest is None else {"app": guest.app_id, "instance": guest.instance_id},
        "near": _signer(service),
        "ingressOwner": settings.ingress_owner,
        "tlsSpki": service.attestor.spki if service.attestor else "",
    }


def _signer(service: Service) -> dict[str, str] | None:
    if not service.signer_key:
        return None
    settings = service.settings
    return {
        "network": settings.near_network,
        "account": settings.near_account,
        "contract": settings.near_contract,
        "publicKey": service.signer_key,
    }
