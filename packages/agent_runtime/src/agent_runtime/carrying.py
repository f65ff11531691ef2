"""Requests are carried to their end, and answered in time (contract §9, §11.21).

Rules
- The work of a request is a task of its own. Nothing that happens to the client ends it: neither
  that it leaves, nor that its time is over.
- Who asks again under the same key, while the first is being carried out, waits for the same work.
- What is said when the time is over is nobody's final answer: it is not stored, and the key gives
  the end of the work once there is one.
- At a stop whoever waits is answered first, then the work gets what is left of the time. What is
  cut off is on disk, and is resolved at the next start (rails §2.4).
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from agent_runtime.errors import ApiError
from agent_runtime.log import logger
from agent_runtime.process import Asked
from agent_runtime.receipts.desk import Desk
from agent_runtime.requests import Reply, key_reused
from agent_runtime.underway import UnderWay

RUNNING_MAX = 500
"""Less than there may be connections: how we are can be asked while much is being done."""
LAST_CALL_SECONDS = 7.0
END_SECONDS = 8.5
"""Both from the stop on, which may take ten seconds in all (contract §1)."""
CUT_SECONDS = 0.5
"""For work that was told to stop; it holds nothing that takes longer to let go."""


@dataclass(eq=False)
class _Work:
    """One request being carried out, and how many wait for it."""

    print: str
    task: asyncio.Task[Reply]
    waiting: int = 0


class Carrier:
    """Stands between the HTTP surface and the desk.

    Args:
        desk: that does the work.
        underway: that knows what to say when the time is over.
    """

    def __init__(self, desk: Desk, underway: UnderWay) -> None:
        self._desk = desk
        self._underway = underway
        self._running: set[_Work] = set()
        self._by_key: dict[str, _Work] = {}
        self._bell: asyncio.Future[None] | None = None
        self._end_at: float | None = None

    def __len__(self) -> int:
        """How many requests are being carried out."""
        return len(self._running)

    async def answer(self, asked: Asked, seconds: float) -> Reply:
        """The end of a request, or after so many seconds that it is still being carried out.

        Raises:
            ApiError: as the desk; 409 for a key that belongs to another request, 503 if too many
                requests are being carried out.
        """
        work = self._work_of(asked)
        bell = self._the_bell()
        work.waiting += 1
        try:
            waits: set[asyncio.Future[Any]] = {work.task, bell}
            await asyncio.wait(
                waits, timeout=max(0.0, seconds), return_when=asyncio.FIRST_COMPLETED
            )
            if work.task.done():
                return work.task.result()
        finally:
            work.waiting -= 1
        logger().warning("answered_before_the_end", seconds=round(seconds, 1))
        return await self._desk.with_receipt(self._underway.reply(asked))

    def stop_soon(self) -> None:
        """The process ends: in a while whoever waits is answered, and a little later work ends."""
        loop = asyncio.get_running_loop()
        self._end_at = loop.time() + END_SECONDS
        loop.call_later(LAST_CALL_SECONDS, self._ring)

    async def finish(self) -> None:
        """Wait for what is being carried out, and cut off what takes longer."""
        tasks = {work.task for work in self._running}
        if not tasks:
            return
        now = asyncio.get_running_loop().time()
        end_at = now + END_SECONDS if self._end_at is None else self._end_at
        _, late = await asyncio.wait(tasks, timeout=max(0.0, end_at - now))
        if not late:
            return
        for task in late:
            task.cancel()
        _, stuck = await asyncio.wait(late, timeout=CUT_SECONDS)
        logger().warning("work_cut_off", requests=len(late), stuck=len(stuck))

    def _work_of(self, asked: Asked) -> _Work:
        """The work under way under this key; new work if there is none, or no key."""
        work = self._by_key.get(asked.key) if asked.key else None
        if work is not None:
            if work.print != asked.print:
                raise key_reused()
            return work
        if len(self._running) >= RUNNING_MAX:
            raise ApiError(503, "busy", "too many requests are in progress; ask again")
        work = _Work(asked.print, asyncio.create_task(_run(self._desk.answer, asked)))
        self._running.add(work)
        if asked.key:
            self._by_key[asked.key] = work
        work.task.add_done_callback(lambda task: self._landed(asked.key, work, task))
        return work

    def _landed(self, key: str, work: _Work, task: asyncio.Task[Reply]) -> None:
        self._running.discard(work)
        if key:
            del self._by_key[key]
        if work.waiting or task.cancelled():
            return  # whoever waits gets the exception; a stop is logged by who stops
        if (error := task.exception()) is not None:
            logger().error("work_broke", exc_info=error)

    def _ring(self) -> None:
        bell = self._the_bell()
        if not bell.done():
            bell.set_result(None)

    def _the_bell(self) -> asyncio.Future[None]:
        if self._bell is None:
            self._bell = asyncio.get_running_loop().create_future()
        return self._bell


async def _run(work: Callable[[Asked], Awaitable[Reply]], asked: Asked) -> Reply:
    return await work(asked)
