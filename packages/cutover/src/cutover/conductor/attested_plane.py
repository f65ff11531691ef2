"""The candidate where it must prove what it is: only who holds its attested key is told anything.

Whatever carries the plane's key or an order (a canary run, a text to execute, a knock) goes out
under the attested TLS key, compared inside the handshake, or not at all. `/ready` and `/health`
carry no secret: they are asked under that key where one is known, and else over TLS that is not
verified, so that a plane can be seen before it has proved itself.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Final

import httpx

from cutover.conductor.log import say
from cutover.conductor.pin import Pin
from cutover.conductor.plane_client import HttpPlane, ask, connections
from cutover.evidence.planes import Answer
from cutover.pinned import PinnedContext

WAIT: Final = 0.5
"""Part of a call's deadline for which it waits for a key; the rest is the plane's."""

CLOSE_SECONDS: Final = 1.0


class AttestedConnections:
    """Connections to the plane: under one key, and a few that tell nothing.

    Args:
        pin: which key counts now. When it changes, the connections under the old one are closed
            before anything else is said.
    """

    def __init__(self, pin: Pin) -> None:
        self.pin = pin
        self.open = connections(_unverified())
        self._held: tuple[str, httpx.AsyncClient] | None = None

    async def pinned(self) -> httpx.AsyncClient | None:
        """Connections under the key that counts now; None while none does."""
        spki, held = self.pin.spki, self._held
        if held is None or held[0] != spki:
            self._held = (spki, connections(PinnedContext(spki))) if spki else None
            if held is not None:
                await _closed(held[1])
        return None if self._held is None else self._held[1]

    async def aclose(self) -> None:
        """Close whatever is open."""
        self.pin.hold("")
        await self.pinned()
        await self.open.aclose()


class AttestedPlane:
    """The HTTP contract of a plane under its attested key; no call raises.

    Args:
        name: the plane's name in the runbook.
        url: base address.
        key: `x-agent-api-key` of this plane.
        connections: to it.
    """

    def __init__(self, name: str, url: str, key: str, connections: AttestedConnections) -> None:
        self.name = name
        self.url = url.rstrip("/")
        self.pin = connections.pin
        self._key = key
        self._connections = connections

    async def get(self, path: str, deadline_ms: int) -> Answer:
        """Ask `/ready` or `/health`: under the attested key, or before there is one, openly."""
        client = await self._connections.pinned() or self._connections.open
        return await self._over(client).get(path, deadline_ms)

    async def canary(self, deadline_ms: int) -> Answer:
        """`POST /canary/run`, under the attested key or not at all."""
        return await self._under_key(lambda plane, left: plane.canary(left), deadline_ms)

    async def process(self, text: str, deadline_ms: int, *, idempotency_key: str = "") -> Answer:
        """Execute a text on the plane, under the attested key or not at all."""
        return await self._under_key(
            lambda plane, left: plane.process(text, left, idempotency_key=idempotency_key),
            deadline_ms,
        )

    async def knock(self, key: str | None, deadline_ms: int) -> Answer:
        """`POST /process` with a wrong key or none, under the attested key or not at all."""
        return await self._under_key(lambda plane, left: plane.knock(key, left), deadline_ms)

    async def identity(self, nonce: str, deadline_ms: int) -> Answer:
        """`GET /identity`, under the attested key or not at all."""
        return await self._under_key(lambda plane, left: plane.identity(nonce, left), deadline_ms)

    async def parity(self, nonce: str, deadline_ms: int) -> Answer:
        """`POST /parity`, under the attested key or not at all."""
        return await self._under_key(lambda plane, left: plane.parity(nonce, left), deadline_ms)

    async def _under_key(
        self, call: Callable[[HttpPlane, int], Awaitable[Answer]], deadline_ms: int
    ) -> Answer:
        loop = asyncio.get_running_loop()
        ends = loop.time() + deadline_ms / 1000
        await self.pin.proved(deadline_ms * WAIT)
        client = await self._connections.pinned()
        if client is None:
            said = (
                f"nothing was sent: {self.name} has proved no TLS key within {deadline_ms * WAIT:g}"
                " ms, expected a verdict that names one; see its attestation"
            )
            return Answer(None, error=said, asked=False)
        return await call(self._over(client), max(1, round((ends - loop.time()) * 1000)))

    def _over(self, client: httpx.AsyncClient) -> HttpPlane:
        return HttpPlane(self.name, self.url, self._key, client)


async def _closed(client: httpx.AsyncClient) -> None:
    """Close; whoever is at the other end neither holds up a call by it nor makes it fail."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await client.aclose()
    except Exception as error:  # noqa: BLE001 - the layers below raise nearly anything
        say("connections_not_closed", error=repr(error))


async def health_under(url: str, spki: str, deadline_ms: int) -> Answer:
    """`/health` of whoever holds this very key, over a connection of its own."""
    async with connections(PinnedContext(spki)) as client:
        return await ask(client, "GET", f"{url.rstrip('/')}/health", deadline_ms)


def _unverified() -> ssl.SSLContext:
    """For what carries no secret and is believed only as far as anybody's word is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
