"""A plane and a gateway node of the scenario world: how they answer, and what they count."""

from dataclasses import dataclass, field
from typing import Final

from cutover.evidence.observation import GatewayReport
from cutover.evidence.outcome import Conversations, Count, Outcome
from cutover.runbook.intent import Intent

GENERATIONS_TOLD: Final = 4
"""A report repeats the counters of so many generations, as a gateway's does."""


@dataclass
class Plane:
    """How a plane answers probes.

    Attributes:
        status: of `/ready`; None for no answer.
        ready: its `ready` field, when the status is 200.
        health_ready: what `/health` says of readiness.
        silent: nobody looks at it.
    """

    status: int | None = 200
    ready: bool = True
    health_ready: bool = True
    silent: bool = False


@dataclass
class Node:
    """A gateway node with its cumulative counters.

    Attributes:
        refuses: why it refuses every new table; empty when it obeys.
        one_sided: it sends everybody to the candidate as soon as anybody may go there.
        stubborn: it takes no older table than the one it has.
    """

    name: str
    boot: str = "b1"
    term: int = 0
    generation: int = 0
    refused_generation: int = 0
    refuses: str = ""
    silent: bool = False
    keys_match: bool | None = True
    lost: int = 0
    in_flight: int = 0
    money_in_flight: int = 0
    one_sided: bool = False
    stubborn: bool = False
    counts: dict[tuple[int, Intent, str, Outcome], int] = field(default_factory=dict)
    seen: dict[tuple[int, Intent, str], int] = field(default_factory=dict)

    def add(self, key: tuple[int, Intent, str, Outcome], n: int) -> None:
        """Count requests that ended one way."""
        self.counts[key] = self.counts.get(key, 0) + n

    def report(self) -> GatewayReport:
        """What it tells the conductor now."""
        recent = sorted({g for g, *_ in self.counts})[-GENERATIONS_TOLD:]
        return GatewayReport(
            self.name, self.boot, self.term, self.generation, self.refused_generation,
            self.refuses if self.refused_generation else "", self.in_flight, self.lost,
            tuple(Count(*k, n) for k, n in self.counts.items() if k[0] in recent),
            tuple(Conversations(*k, n) for k, n in self.seen.items() if k[0] in recent),
            self.keys_match, self.money_in_flight,
        )  # fmt: skip

    def adopt(self, want: tuple[int, int]) -> bool:
        """Take or refuse the table of (term, generation); whether there is news to report."""
        if self.silent or (self.term, self.generation) == want:
            return False
        if self.stubborn and self.generation > want[1]:
            return False  # as every gateway does: never back to an older table
        if not self.refuses:
            self.term, self.generation = want
            self.refused_generation = 0
            return True
        if self.refused_generation == want[1]:
            return False
        self.refused_generation = want[1]
        return True
