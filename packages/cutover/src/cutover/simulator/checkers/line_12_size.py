"""Line 12: the state is as large after nine days as after one."""

from collections.abc import Sequence

import msgspec

from cutover.decision.fact import Entry
from cutover.decision.run import Run
from cutover.runbook.document import Runbook
from cutover.simulator.checkers.seen import Seen
from cutover.simulator.checkers.violation import Violation, never

SAMPLE = 512
RUN_BYTES_MAX = 200_000
"""Of the state as it is stored; a few nodes with the counters of their latest tables."""

WINDOW_SLICES_MAX = 362
NODES_MAX = 256
COUNTERS_MAX = 16 * 10 * 2 * 11
"""A node's: generations that are kept, intents, planes, outcomes."""


def check_12_size(runbook: Runbook, seen: Seen, before: Run, entry: Entry, after: Run) -> None:
    """Nothing in the state grows with running time."""
    if len(after.payments) > WINDOW_SLICES_MAX:
        raise Violation(12, f"the payment window has {len(after.payments)} slices")
    if entry.seq % SAMPLE:
        return
    never(12, len(after.nodes) > NODES_MAX, f"the state has {len(after.nodes)} nodes")
    for name, node in after.nodes.items():
        never(12, len(node.counts) > COUNTERS_MAX, f"{name} has {len(node.counts)} counters")
    _small(after)


def end_12_size(runbook: Runbook, entries: Sequence[Entry], run: Run) -> None:
    """Nor at the end."""
    _small(run)


def _small(run: Run) -> None:
    size = len(msgspec.json.encode(run))
    never(12, size > RUN_BYTES_MAX, f"the state has {size} bytes, at most {RUN_BYTES_MAX} are fine")
