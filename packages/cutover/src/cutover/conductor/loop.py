"""The conductor's loop: everything that happens passes through one door, in one order.

Observations and orders wait in one bounded queue; the loop drains it, lets the engine journal and
decide, and only then wakes those who carry decisions out. Nobody else touches the engine.
"""

import asyncio
from collections.abc import Callable, Sequence

from cutover.conductor.engine import Engine
from cutover.decision.command import Command
from cutover.decision.fact import Entry, Fact
from cutover.decision.run import TERMINAL
from cutover.routing.table import RoutingTable

INBOX_MAX = 1_024
BATCH_MAX = 256
TICK_SECONDS_MAX = 0.25

Watcher = Callable[[Sequence[Entry]], None]


class Loop:
    """Serialises facts into the engine and tells the rest that something changed.

    Args:
        engine: journal and judgement.
        tick_ms: how often time alone is given a say.
        watch: told of every batch of new entries, after they are durable.
    """

    def __init__(self, engine: Engine, tick_ms: int, watch: Watcher) -> None:
        self.engine = engine
        self._inbox: asyncio.Queue[Fact] = asyncio.Queue(INBOX_MAX)
        self._tick = min(TICK_SECONDS_MAX, tick_ms / 1000)
        self._watch = watch
        self._changed = asyncio.Event()
        self._table = engine.table()

    async def submit(self, fact: Fact) -> None:
        """Hand in an observation; waits when the inbox is full."""
        await self._inbox.put(fact)

    def order(self, command: Command) -> str:
        """Take an operator's order at once; the refusal, or empty when admitted."""
        refused, entries = self.engine.order(command)
        self._tell(entries)
        return refused

    def begin(self, facts: Sequence[Fact]) -> None:
        """Journal the first facts of an incarnation before anything else happens."""
        self._tell(self.engine.advance(facts))

    async def run(self) -> None:
        """Work until the run is over.

        Raises:
            JournalError: the journal cannot be written; nobody may go on without it.
        """
        while self.engine.run.phase not in TERMINAL:
            self._tell(self.engine.advance(await self._drain()))

    async def _drain(self) -> list[Fact]:
        facts: list[Fact] = []
        try:
            async with asyncio.timeout(self._tick):
                facts.append(await self._inbox.get())
        except TimeoutError:
            return facts
        while not self._inbox.empty() and len(facts) < BATCH_MAX:
            facts.append(self._inbox.get_nowait())
        return facts

    def _tell(self, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        self._table = self.engine.table()
        self._watch(entries)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def wait_changed(self) -> None:
        """Wait until new entries were journaled."""
        await self._changed.wait()

    async def wait_table(self, term: int, generation: int, wait_ms: int) -> RoutingTable | None:
        """The table in force, as soon as it is another than the caller's; None after the wait."""
        try:
            async with asyncio.timeout(wait_ms / 1000):
                while (self._table.term, self._table.generation) == (term, generation):
                    await self._changed.wait()
        except TimeoutError:
            return None
        return self._table
