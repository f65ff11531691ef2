"""Ending a program when it is told to: SIGTERM and SIGINT become one event."""

import asyncio
import signal


def stop_event() -> asyncio.Event:
    """Return an event that is set by SIGTERM or SIGINT; call it inside the running loop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
