"""Outgoing HTTP: every call has a deadline and a size limit, and foreign faults are translated.

`ask` returns an answer for any HTTP status: what a status means is the rail's business. It raises
`RailUnknown` when there is no complete answer, because the request may have been acted upon.
"""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import httpx

from agent_runtime.errors import RailError, RailUnknown

ANSWER_MAX_BYTES = 4 * 1024 * 1024
SHOWN_CHARS = 180


@dataclass(frozen=True)
class Answer:
    """A complete HTTP answer.

    Attributes:
        service: who answered, in the words of `/health`.
        status: HTTP status.
        headers: its headers.
        body: all of it, at most `ANSWER_MAX_BYTES`.
    """

    service: str
    status: int
    headers: httpx.Headers
    body: bytes

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            RailUnknown: it is not JSON (an HTML page, a truncated body).
        """
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise RailUnknown(self.service, f"HTTP {self.status} whose body is not JSON") from error

    def expect(self, *statuses: int) -> "Answer":
        """This answer, if its status is one of these.

        Raises:
            RailError: another status below 500, except 408, 425 and 429.
            RailUnknown: one of those, or 5xx.
        """
        if self.status in statuses:
            return self
        ambiguous = self.status >= 500 or self.status in {408, 425, 429}
        kind = RailUnknown if ambiguous else RailError
        raise kind(self.service, f"HTTP {self.status} {self._said()}".rstrip())

    def _said(self) -> str:
        """The error text of a JSON answer; nothing of any other body."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return ""
        if not isinstance(found, dict):
            return ""
        said = found.get("message") or found.get("error") or found.get("code") or ""
        return str(said)[:SHOWN_CHARS]


def new_client(uds: str | None = None) -> httpx.AsyncClient:
    """An HTTP client that reads nothing from the environment and follows no redirect."""
    limits = httpx.Limits(max_connections=64, max_keepalive_connections=16, keepalive_expiry=20)
    if uds is not None:
        return httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=uds), trust_env=False)
    return httpx.AsyncClient(limits=limits, trust_env=False, follow_redirects=False)


async def ask(
    client: httpx.AsyncClient,
    service: str,
    method: str,
    url: str,
    *,
    deadline_seconds: float,
    headers: dict[str, str] | None = None,
    params: dict[str, str] | None = None,
    content: bytes | None = None,
) -> Answer:
    """Send one request and read the whole answer within the deadline.

    Raises:
        RailUnknown: deadline passed, connection failed, or the answer is too large.
    """
    try:
        async with asyncio.timeout(deadline_seconds):
            request = client.build_request(
                method,
                url,
                headers=headers,
                params=params,
                content=content,
                timeout=httpx.Timeout(deadline_seconds),
            )
            response = await client.send(request, stream=True)
            try:
                body = await _bounded(response, service)
            finally:
                await response.aclose()
            return Answer(service, response.status_code, response.headers, body)
    except TimeoutError as error:
        raise RailUnknown(service, f"timed out after {deadline_seconds:g} s") from error
    except httpx.TimeoutException as error:
        raise RailUnknown(service, f"timed out after {deadline_seconds:g} s") from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise RailUnknown(service, f"network failure ({type(error).__name__})") from error


async def _bounded(response: httpx.Response, service: str) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > ANSWER_MAX_BYTES:
            raise RailUnknown(service, f"answer larger than {ANSWER_MAX_BYTES} bytes")
    return bytes(body)


def encode(value: Any) -> bytes:
    """JSON bytes; integers stay exact, whatever their size."""
    return json.dumps(value, separators=(",", ":")).encode()
