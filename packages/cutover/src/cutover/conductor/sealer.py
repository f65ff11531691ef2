"""Seals a run in a process of its own: neither loop nor signal waits for millions of entries."""

import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from cutover.errors import CutoverError
from cutover.sealing import Answer, Order

PROGRAM: Final = (sys.executable, "-m", "cutover.sealing")
WORDS_MAX: Final = 500


class Sealer:
    """Makes the archive of a run; to be called from a thread, closed from anywhere.

    Args:
        order: makes what is to be sealed, anew each time: a token may have come meanwhile.
        program: that takes the order on its standard input.
    """

    def __init__(self, order: Callable[[], Order], program: Sequence[str] = PROGRAM) -> None:
        self._order = order
        self._program = program
        self._turn = threading.Lock()
        self._closed = False
        self._child: subprocess.Popen[bytes] | None = None

    def __call__(self) -> tuple[Path, str]:
        """Write and verify the archive; the file and the journal's head.

        Raises:
            CutoverError: it could not be made, does not verify, or this was closed.
        """
        order = self._order()
        with self._turn:
            if self._closed:
                raise CutoverError("the conductor stops: no archive is made now")
            child = self._child = self._start()
        said, cause = child.communicate(msgspec.json.encode(order))
        answer = _answer(said)
        if child.returncode != 0 or answer is None:
            tail = cause.decode(errors="replace").strip()[-WORDS_MAX:]
            raise CutoverError(f"sealing ended with {child.returncode}: {tail or 'no word'}")
        if answer.error:
            raise CutoverError(answer.error)
        return Path(order.target), answer.head

    def _start(self) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        return subprocess.Popen(  # noqa: S603 - our own interpreter, and nothing from outside
            self._program, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )

    def close(self) -> None:
        """End what is under way; half an archive is none, and none is left behind."""
        with self._turn:
            self._closed = True
            if self._child is not None and self._child.poll() is None:
                self._child.terminate()


def _answer(said: bytes) -> Answer | None:
    try:
        return msgspec.json.decode(said, type=Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
