"""What routes have in common: the key, the errors they may give, bodies and nonces described."""

from typing import Any

from fastapi import Request
from fastapi.params import Depends as Dependency
from fastapi.security import APIKeyHeader
from pydantic import BaseModel
from starlette.requests import HTTPConnection

from agent_runtime.errors import ApiError
from agent_runtime.http import models
from agent_runtime.http.body import NONCE, require_key

_MEANING = {
    400: "The request is not as described.",
    401: "The key or the signature is missing or wrong.",
    404: "There is no such thing.",
    405: "The path takes other methods.",
    408: "The body did not arrive in time.",
    409: "The Idempotency-Key belongs to another request.",
    413: "The body is larger than 64 KiB.",
    429: "Too many ask; `Retry-After` tells when to come again.",
    502: "Another system did not answer usably.",
    503: "Not now, or not with these settings; `code` tells.",
}
BODY = (400, 408, 413)
Described = dict[int | str, dict[str, Any]]


class Door(APIKeyHeader):
    """Refuses callers without the server's key before anything else is looked at."""

    def __init__(self, key: str) -> None:
        super().__init__(
            name="x-agent-api-key",
            scheme_name="x-agent-api-key",
            auto_error=False,
            description="AGENT_SERVER_API_KEY of this plane",
        )
        self._key = key

    async def __call__(self, request: HTTPConnection) -> None:
        """Let in, or refuse.

        Raises:
            ApiError: 401.
        """
        require_key(request, self._key)


def needs_key(key: str) -> Dependency:
    """What a route, or all of a router, depends on if it asks for the key."""
    return Dependency(Door(key))


def faults(*statuses: int) -> Described:
    """Errors, in the one shape, for OpenAPI."""
    return {status: {"model": models.Fault, "description": _MEANING[status]} for status in statuses}


def json_body(model: type[BaseModel]) -> dict[str, Any]:
    """Describe a body that the route reads itself, bounded and timed."""
    schema = model.model_json_schema()
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def parameter(name: str, where: str, schema: dict[str, Any], *, required: bool) -> dict[str, Any]:
    """Describe a parameter that the route reads itself."""
    found = {"name": name, "in": where, "required": required, "schema": schema}
    return {"parameters": [found]}


NONCE_PARAMETER = parameter(
    "nonce", "query", {"type": "string", "pattern": f"^{NONCE.pattern}$"}, required=True
)


def read_nonce(request: Request) -> str:
    """The caller's nonce.

    Raises:
        ApiError: 400.
    """
    given = request.query_params.getlist("nonce")
    if len(given) != 1 or not NONCE.fullmatch(given[0]):
        raise ApiError(400, "bad_nonce", "nonce is required once: 64 lower-case hex digits")
    return given[0]
