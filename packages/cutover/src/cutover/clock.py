"""The only module that reads a clock.

The conductor stamps facts with two clocks: the wall clock (information for people) and the run's
*observed* clock, milliseconds of monotonic time during which a conductor was alive and looking.
Soak, streaks and windows are judged by the second one, so neither a jump of the wall clock nor
downtime moves them (design: lines never crossed, 11).
"""

import time
from typing import Protocol

_ELAPSED = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Clock(Protocol):
    """What the shells need to know about time."""

    def wall_ms(self) -> int:
        """Milliseconds since the epoch, as people read it; may jump."""
        ...

    def monotonic_ms(self) -> int:
        """Milliseconds since an arbitrary moment; never goes back within one process."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def wall_ms(self) -> int:
        """Milliseconds since the epoch, as people read it; may jump."""
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        """Milliseconds since an arbitrary moment; never goes back within one process."""
        return time.monotonic_ns() // 1_000_000


class ElapsedClock(SystemClock):
    """The machine's clocks; the monotonic one goes on while the machine sleeps (on Linux).

    For what must not last longer because nobody was awake. All processes of a machine read the
    same.
    """

    def monotonic_ms(self) -> int:
        """Milliseconds since the machine's start; never goes back."""
        return time.clock_gettime_ns(_ELAPSED) // 1_000_000


class ObservedClock:
    """Observed milliseconds of a run, continued over restarts from the journal's last stamp.

    Args:
        clock: where time comes from.
        resume_at_ms: the observed stamp of the journal's last entry, 0 for a new run.
    """

    def __init__(self, clock: Clock, resume_at_ms: int = 0) -> None:
        self._clock = clock
        self._origin = clock.monotonic_ms() - resume_at_ms

    def now_ms(self) -> int:
        """Observed milliseconds since the run began; downtime is not in it."""
        return self._clock.monotonic_ms() - self._origin

    def wall_ms(self) -> int:
        """The wall clock, for people."""
        return self._clock.wall_ms()


def suspended_ms() -> int:
    """Milliseconds that this machine has slept since its start; monotonic time is without them.

    Where the system cannot tell (it needs Linux) it is always 0.
    """
    which = getattr(time, "CLOCK_BOOTTIME", None)
    if which is None:
        return 0
    return (time.clock_gettime_ns(which) - time.monotonic_ns()) // 1_000_000


def pause(seconds: float) -> None:
    """Let time pass between two looks of an interactive command."""
    time.sleep(seconds)
