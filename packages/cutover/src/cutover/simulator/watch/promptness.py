"""Line 4: when a rollback condition holds, the fallback's table is in force within 50 ms.

Measured from the moment at which the decision is durable to the moment at which a node's workers
go by the new table, on every node that the conductor can reach.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from cutover.decision.fact import Entry
from cutover.decision.kinds import AbortRun, RollBack
from cutover.simulator.checkers.violation import never
from cutover.simulator.kernel.loop import current
from cutover.simulator.watch.excuses import Weatherbook, touches_link
from cutover.simulator.world.node import NodeProcess

WITHIN_MS: Final = 50


class Promptness:
    """Looks at the nodes after every way back.

    Args:
        nodes: of the world.
        conductors: names.
        book: of the faults.
    """

    def __init__(
        self, nodes: Sequence[NodeProcess], conductors: tuple[str, ...], book: Weatherbook
    ) -> None:
        self.looks = 0
        self._nodes = nodes
        self._conductors = conductors
        self._book = book
        self._tasks: list[asyncio.Task[None]] = []

    def recorded(self, entries: Sequence[Entry], generation: int) -> None:
        """Entries are durable; `generation` is that of the table that follows from them."""
        if any(isinstance(entry.fact, AbortRun | RollBack) for entry in entries):
            for node in self._nodes:
                task = current().create_task(self._look(node, generation), name="promptness")
                self._tasks.append(task)

    def check(self) -> None:
        """Raise what was found.

        Raises:
            Violation: a node that could be reached was late.
        """
        for task in self._tasks:
            if task.done():
                task.result()

    async def _look(self, node: NodeProcess, generation: int) -> None:
        began, host = current().now_ms(), node.host
        if host is None or not node.generation():
            return  # it was not there; when it comes, it asks for its table first
        await asyncio.sleep(WITHIN_MS / 1000)
        until = current().now_ms()
        faults = self._book.between(began, until)
        if any(touches_link(fault, node.name, self._conductors) for fault in faults):
            return
        self.looks += 1
        seen = node.generation()
        text = f"{node.name} has generation {seen} {WITHIN_MS} ms after generation {generation}"
        never(4, node.host is host and seen < generation, f"{text} was decided")
