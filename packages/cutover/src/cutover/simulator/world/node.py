"""A gateway node with a supervisor that starts it again, as systemd would."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from cutover.clock import Clock
from cutover.gateway.config import GatewayConfig
from cutover.gateway.ports import ConductorLink
from cutover.simulator.gateway import SimulatedNode, Site
from cutover.simulator.kernel.host import Host

RESTART_SECONDS: Final = 0.5

Say = Callable[[str, str, Any], None]


class NodeProcess:
    """One gateway node of a world.

    Args:
        config: of the node.
        link: makes its link to the conductor.
        clock: of the world.
        fresh: makes ids.
        say: adds a line to the trace.

    Attributes:
        name: of the node and its host.
        supervised: whether somebody starts it again when it ends.
    """

    def __init__(
        self, config: GatewayConfig, link: Callable[[], ConductorLink], clock: Clock,
        fresh: Callable[[], str], say: Say,
    ) -> None:  # fmt: skip
        self.name = config.host
        self.supervised = True
        self._say = say
        site = Site(config, link, clock, fresh, lambda _: self._ended())
        self._node = SimulatedNode(site)

    @property
    def host(self) -> Host | None:
        """Its supervisor process; None while it does not run."""
        return self._node.host

    def start(self) -> None:
        """Start it, unless it runs."""
        self._node.start()

    def crash(self) -> None:
        """End it without a word, workers and all."""
        if self._node.host is not None:
            self._say(self.name, "crashes", None)
            self._node.crash()

    def pause(self) -> None:
        """Stop the whole machine where it stands."""
        self._node.pause()

    def go_on(self) -> None:
        """Let it go on."""
        self._node.go_on()

    def generation(self) -> int:
        """Of the table that its workers go by; 0 for none."""
        table = self._node.in_force
        return table.generation if table is not None else 0

    def bury(self) -> None:
        """At the end of a simulation."""
        self.supervised = False
        self._node.bury()

    def _ended(self) -> None:
        self._say(self.name, "ends", self._node.exit_code)
        if self.supervised:
            asyncio.get_running_loop().call_later(RESTART_SECONDS, self._again)

    def _again(self) -> None:
        if self.supervised:
            self.start()
