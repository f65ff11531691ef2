"""What a journal entry can hold, and the entry itself."""

import msgspec

from cutover.decision.command import Command
from cutover.decision.kinds import Decision
from cutover.evidence.observation import Observation

Fact = Observation | Command | Decision


class Entry(msgspec.Struct, frozen=True):
    """A fact with its number and its stamps.

    Attributes:
        seq: 1, 2, 3, …
        at_ms: observed milliseconds of the run; never goes back, downtime is not in it.
        wall_ms: milliseconds since the epoch, for people.
        fact: what was seen, ordered or decided.
    """

    seq: int
    at_ms: int
    wall_ms: int
    fact: Fact
