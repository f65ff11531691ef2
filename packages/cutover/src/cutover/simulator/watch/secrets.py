"""Line 10: no secret in anything that is kept."""

from collections.abc import Sequence

import msgspec

from cutover.decision.fact import Entry
from cutover.simulator.checkers.violation import never


def check_silent(entries: Sequence[Entry], secrets: Sequence[bytes]) -> None:
    """No entry has a secret of the world in it.

    Raises:
        Violation: one has.
    """
    for entry in entries:
        said = msgspec.json.encode(entry.fact)
        told = [secret for secret in secrets if secret in said]
        never(10, bool(told), f"entry {entry.seq} tells {len(told)} secrets")
