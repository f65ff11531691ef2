"""What a gateway node asks of a conductor, whatever carries the question: a table, and an ear.

The control API translates it into HTTP; whoever has another way of carrying asks here directly.
"""

import asyncio
import re
from collections.abc import Mapping
from typing import Final

import msgspec

from cutover.conductor.loop import Loop
from cutover.conductor.nodes import Nodes
from cutover.crashpoint import crashpoint
from cutover.errors import CutoverError
from cutover.evidence.wire import (
    GRANT_MS_MAX,
    NODE_PATTERN,
    TABLE_WAIT_MS_MAX,
    Grant,
    parse_report,
)
from cutover.routing.table import RoutingTable

RUN_CHARS_MAX: Final = 64
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError)
"""What a body can make of its reader; the last by key proofs in letters beyond ASCII."""


class UnreadableError(CutoverError):
    """What was said is nothing that a node says; nothing of it is kept."""


class Desk:
    """Serves the nodes of one conductor.

    Args:
        loop: has the table in force.
        nodes: told when a node reports.
        keys: plane name to key, to compare key proofs with.
    """

    def __init__(self, loop: Loop, nodes: Nodes, keys: Mapping[str, str]) -> None:
        self._loop = loop
        self._nodes = nodes
        self._keys = dict(keys)
        self._has: dict[str, tuple[str, int, int]] = {}
        self._asked = asyncio.Event()

    async def table(
        self, node: str, run: str, term: int, generation: int, wait_ms: int
    ) -> RoutingTable | None:
        """The table in force, as soon as it is another than the node's; None after the wait.

        Args:
            node: who asks; that is no sign of life, which only a report is.
            run: whose table the node has; empty when it does not tell.
            term: of the node's table.
            generation: of the node's table.
            wait_ms: how long it would wait, milliseconds; at most TABLE_WAIT_MS_MAX counts.

        Raises:
            UnreadableError: no node has such a name.
            ClosedError: the conductor stops.
        """
        if not re.fullmatch(NODE_PATTERN, node):
            raise UnreadableError(f"node {node[:80]!r}, expected one that matches {NODE_PATTERN}")
        self._note(node, (run, term, generation))
        wait = min(max(0, wait_ms), TABLE_WAIT_MS_MAX)
        table = await self._loop.wait_table(term, generation, wait, run[:RUN_CHARS_MAX])
        crashpoint("table.serve.before")
        return table

    async def wait_current(self) -> None:
        """Wait until every node that serves clients has asked with the table in force in hand."""
        while self.behind():
            self._asked.clear()
            await self._asked.wait()

    def behind(self) -> tuple[str, ...]:
        """Serving nodes that are not known to have the table in force."""
        table = self._loop.engine.table()
        want = (table.run, table.term, table.generation)
        return tuple(n for n in self._loop.engine.run.serving() if self._has.get(n) != want)

    def _note(self, node: str, has: tuple[str, int, int]) -> None:
        if node in self._loop.engine.run.nodes:  # others are nobody whose table counts
            self._has[node] = has
            self._asked.set()

    async def report(self, body: bytes) -> Grant:
        """Take a NodeReport in JSON; returns once whatever it says anew is durable.

        Returns:
            How long the node may go on with payments to the candidate, from now.

        Raises:
            UnreadableError: it is no report, or says what no node can.
            DefectError: no rule can fold it.
            ClosedError: it was not journaled, and will not be.
            JournalError: the journal cannot be written.
        """
        try:
            seen = parse_report(body, self._keys)
        except UNREADABLE as error:
            raise UnreadableError(f"not a report: {error}") from error
        await self._nodes.reported(seen)
        money_ms = min(self._loop.money_grant_ms(), GRANT_MS_MAX)
        run = self._loop.engine.run
        return Grant(run.id, max(1, run.term), money_ms)
