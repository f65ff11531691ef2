"""What a conductor says while it works: decisions and evidence, one structured line each.

Readings that repeat all day are in the journal and not here.
"""

from collections.abc import Sequence
from typing import get_args

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


class Log:
    """Writes new entries to standard error."""

    def __init__(self, runbook: Runbook) -> None:
        self._log = structlog.get_logger().bind(runbook=runbook.name)

    def entries(self, entries: Sequence[Entry]) -> None:
        """Say what happened, in the order of the journal."""
        for entry in entries:
            if isinstance(entry.fact, _SAID):
                fields = msgspec.to_builtins(entry.fact)
                self._log.info(fields.pop("type"), seq=entry.seq, at_ms=entry.at_ms, **fields)
