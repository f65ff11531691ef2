"""What every webhook has in common: its proof over raw bytes, and a body that is a record. Pure."""

import hmac
import json
from collections.abc import Callable
from typing import Any

from agent_runtime.errors import ApiError

WRONG = "Invalid signature"


def require_signature(
    secrets: tuple[str, ...], given: str, sign: Callable[[bytes], str], prefix: str = ""
) -> None:
    """Refuse what none of the secrets has signed; every one is compared, in constant time.

    Args:
        secrets: the ones in force; two while one is replaced by another.
        given: the header as it came.
        sign: hex of the signature under a secret.
        prefix: what stands before the hex.

    Raises:
        ApiError: 503 without a secret, 401 for a wrong signature.
    """
    if not secrets:
        raise ApiError(503, "webhook_not_configured", "webhook secret is not configured")
    told = given.strip().lower().encode("utf-8", "replace")
    expected = [(prefix + sign(secret.encode())).encode() for secret in secrets]
    if not any([hmac.compare_digest(told, one) for one in expected]):  # noqa: C419 - compare all
        raise ApiError(401, "invalid_signature", WRONG)


def read_record(body: bytes) -> dict[str, Any]:
    """A body whose signature was right, as JSON.

    Raises:
        ApiError: 400, it is no JSON object, or holds half a pair of surrogates.
    """
    try:
        found = json.loads(body)
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ApiError(400, "invalid_json", "the body is no JSON object")
    return found
