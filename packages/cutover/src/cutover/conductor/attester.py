"""What a plane says it is, taken from its own report."""

from cutover.conductor.ports import PlaneClient
from cutover.evidence.observation import Attestation
from cutover.evidence.planes import read_attestation
from cutover.runbook.gate import Evidence


class ReportedAttester:
    """Reads `/health`: reported evidence, which is `unverifiable` where a quote is needed.

    Args:
        plane: which is looked at.
        needed: evidence that the runbook asks for.
    """

    def __init__(self, plane: PlaneClient, needed: Evidence) -> None:
        self._plane = plane
        self._needed = needed

    async def look(self, deadline_ms: int, purpose: str = "monitor") -> Attestation:  # noqa: ARG002 - no nonce to bind it to
        """Ask the plane once; no answer within the deadline is no verdict on it either."""
        health = await self._plane.get("/health", deadline_ms)
        return read_attestation(self._plane.name, health, self._needed)
