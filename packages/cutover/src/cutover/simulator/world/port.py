"""A conductor's client of a plane that asks it without HTTP: same questions, answers and delays.

What the wire would add is its bytes and the client's own code, which other simulations have. All
else is as over it: a deadline, a plane that is down or cut off, JSON that is read as the conductor
reads it, and never an exception.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from cutover.conductor.plane_client import answered
from cutover.evidence.planes import DETAIL_CHARS_MAX, Answer
from cutover.simulator.kernel.host import Host
from cutover.simulator.kernel.network import Network
from cutover.simulator.world.http import Answered, Headers
from cutover.simulator.world.plane import Plane

Carry = Callable[[Host | None, str, Callable[[], Awaitable[Answered]]], Awaitable[Answered]]
"""How a question gets there and its answer back."""

NO_HEADERS: Final[Headers] = {}
JSON: Final = "application/json"
"""What a played plane answers with over the wire, too."""


class PortPlane:
    """One plane, as `cutover.conductor.ports.PlaneClient` has it.

    Args:
        plane: that is asked.
        key: `x-agent-api-key` of it.
        network: in between.
    """

    def __init__(self, plane: Plane, key: str, network: Network) -> None:
        self.name = plane.name
        self._plane = plane
        self._key = key
        self._network = network

    async def get(self, path: str, deadline_ms: int) -> Answer:
        """Ask `/ready` or `/health`."""
        return await self._ask(self._network.ask, deadline_ms, "GET", path, NO_HEADERS, b"")

    async def canary(self, deadline_ms: int) -> Answer:
        """`POST /canary/run`."""
        headers = self._headers()
        return await self._ask(self._network.ask, deadline_ms, "POST", "/canary/run", headers, b"")

    async def process(self, text: str, deadline_ms: int, *, idempotency_key: str = "") -> Answer:
        """Execute a text on the plane itself."""
        body = msgspec.json.encode({"text": text, "author": "cutover-live", "type": "web"})
        headers = self._headers()
        if idempotency_key:
            headers["idempotency-key"] = idempotency_key
        return await self._ask(self._network.call, deadline_ms, "POST", "/process", headers, body)

    def _headers(self) -> Headers:
        return {"x-agent-api-key": self._key}

    async def _ask(
        self, carry: Carry, deadline_ms: int, method: str, path: str, headers: Headers, body: bytes
    ) -> Answer:
        plane = self._plane
        try:
            async with asyncio.timeout(deadline_ms / 1000):
                status, raw = await carry(
                    plane.host, plane.name, lambda: plane.answer(method, path, headers, body)
                )
        except TimeoutError:
            return Answer(None, error=f"no whole answer within {deadline_ms:g} ms")
        except OSError as error:
            return Answer(None, error=f"{type(error).__name__}: {error}"[:DETAIL_CHARS_MAX])
        return answered(status, raw, JSON)
