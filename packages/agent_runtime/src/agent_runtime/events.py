"""The event log: what was asked and done, an NDJSON line each (contract §5), and its way back.

The newest commands can be found again by their event's id, also after a restart, because the end of
the file is read at the start. A log that cannot be written costs the way back, never an answer.
"""

import secrets
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent_runtime.log import logger
from agent_runtime.modes import Caller
from agent_runtime.ndjson import LineLog

FILE_NAME = "agent-events.ndjson"
KEPT_MAX = 500
KEPT_SECONDS = 24 * 3600.0


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
        directory: where the file is, and its predecessor.
    """

    def __init__(self, directory: str) -> None:
        self._log = LineLog(Path(directory) / FILE_NAME)
        self._commands: OrderedDict[str, Command] = OrderedDict()
        for line in self._log.newest():
            self._take(line)

    @property
    def file(self) -> Path:
        """Where it is written."""
        return self._log.file

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
            self._log.append(line)
        except OSError as error:
            logger().error("event_log_not_written", error=type(error).__name__)
        return event_id

    def command(self, event_id: str) -> Command | None:
        """What was asked in an event of the last day, if it is among the newest."""
        found = self._commands.get(event_id)
        if found is None or datetime.now(UTC).timestamp() - found.at > KEPT_SECONDS:
            return None
        return found

    def _take(self, line: dict[str, Any]) -> None:
        try:
            if line["type"] == "message_received":
                at = datetime.fromisoformat(line["timestamp"]).timestamp()
                caller = Caller(line["channel"], line["author"])
                command = Command(line["eventId"], caller, line["text"], at)
                self._commands[command.event_id] = command
            elif line.get("paymentId") and "of" in line:
                asked = self._commands.get(line["of"])
                if asked is not None:
                    self._commands[asked.event_id] = Command(
                        asked.event_id, asked.caller, asked.text, asked.at, line["paymentId"]
                    )
        except (KeyError, TypeError, ValueError) as error:
            logger().warning("event_log_line", fault=type(error).__name__)
        while len(self._commands) > KEPT_MAX:
            self._commands.popitem(last=False)
