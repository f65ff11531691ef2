"""Runs a simulation to its end, and unwinds what it left standing."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from cutover.simulator.kernel.host import unwind
from cutover.simulator.kernel.loop import SimulationLoop

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a loop of its own.

    What still waits at its end belongs to killed or unfinished processes: nothing of it runs any
    more, and none of it is left to be found by the collector at a moment of its own choice.

    Raises:
        HangError: everything waits for what will never come; it is raised where `main` waits, so
            that it may catch it and say what had happened until then.
    """
    loop = SimulationLoop()
    try:
        asyncio.set_event_loop(loop)
        task = loop.create_task(main)
        loop.main = task
        return loop.run_until_complete(task)
    finally:
        for task in asyncio.all_tasks(loop):
            unwind(task)
        asyncio.set_event_loop(None)
        loop.close()
