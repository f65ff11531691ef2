"""The event log: what was asked and done, an NDJSON line each (contract §5), and its way back.

The newest commands can be found again by their event's id, also after a restart, because the end of
the file is read at the start. A log that cannot be written costs the way back, never an answer.
"""

import json
import os
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent_runtime.log import logger
from agent_runtime.modes import Caller

FILE_NAME = "agent-events.ndjson"
FILE_BYTES_MAX = 16 * 1024 * 1024
TAIL_BYTES = 1024 * 1024
KEPT_MAX = 500
KEPT_SECONDS = 24 * 3600.0
_APPENDING = os.O_WRONLY | os.O_APPEND | os.O_CREAT


@dataclass(frozen=True)
class Command:
    """What somebody asked.

    Attributes:
        at: epoch seconds.
        payment_id: the payment that it made or found; empty for none.
    """

    event_id: str
    caller: Caller
    text: str
    at: float
    payment_id: str = ""


class EventLog:
    """Writes events and remembers commands.

    Args:
        directory: where the file is, and its predecessor of the same name with `.1`.
    """

    def __init__(self, directory: str) -> None:
        self.file = Path(directory) / FILE_NAME
        self._commands: OrderedDict[str, Command] = OrderedDict()
        for path in (self._older, self.file):
            for line in _tail(path):
                self._take(line)

    @property
    def _older(self) -> Path:
        return self.file.with_name(FILE_NAME + ".1")

    def record(self, kind: str, **members: Any) -> str:
        """Append one event; its id, 16 hex digits.

        `message_received` needs `channel`, `author` and `text`; `intent_executed` names the event
        it belongs to and its `paymentId`.
        """
        event_id = secrets.token_hex(8)
        now = datetime.now(UTC)
        line = {
            "timestamp": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "eventId": event_id,
            "type": kind,
            **members,
        }
        self._take(line)
        try:
            self._append(json.dumps(line, separators=(",", ":"), ensure_ascii=False) + "\n")
        except OSError as error:
            logger().error("event_log_not_written", error=type(error).__name__)
        return event_id

    def command(self, event_id: str) -> Command | None:
        """What was asked in an event of the last day, if it is among the newest."""
        found = self._commands.get(event_id)
        if found is None or datetime.now(UTC).timestamp() - found.at > KEPT_SECONDS:
            return None
        return found

    def _append(self, line: str) -> None:
        try:
            log = os.open(self.file, _APPENDING, 0o600)
        except FileNotFoundError:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            log = os.open(self.file, _APPENDING, 0o600)
        try:
            os.write(log, line.encode())  # in one piece: a reader never meets half a line
            full = os.lseek(log, 0, os.SEEK_CUR) > FILE_BYTES_MAX
        finally:
            os.close(log)
        if full:
            self.file.replace(self._older)

    def _take(self, line: dict[str, Any]) -> None:
        try:
            if line["type"] == "message_received":
                at = datetime.fromisoformat(line["timestamp"]).timestamp()
                caller = Caller(line["channel"], line["author"])
                command = Command(line["eventId"], caller, line["text"], at)
                self._commands[command.event_id] = command
            elif line["type"] == "intent_executed" and line["paymentId"]:
                asked = self._commands.get(line["of"])
                if asked is not None:
                    self._commands[asked.event_id] = Command(
                        asked.event_id, asked.caller, asked.text, asked.at, line["paymentId"]
                    )
        except (KeyError, TypeError, ValueError) as error:
            logger().warning("event_log_line", fault=type(error).__name__)
        while len(self._commands) > KEPT_MAX:
            self._commands.popitem(last=False)


def _tail(path: Path) -> list[dict[str, Any]]:
    """The newest whole lines of a file; none if there is no file."""
    try:
        with path.open("rb") as log:
            log.seek(0, 2)
            begin = max(0, log.tell() - TAIL_BYTES)
            log.seek(begin)
            lines = log.read().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        logger().warning("event_log_not_read", error=type(error).__name__)
        return []
    found = []
    for line in lines[1:] if begin else lines:
        try:
            found.append(json.loads(line))
        except ValueError:  # half a line, from a process that was killed while it wrote
            logger().warning("event_log_line", fault="no JSON")
    return [line for line in found if isinstance(line, dict)]
