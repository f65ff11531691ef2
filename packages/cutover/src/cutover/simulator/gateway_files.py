"""How a simulated node's files get written: a moment later, unless it is dead by then."""

import asyncio
import logging
from collections.abc import Callable

log = logging.getLogger("cutover.simulator.gateway_files")

Write = Callable[[], None]


class LoopKeeper:
    """Writes on the loop what the real keeper's thread would (`cutover.gateway.ports.FileKeeper`).

    Args:
        disk_seconds: how long the disk takes for a write that begins now.
    """

    def __init__(self, disk_seconds: Callable[[], float]) -> None:
        self._disk_seconds = disk_seconds
        self._waiting: dict[str, tuple[Write, asyncio.Future[None]]] = {}

    def keep(self, what: str, write: Write) -> "asyncio.Future[None]":
        """Have something written soon; what waited under the same name need not be any more."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        before = self._waiting.pop(what, None)
        self._waiting[what] = write, done
        loop.call_later(self._disk_seconds(), self._write, what, done)
        if before is not None:
            before[1].set_result(None)
        return done

    def close(self) -> None:
        """Write what waits."""
        for what, (_, done) in list(self._waiting.items()):
            self._write(what, done)

    def abandon(self) -> None:
        """The process is gone, and what it had not written with it."""
        self._waiting.clear()

    def _write(self, what: str, due: "asyncio.Future[None]") -> None:
        write, done = self._waiting.get(what, (None, None))
        if write is None or done is not due:
            return  # a newer text took its place
        del self._waiting[what]
        try:
            write()
        except OSError:
            log.exception("the %s could not be stored", what)
        due.set_result(None)
