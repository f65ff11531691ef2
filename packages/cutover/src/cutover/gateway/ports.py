"""What a node takes from the world around it: `cutover.gateway.node.run` brings the real ones.

Everything else of a node is its own and runs unchanged wherever these are played, be it on virtual
time in one process.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from cutover.clock import Clock
from cutover.evidence.wire import Grant, NodeReport
from cutover.routing.table import RoutingTable


class ConductorLink(Protocol):
    """A node's side of the conversation with the conductor."""

    async def newer_table(self, node: str, has: RoutingTable | None) -> RoutingTable | None:
        """Wait for a table that is newer than the given one; None if none came in time.

        Raises:
            LinkError: no answer, or none that is a table.
        """
        ...

    async def report(self, report: NodeReport) -> Grant:
        """Deliver a report; returns what the conductor answered.

        Raises:
            LinkError: it was not acknowledged.
        """
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class FileKeeper(Protocol):
    """Writes the node's files beside its event loop."""

    def keep(self, what: str, write: Callable[[], None]) -> "asyncio.Future[None]":
        """Have something written soon; what waited under the same name need not be any more.

        The future ends when it is written or could not be, which is logged.
        """
        ...

    def close(self) -> None:
        """Let what waits be written, but not for ever."""
        ...


class Door(Protocol):
    """Where clients come in."""

    @property
    def url(self) -> str:
        """The address that the node answers at."""
        ...

    def close(self) -> None:
        """Let nobody new in."""
        ...


class Process(Protocol):
    """A worker's process."""

    @property
    def returncode(self) -> int | None:
        """How it ended, by the last `poll` or `wait`; None while it runs."""
        ...

    def poll(self) -> int | None:
        """How it ended; None while it runs."""
        ...

    def terminate(self) -> None:
        """Ask it to finish what it has in hand and end."""
        ...

    def kill(self) -> None:
        """End it here and now."""
        ...

    def wait(self) -> int:
        """Wait for its end, which has been brought about; returns how it ended."""
        ...

    def hang_up(self) -> None:
        """Let go of what we still hold of a process that has ended."""
        ...


Spawn = Callable[[int], Process]
"""Start the worker of that number."""

Rest = Callable[[], Awaitable[None]]
"""Let time pass until it is worth looking again."""


@dataclass(frozen=True)
class Outside:
    """All that a node does not make itself.

    Attributes:
        link: to the conductor; the node closes it.
        keeper: of its files; the node closes it.
        clock: for the pace of restarts.
        fresh: gives a name for each boot, never the same twice.
        door: where its clients come in.
        spawn: starts its workers.
        rest: between two looks at the workers.
    """

    link: ConductorLink
    keeper: FileKeeper
    clock: Clock
    fresh: Callable[[], str]
    door: Door
    spawn: Spawn
    rest: Rest
