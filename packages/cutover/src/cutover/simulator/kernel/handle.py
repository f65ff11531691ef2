"""Callbacks that a host may hold or drop: handles of the loop itself, being half of its work."""

import asyncio
from functools import partial
from typing import Any

from cutover.simulator.kernel.host import Host, Killed


def _run_of_host(self: Any) -> None:
    """What such a handle does at its time; `asyncio.Handle` does the same for nobody's host."""
    host: Host = self.host
    if not host.alive:
        return
    if host.paused:
        # Queued again later, not run at once: what is held has an order.
        host.hold(partial(self._loop.again, self))
        return
    try:
        self._context.run(self._callback, *self._args)
    except Killed:
        pass  # it died in the middle of this
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001 - as at any callback, the loop's keeper is told
        told = {"message": f"Exception in callback {self!r}", "exception": error}
        self._loop.call_exception_handler(told)


class HandleOfHost(asyncio.Handle):
    """One that is due now."""

    __slots__ = ("host",)
    host: Host
    _run = _run_of_host


class TimerOfHost(asyncio.TimerHandle):
    """One that is due at a time."""

    __slots__ = ("host",)
    host: Host
    _run = _run_of_host
