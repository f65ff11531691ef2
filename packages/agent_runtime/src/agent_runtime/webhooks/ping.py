"""`POST /webhook/pingpay`: is this delivery Ping's, fresh, and new? (contract §3, rails §4).

A repeated delivery is refused like a wrong one: whoever checks a plane from outside must see the
difference between a first time and a second. What a delivery says of an order is not believed: it
is answered at once, and the order is looked up afterwards.
"""

import hashlib
import hmac
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from agent_runtime.errors import ApiError
from agent_runtime.log import logger
from agent_runtime.payouts.nudges import Nudges
from agent_runtime.settings_payout import PINGPAY
from agent_runtime.webhooks.deliveries import Deliveries
from agent_runtime.webhooks.proof import WRONG, read_record, require_signature

FRESH_SECONDS = 300
TIMESTAMP_MAX_CHARS = 12
SIGNATURE_MAX_CHARS = 512
SIGNATURES_MAX = 4


@dataclass(frozen=True)
class Delivery:
    """A webhook call as it came in; `body` is raw.

    Attributes:
        signature: hex; or `t=<timestamp>,v1=<hex>`, the form that needs no `timestamp` beside it.
    """

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
    stamp, macs = _signed(delivery)
    _require_one(secrets, macs, lambda secret: _sign(secret, stamp, delivery.body))
    whole = stamp.isascii() and stamp.isdecimal() and len(stamp) <= TIMESTAMP_MAX_CHARS
    if not whole or abs(now - int(stamp)) > FRESH_SECONDS:
        raise ApiError(401, "stale_delivery", WRONG)


class PingWebhook:
    """Takes deliveries; every event id counts once, also over a restart."""

    def __init__(self, deliveries: Deliveries, secrets: tuple[str, ...], nudges: Nudges) -> None:
        self._deliveries = deliveries
        self._secrets = secrets
        self._nudges = nudges

    def take(self, delivery: Delivery) -> None:
        """Accept one delivery.

        Raises:
            ApiError: 503 without a secret, 401 for a wrong, stale or repeated delivery, 400 for
                a signed body that is no JSON object.
        """
        check(delivery, self._secrets, time.time())
        found = read_record(delivery.body)
        event_id, kind = _identity(delivery, found)
        if not self._deliveries.is_first(kind, event_id):
            raise ApiError(401, "replayed_delivery", WRONG)
        ours = any([self._nudges.hint(PINGPAY, named) for named in _orders(found)])  # noqa: C419 - hint at all
        logger().info("ping_webhook", event_id=event_id, type=kind, known=ours)


def _sign(secret: bytes, timestamp: str, body: bytes) -> str:
    message = timestamp.encode("utf-8", "replace") + b"." + body
    return hmac.new(secret, message, hashlib.sha256).hexdigest()


def _signed(delivery: Delivery) -> tuple[str, list[str]]:
    """The timestamp that is signed, and the signatures; none of a header that is no form of it."""
    if "=" not in delivery.signature:
        return delivery.timestamp, [delivery.signature]
    if len(delivery.signature) > SIGNATURE_MAX_CHARS:
        return "", []
    pairs = [part.strip().partition("=") for part in delivery.signature.split(",")]
    stamps = [value for name, _, value in pairs if name == "t"]
    macs = [value for name, _, value in pairs if name == "v1"]
    return (stamps[0], macs[:SIGNATURES_MAX]) if len(stamps) == 1 else ("", [])


def _require_one(
    secrets: tuple[str, ...], macs: Sequence[str], sign: Callable[[bytes], str]
) -> None:
    """Refuse what bears no signature of ours: one that is good is enough."""
    fault: ApiError | None = None
    for mac in macs or [""]:
        try:
            return require_signature(secrets, mac, sign)
        except ApiError as error:
            fault = error
    assert fault is not None  # noqa: S101 - there was at least one to judge
    raise fault


def _orders(found: dict[str, Any]) -> set[str]:
    """What the event calls an order, in either of its words."""
    data = found.get("data")
    told = [data.get(name) for name in ("paymentId", "intent_id")] if isinstance(data, dict) else []
    return {name for name in told if isinstance(name, str) and name}


def _identity(delivery: Delivery, found: dict[str, Any]) -> tuple[str, str]:
    """The signed event id, or a digest where the body has none; headers are not signed."""
    event_id = found.get("id")
    kind = str(found.get("type") or found.get("event") or "unknown")[:80]
    if isinstance(event_id, str) and event_id:
        return event_id[:200], kind
    return "sha256:" + hashlib.sha256(delivery.body).hexdigest(), kind
