"""asyncio in virtual time: when every task waits, the clock jumps to what is due next.

One thread, no file descriptor, no real time: the order of everything follows from the order in
which it was asked for. When nothing is due and somebody still waits, that is a hang, and an error
that names who waits. Nothing in here knows the project: it is asyncio, with another clock and with
`Host`s whose callbacks can be held or dropped.
"""

import asyncio
import math
import selectors
from collections import deque
from collections.abc import Callable, Mapping
from contextvars import Context, copy_context
from heapq import heappush
from itertools import count
from typing import TYPE_CHECKING, Any, Final, cast

from cutover.errors import CutoverError
from cutover.simulator.kernel.handle import HandleOfHost, TimerOfHost
from cutover.simulator.kernel.host import HOST, Host

if TYPE_CHECKING:
    from cutover.simulator.kernel.network import Network

TICKS_A_SECOND: Final = 1_000_000
"""Time is whole microseconds, so that sums of steps do not drift apart from what was asked."""

WAITING_SHOWN: Final = 20


class HangError(CutoverError):
    """Every task waits for something that will never come."""


class _Jump(selectors.BaseSelector):
    """Instead of waiting for files, of which there are none, moves the clock."""

    def __init__(self, hung: Callable[[], None]) -> None:
        self.ticks = 0
        self._hung = hung
        self._known: dict[int, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        number = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        key = self._known[number] = selectors.SelectorKey(fileobj, number, events, data)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._known.pop(fileobj if isinstance(fileobj, int) else fileobj.fileno())

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._known

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            self._hung()
        elif timeout > 0:
            self.ticks += max(1, math.ceil(timeout * TICKS_A_SECOND))
        return []


def waiting() -> str:
    """Who waits, and where in the code."""
    tasks = sorted(asyncio.all_tasks(asyncio.get_running_loop()), key=lambda task: task.get_name())
    lines = [f"  {task.get_name()}: {_place(task)}" for task in tasks[:WAITING_SHOWN]]
    more = f"\n  and {len(tasks) - WAITING_SHOWN} more" if len(tasks) > WAITING_SHOWN else ""
    return "nothing is due, and these wait for ever:\n" + "\n".join(lines) + more


def _place(task: "asyncio.Task[Any]") -> str:
    frames = task.get_stack(limit=1)
    if not frames:
        return "at its end"
    code = frames[-1].f_code
    return f"{code.co_qualname} ({code.co_filename.rsplit('/', 1)[-1]}:{frames[-1].f_lineno})"


class _Numbered(asyncio.Task[Any]):
    """A task whose place in a set does not depend on where it lies in memory.

    asyncio keeps tasks in sets and cancels them in the order of these.
    """

    def __init__(self, *args: Any, number: int, host: Host | None, **options: Any) -> None:
        self._number = number  # first: the task enters a set while it is made
        self.host = host
        super().__init__(*args, **options)

    __eq__ = object.__eq__

    def __hash__(self) -> int:
        return self._number


class SimulationLoop(asyncio.SelectorEventLoop):
    """The loop of one simulation.

    Attributes:
        network: serves `create_connection` and `create_server`; set before either is used.
        main: the task that is told of a hang; None to end the loop with it.
    """

    network: "Network"
    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self) -> None:
        self.main: asyncio.Task[Any] | None = None
        self._jump = _Jump(self._hung)
        super().__init__(self._jump)
        self.defects: list[dict[str, Any]] = []
        self._numbers = count(1)
        self.set_task_factory(self._numbered)
        self.set_exception_handler(lambda _, context: self.defects.append(context))

    def _numbered(
        self, _: asyncio.AbstractEventLoop, work: Any, context: Context | None = None
    ) -> asyncio.Task[Any]:
        host = HOST.get() if context is None else context.get(HOST)
        return _Numbered(work, loop=self, context=context, number=next(self._numbers), host=host)

    def _hung(self) -> None:
        """Raise where the main task waits, which may have something to say; else, and next, here.

        Raises:
            HangError: nobody can be told, or was told and waits for ever again.
        """
        error = HangError(waiting())
        told, self.main = self.main, None
        awaited: Any = told
        while isinstance(awaited, asyncio.Task):
            awaited = awaited._fut_waiter  # type: ignore[attr-defined]  # noqa: SLF001 - nothing else tells what a task waits for
        if awaited is None or awaited.done():
            raise error
        awaited.set_exception(error)

    def time(self) -> float:
        """Seconds since the simulation began."""
        return self._jump.ticks / TICKS_A_SECOND

    def now_ms(self) -> int:
        """Whole milliseconds since the simulation began."""
        return self._jump.ticks // 1_000

    def call_soon(  # type: ignore[override]  # asyncio ties the callback to its arguments
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """As asyncio's, on behalf of the context's host."""
        if context is None:
            context = copy_context()
        host = context.get(HOST)
        if host is None:
            return super().call_soon(callback, *args, context=context)
        handle = HandleOfHost(callback, args, self, context)
        handle.host = host
        self._ready.append(handle)
        return handle

    def again(self, handle: asyncio.Handle) -> None:
        """Queue a callback that its host has held."""
        self._ready.append(handle)

    def call_at(  # type: ignore[override]  # as above
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """As asyncio's, on behalf of the context's host."""
        if context is None:
            context = copy_context()
        host = context.get(HOST)
        if host is None:
            return super().call_at(when, callback, *args, context=context)
        handle = TimerOfHost(when, callback, args, self, context)
        handle.host = host
        heappush(self._scheduled, handle)
        handle._scheduled = True  # type: ignore[attr-defined]  # noqa: SLF001 - as the base does
        return handle

    def run_in_executor(self, executor: Any, func: Any, *_: Any) -> Any:  # type: ignore[override]  # it refuses
        """Refused: what threads do has no place in an order of events.

        Raises:
            CutoverError: always.
        """
        raise CutoverError(f"{func!r} wants a thread ({executor}); a simulation has none")

    async def create_connection(self, protocol_factory: Any, host: Any = None, port: Any = None,
                                **options: Any) -> Any:  # fmt: skip
        """Connect to a simulated server by its name; `ssl` as a handshake that compares keys."""
        tls = options.get("ssl")  # all else belongs to real networks
        return await self.network.connect(protocol_factory, str(host), int(port), tls)

    async def create_server(self, protocol_factory: Any, host: Any = None, port: Any = None,
                            **options: Any) -> Any:  # fmt: skip
        """Listen under a name."""
        del options
        return self.network.listen(protocol_factory, str(host), int(port))


def current() -> SimulationLoop:
    """The running loop of a simulation."""
    return cast("SimulationLoop", asyncio.get_running_loop())
