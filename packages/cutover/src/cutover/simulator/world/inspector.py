"""Preconditions and post-cutover checks: the product's own, over the simulated network.

What they need of the outside that a simulation has not got (certificates, an archive sealed by
another process) is answered here; all else is asked of planes and gateway as in production.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import httpx

from cutover.conductor.config import GatewayAccess
from cutover.conductor.postchecks import PostChecks
from cutover.decision.run import Run
from cutover.evidence.observation import PostCheckSeen, PreconditionSeen
from cutover.runbook.document import Runbook
from cutover.runbook.gate import Check, PostCheckName
from cutover.simulator.world.chain import SimulatedChain
from cutover.simulator.world.plane import Plane

PAY: Final = "pay 0.01 USDC to acme/tool"


class SimulatedInspector:
    """The `Inspector` of a conductor's ports.

    Args:
        runbook: names of the planes.
        run: gives the state now.
        planes: both.
        access: how a client reaches the gateway.
        client: over the simulated network.
        chain: where a receipt's transaction is looked up.
        wall_ms: the wall clock.
    """

    def __init__(
        self, runbook: Runbook, run: Callable[[], Run], planes: list[Plane], access: GatewayAccess,
        client: httpx.AsyncClient, chain: SimulatedChain, wall_ms: Callable[[], int],
    ) -> None:  # fmt: skip
        self._planes = planes
        self._checks = PostChecks(runbook, run, access, client, chain, PAY, _sealed, wall_ms)

    async def precondition(self, check: Check) -> PreconditionSeen:
        """A precondition holds while both planes run."""
        down = [plane.name for plane in self._planes if plane.host is None]
        reasons = (f"{', '.join(down)} does not answer",) if down else ("both planes answer",)
        return PreconditionSeen(check, None if down else True, reasons)

    async def post_check(self, name: PostCheckName) -> PostCheckSeen:
        """Carry out a post-cutover check."""
        if name is PostCheckName.ARCHIVE:
            return PostCheckSeen(name, True, ("sealed by another process",), {})
        return await self._checks.carry_out(name)


def _sealed() -> tuple[Path, str]:
    raise AssertionError("the archive is no matter of this simulation")
