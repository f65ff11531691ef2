"""A plane over HTTP: bounded answers, hard deadlines, and never an exception to the caller."""

import asyncio
import ssl
from typing import Any

import httpx
import msgspec

from cutover.evidence.planes import DETAIL_CHARS_MAX, Answer

ANSWER_BYTES_MAX = 256 * 1024


class HttpPlane:
    """The HTTP contract of one plane (controller-contract §1).

    Args:
        name: the plane's name in the runbook.
        url: base address.
        key: `x-agent-api-key` of this plane.
        client: shared connections; TLS is verified by it.
    """

    def __init__(self, name: str, url: str, key: str, client: httpx.AsyncClient) -> None:
        self.name = name
        self.url = url.rstrip("/")
        self._key = key
        self._client = client

    async def get(self, path: str, deadline_ms: int) -> Answer:
        """Ask `/ready` or `/health`; no key is needed for either."""
        return await self._ask("GET", path, deadline_ms)

    async def canary(self, deadline_ms: int) -> Answer:
        """`POST /canary/run`, with the key for planes that ask for one."""
        return await self._ask("POST", "/canary/run", deadline_ms, key=self._key)

    async def process(self, text: str, deadline_ms: int, *, idempotency_key: str = "") -> Answer:
        """Execute a text on the plane itself."""
        body = {"text": text, "author": "cutover-live", "type": "web"}
        headers = {"idempotency-key": idempotency_key} if idempotency_key else {}
        return await self._ask(
            "POST", "/process", deadline_ms, key=self._key, body=body, headers=headers
        )

    async def knock(self, key: str | None, deadline_ms: int) -> Answer:
        """`POST /process` with a wrong key or none; a plane must refuse it."""
        body = {"text": "help", "author": "cutover-knock", "type": "web"}
        return await self._ask("POST", "/process", deadline_ms, key=key, body=body)

    async def identity(self, nonce: str, deadline_ms: int) -> Answer:
        """`GET /identity`: who the plane says that it is, to this nonce."""
        return await self._ask("GET", f"/identity?nonce={nonce}", deadline_ms, key=self._key)

    async def parity(self, nonce: str, deadline_ms: int) -> Answer:
        """`POST /parity`: fingerprints under this nonce, which is a secret and in no address."""
        return await self._ask("POST", "/parity", deadline_ms, key=self._key, body={"nonce": nonce})

    async def _ask(
        self,
        method: str,
        path: str,
        deadline_ms: int,
        *,
        key: str | None = None,
        body: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        sent = dict(headers or {})
        if key is not None:
            sent["x-agent-api-key"] = key
        address = self.url + path
        return await ask(self._client, method, address, deadline_ms, headers=sent, json=body)


def connections(context: ssl.SSLContext | None = None) -> httpx.AsyncClient:
    """The conductor's connections: no proxy of the environment, no redirect, TLS verified.

    Args:
        context: what TLS is verified by; the system's trust by default, as the gateway uses it.
    """
    return httpx.AsyncClient(
        limits=httpx.Limits(max_connections=64, max_keepalive_connections=32),
        timeout=None,  # noqa: S113 - every call has a deadline of its own
        trust_env=False,
        follow_redirects=False,
        verify=context or ssl.create_default_context(),
    )


async def ask(
    client: httpx.AsyncClient, method: str, url: str, deadline_ms: float, **request: Any
) -> Answer:
    """One bounded request; ends within its deadline, and whatever goes wrong is the answer."""
    try:
        async with asyncio.timeout(deadline_ms / 1000):
            return await _fetch(client, method, url, **request)
    except TimeoutError:
        return Answer(None, error=f"no whole answer within {deadline_ms:g} ms")
    except Exception as error:  # noqa: BLE001 - the layers below raise nearly anything
        return Answer(None, error=f"{type(error).__name__}: {error}"[:DETAIL_CHARS_MAX])


async def _fetch(client: httpx.AsyncClient, method: str, url: str, **request: Any) -> Answer:
    """Read at most ANSWER_BYTES_MAX bytes, as sent: what is compressed has no such bound."""
    request["headers"] = {**(request.get("headers") or {}), "accept-encoding": "identity"}
    async with client.stream(method, url, **request) as response:
        coding = response.headers.get("content-encoding", "identity").lower()
        if coding != "identity":
            return Answer(None, error=f"answer in {coding[:40]!r} coding, expected it as it is")
        raw = bytearray()
        async for part in response.aiter_raw():
            raw += part
            if len(raw) > ANSWER_BYTES_MAX:
                return Answer(None, error=f"answer of more than {ANSWER_BYTES_MAX} bytes")
        media = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return answered(response.status_code, bytes(raw), media[:DETAIL_CHARS_MAX])


def answered(status: int, raw: bytes, media: str = "") -> Answer:
    """What a whole answer says."""
    text = raw[:DETAIL_CHARS_MAX].decode(errors="replace")
    return Answer(status, _json(raw), text, media=media)


def _json(raw: bytes) -> Any:
    """What the bytes say; None when they are no JSON, or nested to break the reader."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
