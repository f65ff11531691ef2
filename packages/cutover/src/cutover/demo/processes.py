"""Child processes of a demo: started with a log each, always ended, never orphaned silently."""

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cutover.clock import SystemClock, pause
from cutover.errors import CutoverError

LOOK_SECONDS = 0.05
STOP_SECONDS = 12.0
TAIL_BYTES = 2_000


PR_SET_PDEATHSIG = 1


def _end_with_parent() -> None:
    """Ask the kernel to end this child when the demo dies, even by SIGKILL."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class DemoError(CutoverError):
    """The demo's world could not be set up; the message holds the end of the log."""


class Processes:
    """Named children of one demo.

    Args:
        logs: directory for one log file a name.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._clock = SystemClock()

    def start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        """Start a child; its output goes to `logs/NAME.log`."""
        with (self._logs / f"{name}.log").open("ab") as log:
            self._children[name] = subprocess.Popen(  # noqa: S603 - our own programs
                list(command),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - no threads here, and the demo may be killed
            )

    def kill(self, name: str) -> None:
        """End a child with SIGKILL, as a crash would."""
        child = self._children[name]
        child.kill()
        child.wait()

    def stop(self, name: str) -> int:
        """End a child with SIGTERM and return its exit code; SIGKILL if it does not listen."""
        child = self._children.pop(name)
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        return child.returncode

    def stop_all(self) -> None:
        """End every child, the latest first."""
        for name in reversed(list(self._children)):
            self.stop(name)

    def wait_end(self, name: str, seconds: float) -> None:
        """Wait for a child that ends by itself.

        Raises:
            DemoError: it does not.
        """
        try:
            self._children[name].wait(seconds)
        except subprocess.TimeoutExpired as error:
            text = f"{name} did not end within {seconds:g} s; it says:\n{self._tail(name)}"
            raise DemoError(text) from error

    def alive(self, name: str) -> bool:
        """Whether a child still runs."""
        return self._children[name].poll() is None

    def wait(self, name: str, what: str, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until `ready`.

        Raises:
            DemoError: the child ended, or the time is over.
        """
        until = self._clock.monotonic_ms() + int(seconds * 1000)
        while not ready():
            if not self.alive(name):
                raise DemoError(f"{name} ended before {what}; its log ends:\n{self._tail(name)}")
            if self._clock.monotonic_ms() > until:
                raise DemoError(f"no {what} within {seconds:g} s; {name} says:\n{self._tail(name)}")
            pause(LOOK_SECONDS)

    def _tail(self, name: str) -> str:
        text = (self._logs / f"{name}.log").read_bytes()[-TAIL_BYTES:]
        return text.decode(errors="replace").strip() or "(nothing)"
