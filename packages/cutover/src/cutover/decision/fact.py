"""What a journal entry can hold, and the entry itself.

A journal is long and held in memory by replay, reports and simulations, so no record in it is one
that the garbage collector walks (`gc=False`): frozen data of frozen data makes no ring.
"""

import msgspec

from cutover.decision.command import Command
from cutover.decision.kinds import Decision
from cutover.evidence.observation import Observation

Fact = Observation | Command | Decision


class Entry(msgspec.Struct, frozen=True, gc=False):
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
