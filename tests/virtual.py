"""asyncio in virtual time: when every task waits, the clock jumps to the next deadline.

Only for code without sockets: a jump past an answer in flight would be a false alarm. A hang is an
error at once instead of a wait.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any


class _Jump(selectors.DefaultSelector):
    """Never sleeps."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("every task waits, and nothing is due: a hang")
            self.now += max(0.0, timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose time starts at 0 and is the selector's."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        return self._jump.now


class VirtualClock:
    """The product's clock on the running loop's time; the wall clock can be pushed."""

    def __init__(self) -> None:
        self.wall_offset_ms = 1_800_000_000_000

    def monotonic_ms(self) -> int:
        return round(asyncio.get_running_loop().time() * 1000)

    def wall_ms(self) -> int:
        return self.monotonic_ms() + self.wall_offset_ms


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run to the end in no time at all."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
