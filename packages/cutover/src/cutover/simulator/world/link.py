"""A gateway node's link to the conductor over the simulated network.

Where several conductors run, chance decides which one answers: an address that moves does not move
everywhere at once, and a stale conductor must be harmless to whoever still reaches it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random  # noqa: TID251 - the type alone; the seed is passed in
from typing import Final, TypeVar

import msgspec

from cutover.conductor.desk import Desk
from cutover.errors import CutoverError
from cutover.evidence.wire import Grant, NodeReport
from cutover.gateway.link import ANSWER_SECONDS, WAIT_MS, LinkError
from cutover.routing.table import RoutingTable
from cutover.simulator.kernel.network import Network
from cutover.simulator.world.conductor import ConductorProcess

T = TypeVar("T")
REPORT_SECONDS: Final = ANSWER_SECONDS


class SimulatedLink:
    """The `ConductorLink` of a node's ports.

    Args:
        network: in between.
        conductors: that may answer.
        chance: of the simulation.
        reported: hears what a node says of itself: its name, boot, term and generation.
    """

    def __init__(
        self,
        network: Network,
        conductors: Sequence[ConductorProcess],
        chance: Random,
        reported: Callable[[str, str, int, int], None],
    ) -> None:
        self._network = network
        self._conductors = conductors
        self._chance = chance
        self._reported = reported

    async def newer_table(self, node: str, has: RoutingTable | None) -> RoutingTable | None:
        """Wait for a table that is newer than the given one; None if none came in time.

        Raises:
            LinkError: no answer.
        """
        run, term, generation = (has.run, has.term, has.generation) if has else ("", 0, 0)
        patience = WAIT_MS / 1000 + ANSWER_SECONDS
        return await self._ask(
            patience, lambda desk: desk.table(node, run, term, generation, WAIT_MS)
        )

    async def report(self, report: NodeReport) -> Grant:
        """Deliver a report; returns what the conductor answered.

        Raises:
            LinkError: it was not acknowledged.
        """
        self._reported(report.node, report.boot, report.term, report.generation)
        body = msgspec.json.encode(report)
        return await self._ask(REPORT_SECONDS, lambda desk: desk.report(body))

    async def close(self) -> None:
        """Nothing is open between two calls."""

    async def _ask(self, patience: float, ask: Callable[[Desk], Awaitable[T]]) -> T:
        known = [one for one in self._conductors if one.host is not None]
        awake = [one for one in known if one.host is not None and not one.host.paused]
        running = awake or known
        chosen = self._chance.choice(running) if len(running) > 1 else next(iter(running), None)
        try:
            async with asyncio.timeout(patience):
                if chosen is None:
                    await self._network.pass_between("gateway", "conductor")
                    raise ConnectionRefusedError(111, "no conductor runs")
                return await self._network.call(chosen.host, chosen.name, lambda: _at(chosen, ask))
        except (OSError, TimeoutError, CutoverError) as error:
            raise LinkError(f"no answer from the conductor: {type(error).__name__}") from error


async def _at(conductor: ConductorProcess, ask: Callable[[Desk], Awaitable[T]]) -> T:
    if conductor.parts is None:
        raise ConnectionRefusedError(111, "the conductor is still recovering")
    return await ask(conductor.parts.desk)
