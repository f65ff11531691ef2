"""`POST /webhook/pingpay`: is this delivery Ping's, fresh, and new? (contract §3, rails §4).

A repeated delivery is refused like a wrong one: whoever checks a plane from outside must see the
difference between a first time and a second.
"""

import hashlib
import hmac
import time
from dataclasses import dataclass

from agent_runtime.errors import ApiError
from agent_runtime.log import logger
from agent_runtime.webhooks.deliveries import Deliveries
from agent_runtime.webhooks.proof import WRONG, read_record, require_signature

FRESH_SECONDS = 300
TIMESTAMP_MAX_CHARS = 12


@dataclass(frozen=True)
class Delivery:
    """A webhook call as it came in; `body` is raw."""

    signature: str
    timestamp: str
    body: bytes


def signature_of(secret: str, timestamp: str, body: bytes) -> str:
    """Hex HMAC-SHA256 over `<timestamp>.<raw body>`."""
    return _sign(secret.encode(), timestamp, body)


def check(delivery: Delivery, secrets: tuple[str, ...], now: float) -> None:
    """Verify signature and freshness. Pure.

    Raises:
        ApiError: 503 without a secret; 401, in the contract's words.
    """
    require_signature(
        secrets,
        delivery.signature,
        lambda secret: _sign(secret, delivery.timestamp, delivery.body),
    )
    stamp = delivery.timestamp
    whole = stamp.isascii() and stamp.isdecimal() and len(stamp) <= TIMESTAMP_MAX_CHARS
    if not whole or abs(now - int(stamp)) > FRESH_SECONDS:
        raise ApiError(401, "stale_delivery", WRONG)


class PingWebhook:
    """Takes deliveries; every event id counts once, also over a restart."""

    def __init__(self, deliveries: Deliveries, secrets: tuple[str, ...]) -> None:
        self._deliveries = deliveries
        self._secrets = secrets

    def take(self, delivery: Delivery) -> None:
        """Accept one delivery.

        Raises:
            ApiError: 503 without a secret, 401 for a wrong, stale or repeated delivery, 400 for
                a signed body that is no JSON object.
        """
        check(delivery, self._secrets, time.time())
        event_id, kind = _identity(delivery)
        if not self._deliveries.is_first(kind, event_id):
            raise ApiError(401, "replayed_delivery", WRONG)
        logger().info("ping_webhook", event_id=event_id, type=kind)


def _sign(secret: bytes, timestamp: str, body: bytes) -> str:
    message = timestamp.encode("utf-8", "replace") + b"." + body
    return hmac.new(secret, message, hashlib.sha256).hexdigest()


def _identity(delivery: Delivery) -> tuple[str, str]:
    """The signed event id, or a digest where the body has none; headers are not signed."""
    found = read_record(delivery.body)
    event_id = found.get("id")
    kind = str(found.get("type") or found.get("event") or "unknown")[:80]
    if isinstance(event_id, str) and event_id:
        return event_id[:200], kind
    return "sha256:" + hashlib.sha256(delivery.body).hexdigest(), kind
