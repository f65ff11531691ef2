"""Reading requests: bounded, timed, and refused with a clear 4xx before anything is parsed."""

import asyncio
import hashlib
import hmac
import json
import re
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, HTTPConnection, Request

from agent_runtime.errors import ApiError
from agent_runtime.http import models
from agent_runtime.modes import SIGNED_CHANNEL, Caller
from agent_runtime.parsing import is_near_account
from agent_runtime.process import Asked
from agent_runtime.requests import KEY_MAX_CHARS, fingerprint

BODY_MAX_BYTES = 64 * 1024
BODY_SECONDS = 10.0
NONCE = re.compile(r"[0-9a-f]{64}")
M = TypeVar("M", bound=BaseModel)


def require_key(request: HTTPConnection, key: str) -> None:
    """Refuse a caller without the server's key; no key configured means an open door.

    Raises:
        ApiError: 401; 400 if there are two keys.
    """
    if not key:
        return
    given = only_header(request, "x-agent-api-key")
    pairs = (hashlib.sha256(text.encode("utf-8", "replace")).digest() for text in (given, key))
    if not hmac.compare_digest(*pairs):
        raise ApiError(401, "unauthorized", "Unauthorized")


def only_header(request: HTTPConnection, name: str) -> str:
    """What a header says; empty without one.

    Raises:
        ApiError: 400, it is there twice: who reads the other one would see another request.
    """
    given = request.headers.getlist(name)
    if len(given) > 1:
        raise ApiError(400, "repeated_header", f"{name} is there {len(given)} times; send it once")
    return given[0] if given else ""


async def read_body(request: Request, most: int = BODY_MAX_BYTES) -> bytes:
    """The raw body, of at most so many bytes.

    Raises:
        ApiError: 413 above that, 408 if it does not arrive in time, 400 for a bad length or
            a connection that ends in the middle.
    """
    length = request.headers.get("content-length", "0")
    if not (length.isascii() and length.isdecimal()):
        raise ApiError(400, "bad_length", "Content-Length is no number")
    if len(length) > 12 or int(length) > most:
        raise _too_large(most)
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise _too_large(most)
    except TimeoutError as error:
        raise ApiError(408, "body_timeout", "the request body did not arrive in time") from error
    except ClientDisconnect as error:
        raise ApiError(400, "body_incomplete", "the request body is incomplete") from error
    return bytes(body)


def read_asked(body: bytes, key: str) -> Asked:
    """The body of `POST /process`, with its idempotency key.

    A command that is to be planned and not carried out comes as `plan` and not as `text`: whoever
    does not know that member finds nothing to act on.

    Raises:
        ApiError: 400, saying which member is wrong.
    """
    found = read_model(models.Text, body)
    text, planned = (command or "" for command in (found.text, found.plan))
    if text.strip() and planned.strip():
        raise ApiError(400, "invalid_request", "text and plan are both given; send one of them")
    if not (text.strip() or planned.strip()):
        raise ApiError(400, "invalid_request", "text is required: a non-empty string")
    if not (key.isascii() and key.isprintable()) or len(key) > KEY_MAX_CHARS:
        raise ApiError(
            400, "invalid_request", f"Idempotency-Key is at most {KEY_MAX_CHARS} ASCII characters"
        )
    meaning: dict[str, object] = {
        name: value or "" for name, value in found.model_dump(by_alias=True).items()
    }
    if planned.strip():
        return Asked(planned, _caller(found), key, fingerprint(meaning), True)
    del meaning["plan"]  # a key that was bound before there were plans stays bound to its request
    return Asked(text, _caller(found), key, fingerprint(meaning))


def read_model(model: type[M], body: bytes) -> M:
    """A body as the record that it must be.

    Raises:
        ApiError: 400, saying which member is wrong and never its value.
    """
    try:
        return model.model_validate(_object(body))
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        member = ".".join(str(part) for part in fault["loc"])
        raise ApiError(400, "invalid_request", f"{member}: {fault['msg']}") from None


def _caller(found: models.Text) -> Caller:
    """Who asks, in which channel, and the NEAR account that the request gives for them.

    Raises:
        ApiError: 400, it names the channel whose authors are proved by a signature.
    """
    if found.type == SIGNED_CHANNEL:
        raise ApiError(400, "invalid_request", f"type: {SIGNED_CHANNEL} is its webhook's alone")
    given = (found.near_account_id or "", found.wallet_address or "")
    account = next((name for name in given if is_near_account(name)), "")
    return Caller(found.type or "web", found.author or "", account)


def _object(body: bytes) -> dict[str, Any]:
    try:
        text = body.decode()  # UTF-8 alone: what others take for no JSON is none
        found = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "invalid_json", "the body is not valid JSON") from error
    if not isinstance(found, dict):
        raise ApiError(400, "invalid_request", "the body is no JSON object")
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Readers disagree about which of two members of one name counts; here neither does."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ApiError(400, "invalid_request", "the body names a member twice; send each once")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _too_large(most: int) -> ApiError:
    return ApiError(413, "body_too_large", f"the body is larger than {most} bytes")
