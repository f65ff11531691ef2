"""A conductor's client of a plane that must hold its attested TLS key, on a played handshake.

As `cutover.conductor.attested_plane` has it: orders go out under the key that the journal has, or
not at all; `/ready` and `/health` are asked openly as long as there is none.
"""

from collections.abc import Awaitable, Callable

from cutover.conductor.attested_plane import WAIT
from cutover.conductor.pin import Pin
from cutover.conductor.ports import PlaneClient
from cutover.evidence.planes import Answer
from cutover.pinned import PinError, PinnedContext
from cutover.simulator.kernel.network import Network, demanding


class PinnedPlane:
    """One plane behind its key, as `cutover.conductor.ports.PlaneClient` has it.

    Args:
        plane: that is asked once the handshake is done.
        pin: the key that counts now.
        network: on which somebody else may answer.
    """

    def __init__(self, plane: PlaneClient, pin: Pin, network: Network) -> None:
        self.name = plane.name
        self._plane = plane
        self._pin = pin
        self._network = network
        self._held: PinnedContext | None = None

    async def get(self, path: str, deadline_ms: int) -> Answer:
        """Ask `/ready` or `/health`."""
        if not self._pin.spki:
            return await self._plane.get(path, deadline_ms)
        return await self._under_key(lambda: self._plane.get(path, deadline_ms))

    async def canary(self, deadline_ms: int) -> Answer:
        """`POST /canary/run`."""
        if not await self._pin.proved(deadline_ms * WAIT):
            return self._nothing_sent("has proved no TLS key")
        return await self._under_key(lambda: self._plane.canary(deadline_ms))

    async def process(self, text: str, deadline_ms: int, *, idempotency_key: str = "") -> Answer:
        """Execute a text on the plane itself."""
        if not await self._pin.proved(deadline_ms * WAIT):
            return self._nothing_sent("has proved no TLS key")
        return await self._under_key(
            lambda: self._plane.process(text, deadline_ms, idempotency_key=idempotency_key)
        )

    async def _under_key(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        tls = self._tls()
        try:
            self._network.handshake(self.name, tls)
        except PinError as error:
            return self._nothing_sent(str(error))
        with demanding(tls):
            return await ask()

    def _tls(self) -> PinnedContext:
        """TLS towards the key that counts now; made anew, as in a conductor, when it is another."""
        if self._held is None or self._held.spki != self._pin.spki:
            self._held = PinnedContext(self._pin.spki)
        return self._held

    def _nothing_sent(self, why: str) -> Answer:
        return Answer(None, error=f"nothing was sent: {self.name}: {why}", asked=False)
