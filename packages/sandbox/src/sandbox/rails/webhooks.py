"""Webhooks as their senders sign them (rails §1, §4), and three ways in which they can be bad."""

import asyncio
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import httpx

Variety = Literal["good", "wrong", "stale", "replay"]
STALE_SECONDS: Final = 2 * 3600
_SECONDS_MAX: Final = 10.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """One signed webhook, ready to be sent (again)."""

    event_id: str
    body: bytes
    headers: dict[str, str]


Compose = Callable[[str, int, Mapping[str, Any]], Delivery]
"""Of a secret, a time in epoch seconds, and what the order says about the event."""


class Webhooks:
    """Sends webhooks; `replay` sends the last good delivery once more, byte for byte.

    Args:
        secret: that the receiver has too.
        compose: makes a delivery.
    """

    def __init__(self, secret: str, compose: Compose) -> None:
        self._secret = secret
        self._compose = compose
        self._last: Delivery | None = None

    async def deliver(
        self,
        url: str,
        variety: Variety,
        copies: int = 1,
        event: Mapping[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        """Send one webhook, all its copies at the same time; what the receiver said to each.

        Raises:
            ValueError: a replay is asked for before anything was delivered, or the order does not
                describe an event.
        """
        delivery = self._delivery(variety, event or {})
        async with httpx.AsyncClient(timeout=_SECONDS_MAX, trust_env=False) as client:
            sent = (_send(client, url, delivery) for _ in range(copies))
            return list(await asyncio.gather(*sent))

    def _delivery(self, variety: Variety, event: Mapping[str, Any]) -> Delivery:
        if variety == "replay":
            if self._last is None:
                raise ValueError("nothing to replay: deliver a good webhook first")
            return self._last
        age = STALE_SECONDS if variety == "stale" else 0
        secret = secrets.token_hex(16) if variety == "wrong" else self._secret
        delivery = self._compose(secret, int(time.time()) - age, event)
        if variety == "good":
            self._last = delivery
        return delivery


async def _send(client: httpx.AsyncClient, url: str, delivery: Delivery) -> dict[str, Any]:
    event_id = delivery.event_id
    try:
        answer = await client.post(url, content=delivery.body, headers=delivery.headers)
    except httpx.HTTPError as error:
        return {"status": None, "event_id": event_id, "error": type(error).__name__}
    return {"status": answer.status_code, "event_id": event_id, "body": answer.text[:500]}


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """Return `X-Ping-Signature`: hex HMAC-SHA256 over `<timestamp>.<raw body>`."""
    message = f"{timestamp}.".encode() + body
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def ping(secret: str, timestamp: int, event: Mapping[str, Any]) -> Delivery:
    """Return a payment's success as Ping tells it.

    Args:
        secret: that the receiver has too.
        timestamp: in epoch seconds.
        event: `paymentId`, `status`, `type`; `form` `t` for the header that holds time and
            signature in one. All may be absent.
    """
    event_id, kind = "whevt_" + secrets.token_hex(12), str(event.get("type", "payment.success"))
    data = {
        "paymentId": event.get("paymentId", "pay_" + secrets.token_hex(12)),
        "status": event.get("status", "SUCCESS"),
        "amount": "1000000",
        "assetId": "nep141:usdc",
        "payerAddress": "sponsor.near",
        "recipientAddress": "gitsplits.near",
        "merchantId": "merchant_sandbox",
    }
    body = _encode({"id": event_id, "type": kind, "created": timestamp, "data": data})
    mac = sign(secret, timestamp, body)
    signed = {"x-ping-signature": mac, "x-ping-timestamp": str(timestamp)}
    if event.get("form") == "t":
        signed = {"x-ping-signature": f"t={timestamp},v1={mac}"}
    told = {"x-ping-event-id": event_id, "x-ping-event-type": kind}
    return Delivery(event_id, body, {"content-type": "application/json", **signed, **told})


def github(secret: str, timestamp: int, event: Mapping[str, Any]) -> Delivery:
    """Return a push as GitHub tells it; `event` may give `repo`, `name` and `payload`.

    Nothing that GitHub signs has a time: `stale` is like `good`.
    """
    slug, name = str(event.get("repo", "acme/widgets")), str(event.get("name", "push"))
    more = event.get("payload", {})
    if not isinstance(more, Mapping):
        raise ValueError("payload is no object")  # noqa: TRY004 - a bad order, not a bug
    told = {
        "ref": "refs/heads/main",
        "after": secrets.token_hex(20),
        "repository": {"full_name": slug, "pushed_at": timestamp},
        **more,
    }
    body, guid = _encode(told), secrets.token_hex(16)
    headers = {
        "content-type": "application/json",
        "x-github-event": name,
        "x-github-delivery": guid,
        "x-hub-signature-256": "sha256=" + hmac.new(secret.encode(), body, "sha256").hexdigest(),
    }
    return Delivery(guid, body, headers)


def neynar(secret: str, timestamp: int, event: Mapping[str, Any]) -> Delivery:
    """Return a cast as Neynar tells it.

    Args:
        secret: that the receiver has too.
        timestamp: in epoch seconds.
        event: `text`, `fid` (its author), `bot` (whom it mentions), `hash`; all may be absent.
    """
    digest = str(event.get("hash", "0x" + secrets.token_hex(20)))
    at = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(timestamp))
    named = event.get("bot")
    cast = {
        "object": "cast",
        "hash": digest,
        "thread_hash": digest,
        "parent_hash": None,
        "parent_author": {"fid": None},
        "author": {"object": "user", "fid": event.get("fid", 1234), "username": "ada"},
        "text": event.get("text", "@gitsplits help"),
        "timestamp": at,
        "embeds": [],
        "mentioned_profiles": [] if named is None else [{"object": "user", "fid": named}],
    }
    body = _encode({"created_at": timestamp, "type": "cast.created", "data": cast})
    signature = hmac.new(secret.encode(), body, hashlib.sha512).hexdigest()
    headers = {"content-type": "application/json", "x-neynar-signature": signature}
    return Delivery(digest, body, headers)


def _encode(event: Mapping[str, Any]) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode()
