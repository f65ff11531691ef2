"""What a conductor says while it works: decisions and evidence, one structured line each.

Readings that repeat all day are in the journal and not here. A thread of its own writes: standard
error may be a pipe that nobody reads, or none at all, and a rollback waits for neither. What could
not be written is counted and told once it can be.
"""

import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, get_args

import msgspec
import structlog

from cutover.decision.command import Command
from cutover.decision.fact import Entry
from cutover.decision.kinds import Decision
from cutover.evidence.observation import (
    GatewaySilent,
    LiveIntent,
    OrderRefused,
    PostCheckSeen,
    PreconditionSeen,
    Started,
    Stopped,
)
from cutover.runbook.document import Runbook

_SAID = (
    *get_args(Decision), *get_args(Command), LiveIntent, PreconditionSeen, PostCheckSeen,
    GatewaySilent, OrderRefused, Started, Stopped,
)  # fmt: skip


LINES_MAX: Final = 2_000
"""That wait to be written; more are counted and dropped."""


class _Writer:
    """Writes lines in their order, and never keeps anybody waiting."""

    def __init__(self) -> None:
        self._lines: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue(LINES_MAX)
        self._thread: threading.Thread | None = None
        self._dropped = 0

    def put(self, event: str, fields: dict[str, Any]) -> None:
        """Take a line."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="log", daemon=True)
            self._thread.start()
        try:
            self._lines.put_nowait((event, fields))
        except queue.Full:
            self._dropped += 1

    def _work(self) -> None:
        while True:
            event, fields = self._lines.get()
            try:
                structlog.get_logger().info(event, **fields)
                if dropped := self._dropped:
                    structlog.get_logger().warning("log_lines_dropped", lines=dropped)
                    self._dropped -= dropped
            except Exception:  # noqa: BLE001 - a log that fails has nowhere to say so but here
                self._dropped += 1
            finally:
                self._lines.task_done()

    def flush(self, seconds: float) -> None:
        """Wait until all is written, but not for ever."""
        with self._lines.all_tasks_done:
            self._lines.all_tasks_done.wait_for(lambda: not self._lines.unfinished_tasks, seconds)


_WRITER: Final = _Writer()
_hushed = False


def say(event: str, **fields: Any) -> None:
    """Write one line soon."""
    if not _hushed:
        _WRITER.put(event, fields)


@contextmanager
def hushed() -> Iterator[None]:
    """Say nothing inside the block: a simulation has a trace, and no thread."""
    global _hushed  # noqa: PLW0603 - the log is one for the process, as standard error is
    before, _hushed = _hushed, True
    try:
        yield
    finally:
        _hushed = before


def flush(seconds: float = 1.0) -> None:
    """Wait until what was said is written, at most so long."""
    _WRITER.flush(seconds)


class Log:
    """Writes new entries to standard error."""

    def __init__(self, runbook: Runbook) -> None:
        self._name = runbook.name

    def entries(self, entries: Sequence[Entry]) -> None:
        """Say what happened, in the order of the journal."""
        for entry in entries:
            if isinstance(entry.fact, _SAID):
                fields = msgspec.to_builtins(entry.fact)
                kind = fields.pop("type")
                say(kind, runbook=self._name, seq=entry.seq, at_ms=entry.at_ms, **fields)
