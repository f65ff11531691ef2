"""Work that many want at once is done once."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Flight(Generic[T]):
    """Runs at most one piece of work by name; whoever comes meanwhile gets the same result."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[T]] = {}

    async def share(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """The result of the work under way by this name, or of `work` if there is none.

        A caller that is cancelled leaves the work to the others; a failure is everybody's, and the
        next call begins anew.
        """
        return await asyncio.shield(self.begin_nowait(name, work))

    def begin_nowait(self, name: str, work: Callable[[], Awaitable[T]]) -> asyncio.Task[T]:
        """See that the work is under way."""
        task = self._running.get(name)
        if task is None:
            task = asyncio.create_task(_run(work))
            self._running[name] = task
            task.add_done_callback(lambda done: self._landed(name, done))
        return task

    def _landed(self, name: str, done: asyncio.Task[T]) -> None:
        del self._running[name]
        if not done.cancelled():
            done.exception()  # seen, even if every caller has left


async def _run(work: Callable[[], Awaitable[T]]) -> T:
    return await work()
