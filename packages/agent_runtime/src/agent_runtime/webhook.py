"""`POST /webhook/pingpay`: is this delivery Ping's, fresh, and new? (contract §3, rails §4)."""

import hashlib
import hmac
import json
import sqlite3
import time
from dataclasses import dataclass

from agent_runtime.errors import ApiError
from agent_runtime.log import logger

FRESH_SECONDS = 300
REMEMBERED_SECONDS = 30 * 86_400
TIMESTAMP_MAX_CHARS = 12

SCHEMA = """
CREATE TABLE IF NOT EXISTS webhook_events (
  id TEXT PRIMARY KEY, type TEXT NOT NULL, received_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS webhook_events_age ON webhook_events (received_at);
"""


@dataclass(frozen=True)
class Delivery:
    """A webhook call as it came in; `body` is raw."""

    signature: str
    timestamp: str
    body: bytes


def signature_of(secret: str, timestamp: str, body: bytes) -> str:
    """Hex HMAC-SHA256 over `<timestamp>.<raw body>`."""
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def check(delivery: Delivery, secret: str, now: float) -> None:
    """Verify signature and freshness. Pure.

    Raises:
        ApiError: 401, in the contract's words.
    """
    expected = signature_of(secret, delivery.timestamp, delivery.body).encode()
    given = delivery.signature.strip().lower().encode("utf-8", "replace")
    if not hmac.compare_digest(expected, given):
        raise ApiError(401, "invalid_signature", "Invalid signature")
    stamp = delivery.timestamp
    whole = stamp.isascii() and stamp.isdecimal() and len(stamp) <= TIMESTAMP_MAX_CHARS
    if not whole or abs(now - int(stamp)) > FRESH_SECONDS:
        raise ApiError(401, "stale_delivery", "Invalid signature")


class PingWebhook:
    """Takes deliveries; every event id counts once, also over a restart."""

    def __init__(self, db: sqlite3.Connection, secret: str) -> None:
        self._db = db
        self._secret = secret
        db.executescript(SCHEMA)

    def take(self, delivery: Delivery) -> None:
        """Accept one delivery.

        Raises:
            ApiError: 503 without a secret, 401 for a wrong, stale or repeated delivery, 400 for
                a signed body that is no JSON object.
        """
        if not self._secret:
            raise ApiError(503, "webhook_not_configured", "webhook secret is not configured")
        now = time.time()
        check(delivery, self._secret, now)
        event_id, kind = _identity(delivery)
        self._remember(event_id, kind, now)
        logger().info("ping_webhook", event_id=event_id, type=kind)

    def _remember(self, event_id: str, kind: str, now: float) -> None:
        with self._db:
            self._db.execute(
                "DELETE FROM webhook_events WHERE received_at < ?", (now - REMEMBERED_SECONDS,)
            )
            done = self._db.execute(
                "INSERT OR IGNORE INTO webhook_events VALUES (?,?,?)", (event_id, kind, now)
            )
            if done.rowcount == 0:
                raise ApiError(401, "replayed_delivery", "Invalid signature")


def _identity(delivery: Delivery) -> tuple[str, str]:
    """The signed event id, or a digest where the body has none; headers are not signed."""
    try:
        found = json.loads(delivery.body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ApiError(400, "invalid_json", "the body is no JSON object")
    digest = hashlib.sha256(delivery.timestamp.encode() + b"." + delivery.body).hexdigest()
    event_id = found.get("id")
    kind = str(found.get("type") or found.get("event") or "unknown")[:80]
    if isinstance(event_id, str) and event_id:
        return event_id[:200], kind
    return f"sha256:{digest}", kind
