"""`/.well-known/attestation`: evidence made for the caller's nonce, for all, a few at a time."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from agent_runtime.attestation.turnstile import Crowded
from agent_runtime.errors import ApiError, RailError
from agent_runtime.http.door import NONCE_PARAMETER, faults, read_nonce
from agent_runtime.http.envelope import error_answer
from agent_runtime.log import logger
from agent_runtime.wiring import Service

PATH = "/.well-known/attestation"


def routes(service: Service) -> APIRouter:
    """The routes of this file."""
    router = APIRouter(tags=["attestation"])

    @router.get(PATH, responses=faults(400, 404, 429, 503), openapi_extra=NONCE_PARAMETER)
    async def attestation(request: Request) -> Response:
        """A quote, its event log and the statement that names the nonce and this TLS key."""
        answer, outcome = await _answer(service, request)
        service.telemetry.evidence(outcome)
        return answer

    return router


async def _answer(service: Service, request: Request) -> tuple[Response, str]:
    """What to say, and the word it is counted under."""
    if service.attestor is None:
        text = "no attested TLS ends here (AGENT_TLS=off), so evidence would bind no channel"
        return error_answer(404, "no_attestation", text), "none"
    try:
        body = await service.attestor.answer(read_nonce(request))
    except ApiError as error:
        return error_answer(error.status, error.code, error.text), "bad_nonce"
    except Crowded as error:
        answer = error_answer(429, "crowded", f"too many ask for evidence; {error}")
        answer.headers["retry-after"] = str(error.retry_seconds)
        return answer, "crowded"
    except RailError as error:
        logger().warning("no_evidence", said=error.said)
        return error_answer(503, "guest_agent_unavailable", str(error)), "no_quote"
    given = Response(body, media_type="application/json", headers={"cache-control": "no-store"})
    return given, "given"
