"""Simulated processes: everything that one does can be stopped for a while, or for good.

A task belongs to the host in whose context it was made, and so does every callback that it leaves
behind; the loop asks the host before it runs one. A killed host runs nothing any more, not even a
`finally`, as after `kill -9`. A paused one runs what became due once it goes on, as after SIGSTOP.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any, Final

HOST: Final[ContextVar["Host | None"]] = ContextVar("host", default=None)
"""Whose callback runs; None for the world itself, which never stops."""

Thunk = Callable[[], None]


class Killed(BaseException):
    """Unwinds what a process was doing when it was killed from within; nothing handles it."""


class Host:
    """One incarnation of a simulated process.

    Args:
        name: of the process; the network knows it by this.
        incarnation: counts its starts.
    """

    def __init__(self, name: str, incarnation: int = 1) -> None:
        self.name = name
        self.incarnation = incarnation
        self.alive = True
        self.paused = False
        self._tasks: list[asyncio.Task[Any]] = []
        self._held: list[Thunk] = []
        self._on_death: list[Thunk] = []

    def __repr__(self) -> str:
        return f"{self.name}#{self.incarnation}"

    def context(self) -> Context:
        """A context whose callbacks belong to this host."""
        context = copy_context()
        context.run(HOST.set, self)
        return context

    def start(self, work: Coroutine[Any, Any, Any], name: str = "") -> asyncio.Task[Any]:
        """Begin a task of this host."""
        loop = asyncio.get_running_loop()
        label = f"{self!r} {name}".strip()
        task = loop.create_task(work, name=label, context=self.context())
        self._tasks = [known for known in self._tasks if not known.done()]
        self._tasks.append(task)
        return task

    def on_death(self, tell: Thunk) -> None:
        """Have somebody told when it is killed; in the order of asking."""
        self._on_death.append(tell)

    def kill(self) -> None:
        """End it here and now; whoever asked is told, and nothing of it runs any more."""
        if not self.alive:
            return
        self.alive = False
        self._held.clear()
        # What waits for ever is not to be found by the collector, at a moment of its own choice.
        everything = asyncio.all_tasks(asyncio.get_running_loop())
        self._tasks = [task for task in everything if getattr(task, "host", None) is self]
        told, self._on_death = self._on_death, []
        for tell in told:
            Context().run(tell)  # what follows from a death is not the dead one's to do

    def pause(self) -> None:
        """Stop it where it stands."""
        self.paused = True

    def go_on(self) -> None:
        """Let it run what became due meanwhile."""
        self.paused = False
        held, self._held = self._held, []
        for thunk in held:
            thunk()

    def hold(self, thunk: Thunk) -> None:
        """Keep what would run now until it goes on."""
        self._held.append(thunk)

    def bury(self) -> None:
        """At the end of a simulation: unwind what a killed process left standing.

        Its code must not run in the simulation, but Python would run it when the memory is freed,
        at a moment of its own choice.
        """
        self.alive = False
        for task in self._tasks:
            unwind(task)


def unwind(task: asyncio.Task[Any]) -> None:
    """Close what a task that will never be woken again still stands in."""
    if task.done():
        return
    # Whatever its last words are, nobody is left to hear them.
    with contextlib.suppress(BaseException):
        task.get_coro().close()
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001 - as gather does
