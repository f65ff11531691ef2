"""The candidate's hardware and the vendor's word about it, behind the `Attester` port.

The verdicts are played, not verified: what matters here is what the conductor makes of them. The
world knows what is true of the plane, so a checker can tell a wrong decision from a wrong verdict.
A verdict lasts as long as the collateral that it rests on.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from cutover.evidence.observation import Attestation, Verdict
from cutover.runbook.gate import Evidence
from cutover.simulator.kernel.network import Network
from cutover.simulator.world.plane import Plane

UP_TO_DATE: Final = "UpToDate"
COLLATERAL_LOOKS: Final = 4
"""For so many looks fetched collateral is good without its source."""

MARKS: Final = ("TEST ROOT",)
"""What stands beside every played verdict."""


class SimulatedTee:
    """Looks at one plane.

    Args:
        network: between the conductor and the plane.
        plane: that is asked.
        now_ms: simulated time.
        every_ms: pause between two looks of the runbook.

    Attributes:
        tcb: the vendor's word about the machine.
        guest: what the guest agent gives: `quote`, `nothing`, `other` (another app's quote) or
            `replay` (an old quote, over another nonce).
        collateral: whether its source answers.
    """

    def __init__(
        self, network: Network, plane: Plane, now_ms: Callable[[], int], every_ms: int
    ) -> None:
        self._network = network
        self._plane = plane
        self._now_ms = now_ms
        self.tcb = UP_TO_DATE
        self.guest = "quote"
        self.collateral = True
        self._good_ms = COLLATERAL_LOOKS * every_ms
        self._fetched_ms = -self._good_ms

    async def look(self, deadline_ms: int, purpose: str = "monitor") -> Attestation:  # noqa: ARG002 - a played verdict needs no nonce
        """One verdict, within the deadline."""
        try:
            async with asyncio.timeout(deadline_ms / 1000):
                identity = await self._network.call(self._plane.host, self._plane.name, self._quote)
        except (TimeoutError, OSError) as error:
            return self._verdict(Verdict.UNVERIFIABLE, "", f"no quote: {type(error).__name__}")
        return self._judge(identity)

    async def _quote(self) -> str:
        await self._plane.respond()
        return self._plane.identity()

    def _judge(self, identity: str) -> Attestation:
        if self._plane.name in self._network.between:
            text = "the quote names another TLS key than the connection"
            return self._verdict(Verdict.INVALID, identity, text)
        if self.guest == "nothing":
            return self._verdict(Verdict.MISSING, identity, "no guest agent answers")
        if self.guest != "quote":
            return self._verdict(Verdict.INVALID, identity, f"the quote is wrong: {self.guest}")
        if self.collateral:
            self._fetched_ms = self._now_ms()
        elif self._now_ms() - self._fetched_ms > self._good_ms:
            return self._verdict(Verdict.UNVERIFIABLE, identity, "no collateral young enough")
        if self.tcb != UP_TO_DATE:
            return self._verdict(Verdict.DEGRADED, identity, f"TCB status {self.tcb}")
        return self._verdict(Verdict.VERIFIED, identity, "quote, log and policy hold")

    def _verdict(self, verdict: Verdict, identity: str, reason: str) -> Attestation:
        holds = verdict in (Verdict.VERIFIED, Verdict.DEGRADED)
        return Attestation(
            plane=self._plane.name,
            verdict=verdict,
            evidence=Evidence.VERIFIED,
            identity=identity,
            reasons=(reason,),
            marks=MARKS,
            tls_spki=self._plane.spki() if holds else "",
            lasts_ms=self._fetched_ms + self._good_ms - self._now_ms() if holds else None,
        )
