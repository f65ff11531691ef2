"""The conductor's loop: everything that happens passes through one door, in one order.

Observations and orders wait in one bounded queue; the loop drains it, lets the engine journal and
decide, and only then wakes those who carry decisions out. Nobody else touches the engine.
Whoever hands something in hears back once it is durable, so that no acknowledgement is a promise.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

from cutover.conductor.engine import Engine
from cutover.conductor.log import say
from cutover.crashpoint import crashpoint
from cutover.decision.command import Command
from cutover.decision.fact import Entry, Fact
from cutover.decision.run import TERMINAL
from cutover.errors import CutoverError
from cutover.evidence.observation import GatewayReport, Started
from cutover.journal.schema import BusyError
from cutover.routing.table import RoutingTable

INBOX_MAX = 1_024
BATCH_MAX = 32
"""Facts in one transaction; more would hold up the API, and a rollback among them."""
TICK_SECONDS_MAX = 0.25
"""How often time alone is given a say while it may bring something."""
SLEEP_SECONDS_MAX = 1.0
"""How often a loop that rests looks whether the machine has slept."""
BUSY_TRIES = 50
BUSY_PAUSE_SECONDS = 0.1
"""Between looks at a journal that another program has locked; the API answers meanwhile."""

Watcher = Callable[[Sequence[Entry]], None]
Waiting = tuple[Fact, asyncio.Future[CutoverError | None]]


class ClosedError(CutoverError):
    """The conductor is at its end and takes nothing more; ask again when it runs."""


class DefectError(CutoverError):
    """A report that no rule could fold; nothing of it is journaled."""


class Loop:
    """Serialises facts into the engine and tells the rest that something changed.

    Args:
        engine: journal and judgement.
        tick_ms: how often time alone is given a say while it may bring something.
        watch: told of every batch of new entries, after they are durable.
        cleanse: takes secrets out of whatever comes in.
        suspended_ms: how long the machine has slept in all; no observed time passes meanwhile.
            None for a machine that cannot sleep: nobody need look.
    """

    def __init__(
        self,
        engine: Engine,
        tick_ms: int,
        watch: Watcher,
        cleanse: Callable[[Fact], Fact] = lambda fact: fact,
        suspended_ms: Callable[[], int] | None = None,
    ) -> None:
        self.engine = engine
        self._cleanse = cleanse
        self._suspended_ms = suspended_ms
        self._slept_ms = suspended_ms() if suspended_ms is not None else 0
        self._inbox: asyncio.Queue[Waiting] = asyncio.Queue(INBOX_MAX)
        self._tick = min(TICK_SECONDS_MAX, tick_ms / 1000)
        self._resting: asyncio.Timeout | None = None
        self._watch = watch
        self._changed = asyncio.Event()
        self._table = engine.table()
        self._closed = False
        self._released = False

    async def submit(self, fact: Fact) -> None:
        """Hand in an observation; returns once it is durable.

        Raises:
            ClosedError: it was not journaled, and will not be.
            DefectError: it is a report that cannot be folded.
        """
        if self._closed:
            raise ClosedError("the conductor takes no more observations: the run is at its end")
        taken: asyncio.Future[CutoverError | None] = asyncio.get_running_loop().create_future()
        await self._inbox.put((self._cleanse(fact), taken))
        self._refuse_late()
        if refused := await taken:
            raise refused

    def _refuse_late(self) -> None:
        """Answer what came in while the loop closed; nobody else would."""
        if self._closed:
            self._close()

    def order(self, command: Command) -> str:
        """Take an operator's order at once; the refusal, or empty when admitted."""
        self._look_again()
        refused, entries = self.engine.order(cast("Command", self._cleanse(command)))
        self._rest_anew()
        self._tell(entries)
        crashpoint("order.answer.before")
        return refused

    def money_grant_ms(self) -> int:
        """As the engine says; after a sleep of the machine it does not go by what was before it.

        Raises:
            JournalError: that it slept cannot be written.
        """
        self._look_again()
        return self.engine.money_grant_ms()

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
                await self._take(await self._drain())
        finally:
            self._close()

    async def _take(self, batch: Sequence[Waiting]) -> None:
        facts = [fact for fact, _ in batch]
        try:
            entries = await self._patiently(facts)
        except (CutoverError, asyncio.CancelledError):
            _answer(batch, _late)
            raise
        except Exception as error:
            if not batch:
                raise
            say("defect", facts=[type(fact).__name__ for fact in facts], error=repr(error))
            await self._apart(batch)
            return
        _answer(batch)
        self._tell(entries)
        self._remember()

    async def _patiently(self, facts: Sequence[Fact]) -> list[Entry]:
        """Advance; a journal that another program holds for a moment is tried again."""
        for _ in range(BUSY_TRIES):
            try:
                return self._advance(facts)
            except BusyError:
                await asyncio.sleep(BUSY_PAUSE_SECONDS)
        return self._advance(facts)

    def _advance(self, facts: Sequence[Fact]) -> list[Entry]:
        self._look_again()
        return self.engine.advance(facts)

    def _look_again(self) -> None:
        """After a sleep all evidence looks as fresh as before it: begin anew, as after a start."""
        if self._suspended_ms is None:
            return
        slept = self._suspended_ms()
        gap = slept - self._slept_ms
        if gap <= self.engine.runbook.blind.after_ms:
            return
        run = self.engine.run
        self._tell(self.engine.advance([Started(run.term + 1, run.boot, gap)]))
        self._slept_ms = slept

    async def _apart(self, batch: Sequence[Waiting]) -> None:
        """A node's report that cannot be folded is refused; any other defect is ours and ends us.

        Raises:
            CutoverError: the journal cannot be written.
        """
        for number, (fact, taken) in enumerate(batch):
            try:
                entries = await self._patiently([fact])
            except BaseException as error:
                ours = not isinstance(fact, GatewayReport) or not isinstance(error, Exception)
                if ours or isinstance(error, CutoverError):
                    _answer(batch[number:], _late)
                    raise
                _answer([(fact, taken)], partial(DefectError, f"no rule takes it: {error!r}"[:200]))
                continue
            _answer([(fact, taken)])
            self._tell(entries)

    def _remember(self) -> None:
        """Store the state when it is time; a failure costs a longer start, and nothing else."""
        try:
            self._tell(self.engine.snapshot())
        except Exception as error:  # noqa: BLE001 - the decisions before it stand and were told
            say("snapshot_failed", error=repr(error))

    async def _drain(self) -> list[Waiting]:
        """What has come in; nothing when it is time to give time alone a say."""
        batch: list[Waiting] = []
        if self._inbox.empty():
            try:
                async with asyncio.timeout(self._patience()) as self._resting:
                    batch.append(await self._inbox.get())
            except TimeoutError:
                return batch
            finally:
                self._resting = None
        while not self._inbox.empty() and len(batch) < BATCH_MAX:
            batch.append(self._inbox.get_nowait())
        return batch

    def _patience(self) -> float:
        """Seconds for which nothing need be asked unless something comes in."""
        rests = (self.engine.rests_ms() + 1) / 1000
        if self._suspended_ms is not None:
            rests = min(rests, SLEEP_SECONDS_MAX)
        return max(rests, self._tick)

    def _rest_anew(self) -> None:
        """After an order: what was certain when the loop began to wait may not be so any more."""
        if self._resting is not None and not self._resting.expired():
            self._resting.reschedule(asyncio.get_running_loop().time() + self._patience())

    def _close(self) -> None:
        self._closed = True
        left: list[Waiting] = []
        while not self._inbox.empty():
            left.append(self._inbox.get_nowait())
        _answer(left, _late)

    def _tell(self, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        self._table = self.engine.table()
        crashpoint("effects.wake.before")
        self._wake()  # first: those who carry decisions out wait for nobody's log
        crashpoint("effects.wake.after")
        self._watch(entries)

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def wait_changed(self) -> None:
        """Wait until new entries were journaled."""
        await self._changed.wait()

    async def wait_table(
        self, term: int, generation: int, wait_ms: int, run: str = ""
    ) -> RoutingTable | None:
        """The table in force, as soon as it is another than the caller's; None after the wait.

        Numbers of another run say nothing about this one's tables.

        Raises:
            ClosedError: the conductor stops; a wait would only delay it.
        """
        try:
            async with asyncio.timeout(wait_ms / 1000):
                while self._is_in_force(term, generation, run):
                    if self._released:
                        raise ClosedError("the conductor stops; go on with the table in force")
                    await self._changed.wait()
        except TimeoutError:
            return None
        return self._table

    def _is_in_force(self, term: int, generation: int, run: str) -> bool:
        same = (self._table.term, self._table.generation) == (term, generation)
        return same and run in ("", self._table.run)

    def release(self) -> None:
        """Send everybody home who waits for a table."""
        self._released = True
        self._wake()


def _answer(batch: Sequence[Waiting], refused: Callable[[], CutoverError] | None = None) -> None:
    """Say that it is durable, or why it is not."""
    for _, taken in batch:
        if not taken.done():  # whoever handed it in may have gone
            taken.set_result(refused() if refused is not None else None)


def _late() -> ClosedError:
    return ClosedError("the conductor ended before this could be journaled: say it again")
