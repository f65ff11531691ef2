"""Ping's webhooks as Ping signs them (rails §4), and the three ways in which they can be bad."""

import asyncio
import hashlib
import hmac
import json
import secrets
import time
from dataclasses import dataclass
from typing import Any, Final, Literal

import httpx

Variety = Literal["good", "wrong", "stale", "replay"]
STALE_SECONDS: Final = 3600
_SECONDS_MAX: Final = 10.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """One signed webhook, ready to be sent (again)."""

    body: bytes
    headers: dict[str, str]


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """Return `X-Ping-Signature`: hex HMAC-SHA256 over `<timestamp>.<raw body>`."""
    message = f"{timestamp}.".encode() + body
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


class Webhooks:
    """Sends webhooks; `replay` sends the last good delivery once more, byte for byte."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._last: Delivery | None = None

    async def deliver(self, url: str, variety: Variety, copies: int = 1) -> list[dict[str, Any]]:
        """Send one webhook, all its copies at the same time; what the receiver said to each.

        Raises:
            ValueError: a replay is asked for before anything was delivered.
        """
        delivery = self._delivery(variety)
        async with httpx.AsyncClient(timeout=_SECONDS_MAX, trust_env=False) as client:
            sent = (_send(client, url, delivery) for _ in range(copies))
            return list(await asyncio.gather(*sent))

    def _delivery(self, variety: Variety) -> Delivery:
        if variety == "replay":
            if self._last is None:
                raise ValueError("nothing to replay: deliver a good webhook first")
            return self._last
        age = STALE_SECONDS if variety == "stale" else 0
        secret = secrets.token_hex(16) if variety == "wrong" else self._secret
        delivery = _compose(secret, int(time.time()) - age)
        if variety == "good":
            self._last = delivery
        return delivery


async def _send(client: httpx.AsyncClient, url: str, delivery: Delivery) -> dict[str, Any]:
    event_id = delivery.headers["x-ping-event-id"]
    try:
        answer = await client.post(url, content=delivery.body, headers=delivery.headers)
    except httpx.HTTPError as error:
        return {"status": None, "event_id": event_id, "error": type(error).__name__}
    return {"status": answer.status_code, "event_id": event_id, "body": answer.text[:500]}


def _compose(secret: str, timestamp: int) -> Delivery:
    event_id = "whevt_" + secrets.token_hex(12)
    data = {
        "paymentId": "pay_" + secrets.token_hex(12),
        "status": "SUCCESS",
        "amount": "1000000",
        "assetId": "nep141:usdc",
        "payerAddress": "sponsor.near",
        "recipientAddress": "gitsplits.near",
        "merchantId": "merchant_sandbox",
    }
    event = {"id": event_id, "type": "payment.success", "created": timestamp, "data": data}
    body = json.dumps(event, separators=(",", ":")).encode()
    headers = {
        "content-type": "application/json",
        "x-ping-signature": sign(secret, timestamp, body),
        "x-ping-timestamp": str(timestamp),
        "x-ping-event-id": event_id,
        "x-ping-event-type": "payment.success",
    }
    return Delivery(body, headers)
