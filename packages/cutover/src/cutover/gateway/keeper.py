"""Writes the node's files beside its event loop, so that no disk can hold up a routing table.

One thread, one write at a time. What waits for a slow disk is only ever the newest text of a file;
a disk that hangs for good costs the files, never the loop, and the thread dies with the process.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future
from threading import Condition, Thread
from typing import Final

CLOSE_SECONDS: Final = 2.0

log = logging.getLogger("cutover.gateway.keeper")

Write = Callable[[], None]


class Keeper:
    """A thread that writes."""

    def __init__(self) -> None:
        self._wanted: dict[str, tuple[Write, Future[None]]] = {}
        self._wake = Condition()
        self._closed = False
        self._thread = Thread(target=self._work, name="keeper", daemon=True)
        self._thread.start()

    def keep(self, what: str, write: Write) -> "asyncio.Future[None]":
        """Have something written soon; what waited under the same name need not be any more.

        The future ends when it is written or could not be, which is logged: a full disk must not
        stop a rollback, and after a restart the conductor offers its table again.
        """
        done: Future[None] = Future()
        with self._wake:
            before = self._wanted.pop(what, None)
            self._wanted[what] = write, done
            self._wake.notify()
        if before is not None:
            before[1].set_result(None)
        return asyncio.wrap_future(done)

    def close(self) -> None:
        """Let what waits be written, but not for ever."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join(CLOSE_SECONDS)
        if self._thread.is_alive():
            log.error("the disk does not answer; the last table may not be on it")

    def _work(self) -> None:
        while (job := self._next()) is not None:
            what, write, done = job
            try:
                write()
            except OSError:
                log.exception("the %s could not be stored", what)
            done.set_result(None)

    def _next(self) -> tuple[str, Write, "Future[None]"] | None:
        with self._wake:
            while not self._wanted and not self._closed:
                self._wake.wait()
            if not self._wanted:
                return None
            what = next(iter(self._wanted))
            return what, *self._wanted.pop(what)
