"""The conductor's loop: everything that happens passes through one door, in one order.

Observations and orders wait in one bounded queue; the loop drains it, lets the engine journal and
decide, and only then wakes those who carry decisions out. Nobody else touches the engine.
Whoever hands something in hears back once it is durable, so that no acknowledgement is a promise.
"""

import asyncio
from collections.abc import Callable, Sequence

from cutover.conductor.engine import Engine
from cutover.decision.command import Command
from cutover.decision.fact import Entry, Fact
from cutover.decision.run import TERMINAL
from cutover.errors import CutoverError
from cutover.routing.table import RoutingTable

INBOX_MAX = 1_024
BATCH_MAX = 256
TICK_SECONDS_MAX = 0.25

Watcher = Callable[[Sequence[Entry]], None]
Waiting = tuple[Fact, asyncio.Future[bool]]


class ClosedError(CutoverError):
    """The conductor is at its end and takes nothing more; ask again when it runs."""


class Loop:
    """Serialises facts into the engine and tells the rest that something changed.

    Args:
        engine: journal and judgement.
        tick_ms: how often time alone is given a say.
        watch: told of every batch of new entries, after they are durable.
    """

    def __init__(self, engine: Engine, tick_ms: int, watch: Watcher) -> None:
        self.engine = engine
        self._inbox: asyncio.Queue[Waiting] = asyncio.Queue(INBOX_MAX)
        self._tick = min(TICK_SECONDS_MAX, tick_ms / 1000)
        self._watch = watch
        self._changed = asyncio.Event()
        self._table = engine.table()
        self._closed = False
        self._released = False

    async def submit(self, fact: Fact) -> None:
        """Hand in an observation; returns once it is durable.

        Raises:
            ClosedError: it was not journaled, and will not be.
        """
        if self._closed:
            raise ClosedError("the conductor takes no more observations: the run is at its end")
        taken: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        await self._inbox.put((fact, taken))
        self._refuse_late()
        if not await taken:
            raise ClosedError("the conductor ended before this could be journaled: say it again")

    def _refuse_late(self) -> None:
        """Answer what came in while the loop closed; nobody else would."""
        if self._closed:
            self._close()

    def order(self, command: Command) -> str:
        """Take an operator's order at once; the refusal, or empty when admitted."""
        refused, entries = self.engine.order(command)
        self._tell(entries)
        return refused

    def begin(self, facts: Sequence[Fact]) -> None:
        """Journal the first or the last facts of an incarnation, with nothing in between."""
        self._tell(self.engine.advance(facts))

    async def run(self) -> None:
        """Work until the run is over.

        Raises:
            JournalError: the journal cannot be written; nobody may go on without it.
        """
        try:
            while self.engine.run.phase not in TERMINAL:
                self._take(await self._drain())
        finally:
            self._close()

    def _take(self, batch: Sequence[Waiting]) -> None:
        durable = False
        try:
            self._tell(self.engine.advance([fact for fact, _ in batch]))
            durable = True
        finally:
            _answer(batch, durable=durable)

    async def _drain(self) -> list[Waiting]:
        batch: list[Waiting] = []
        try:
            async with asyncio.timeout(self._tick):
                batch.append(await self._inbox.get())
        except TimeoutError:
            return batch
        while not self._inbox.empty() and len(batch) < BATCH_MAX:
            batch.append(self._inbox.get_nowait())
        return batch

    def _close(self) -> None:
        self._closed = True
        left: list[Waiting] = []
        while not self._inbox.empty():
            left.append(self._inbox.get_nowait())
        _answer(left, durable=False)

    def _tell(self, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        self._table = self.engine.table()
        self._watch(entries)
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def wait_changed(self) -> None:
        """Wait until new entries were journaled."""
        await self._changed.wait()

    async def wait_table(self, term: int, generation: int, wait_ms: int) -> RoutingTable | None:
        """The table in force, as soon as it is another than the caller's; None after the wait.

        Raises:
            ClosedError: the conductor stops; a wait would only delay it.
        """
        try:
            async with asyncio.timeout(wait_ms / 1000):
                while (self._table.term, self._table.generation) == (term, generation):
                    if self._released:
                        raise ClosedError("the conductor stops; go on with the table in force")
                    await self._changed.wait()
        except TimeoutError:
            return None
        return self._table

    def release(self) -> None:
        """Send everybody home who waits for a table."""
        self._released = True
        self._wake()


def _answer(batch: Sequence[Waiting], *, durable: bool) -> None:
    for _, taken in batch:
        if not taken.done():  # whoever handed it in may have gone
            taken.set_result(durable)
