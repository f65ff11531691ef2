"""What happened in a simulation, line by line: the same seed gives the same bytes.

A line is JSON with the simulated time, who, what and details. Nothing in it depends on the machine:
no path, no address, no real time, no order of a set.
"""

import hashlib
from collections import deque
from typing import IO, Any, Final

import msgspec

LINES_KEPT: Final = 60
"""The last lines, for whoever asks what led to a failure."""

_ENCODER: Final = msgspec.json.Encoder(order="deterministic")


class Trace:
    """Collects lines.

    Args:
        output: where the whole trace is written; None for its digest alone.
    """

    def __init__(self, output: IO[bytes] | None = None) -> None:
        self.lines = 0
        self.last: deque[bytes] = deque(maxlen=LINES_KEPT)
        self._digest = hashlib.sha256()
        self._output = output

    def say(self, at_us: int, who: str, what: str, detail: Any = None) -> None:
        """Add a line.

        Args:
            at_us: simulated microseconds.
            who: the host or part of the world.
            what: happened.
            detail: anything that msgspec can encode.
        """
        line = _ENCODER.encode([at_us, who, what, detail]) + b"\n"
        self.lines += 1
        self.last.append(line)
        self._digest.update(line)
        if self._output is not None:
            self._output.write(line)

    def digest(self) -> str:
        """SHA-256 of all lines so far, in hex."""
        return self._digest.hexdigest()
