"""Tells a gateway's report again as it would have been under the other path's tables.

What is told again, and on what grounds:

- Clients ask what they asked. Only the plane that answers them differs.
- A node that had the record's table in force has the other path's table in force, from its next
  report on; one that had not, or refused it, is taken to have done the same to the other table.
- Where both tables give the candidate the same share of an intent, its requests stay what they
  were. A smaller share leaves that part of them on the candidate, in proportion. A larger one adds
  requests that end as those of this intent ended on the candidate so far; where none ever did,
  nobody knows how they end, and no end is told.
"""

from collections import Counter

import msgspec
from msgspec.structs import replace

from cutover.decision.run import NodeView
from cutover.decision.whatif.divide import Divider, Ends
from cutover.decision.whatif.lane import Lane, Shares
from cutover.decision.whatif.tally import NOT_ROUTED, Cell, Tally, read_cell
from cutover.evidence.observation import GatewayReport
from cutover.evidence.outcome import Conversations, Count, Outcome
from cutover.runbook.intent import Intent


class News(msgspec.Struct, frozen=True):
    """What a report told that was not known, as the record's fold counted it."""

    counts: dict[Cell, int] = {}
    conversations: dict[tuple[int, Intent, str], int] = {}


def news(before: NodeView | None, after: NodeView | None, boot: str) -> News:
    """What is new in a report.

    Args:
        before: the record's view of the node before the report.
        after: and with it.
        boot: of the process that reports.
    """
    if after is None or after.boot != boot:
        return News()  # a replaced process: its last words count for nothing
    if before is not None and before.boot != boot:
        if boot in before.retired:
            return News()  # it goes on; what it did meanwhile was not counted
        before = None
    counts, met = (before.counts, before.conversations) if before is not None else ({}, {})
    return News(
        {read_cell(key): n for key, n in _grown(counts, after.counts).items()},
        {_read_met(key): n for key, n in _grown(met, after.conversations).items()},
    )


def _grown(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {key: n - before.get(key, 0) for key, n in after.items() if n > before.get(key, 0)}


def _read_met(key: str) -> tuple[int, Intent, str]:
    generation, intent, plane = key.split("|")
    return int(generation), Intent(intent), plane


class Retelling:
    """Retells reports, one after the other.

    Attributes:
        untold: requests under tables that the record does not explain; they are left out.
        stubborn: reports of a node that had not the record's table in force.
    """

    def __init__(self, divider: Divider) -> None:
        self._divider = divider
        self.untold = 0
        self.stubborn = 0

    def tell(
        self, seen: GatewayReport, new: News, record: Lane, other: Lane, tally: Tally
    ) -> GatewayReport:
        """The report for the other path.

        Args:
            seen: as it stands in the record.
            new: what of it is new.
            record: with the report folded in.
            other: without it.
            tally: of the other path.
        """
        mine = other.run.nodes.get(seen.node)
        known = mine if mine is not None and mine.boot == seen.boot else None
        routed = other.run.generation
        if known is not None and known.generation in other.tables:
            routed = known.generation  # what reached the node before this report
        shares = other.tables[routed]
        behind = seen.generation != record.run.generation
        refused = seen.refused_generation == record.run.generation
        self.stubborn += behind or refused
        return replace(
            seen,
            generation=max(0, other.run.generation - behind),
            refused_generation=other.run.generation if refused else 0,
            counts=self._counts(new, record, routed, shares, known, tally),
            conversations=self._conversations(new, record, routed, shares, known),
            money_in_flight=seen.money_in_flight if shares[Intent.PAY] else 0,
        )

    def _counts(
        self, new: News, record: Lane, routed: int, shares: Shares, known: NodeView | None,
        tally: Tally,
    ) -> tuple[Count, ...]:  # fmt: skip
        found: dict[tuple[int, Intent], Ends] = {}
        told: Counter[tuple[Intent, str, Outcome]] = Counter()
        for cell, n in new.counts.items():
            if cell.outcome in NOT_ROUTED:
                told[cell.intent, cell.plane, cell.outcome] += n
            elif cell.generation in record.tables:
                ends = found.setdefault((cell.generation, cell.intent), Counter())
                ends[cell.plane, cell.outcome] += n
            else:
                self.untold += n
        for (generation, intent), ends in found.items():
            was, will = record.tables[generation][intent], shares[intent]
            divided = self._divider.requests(intent, ends, was, will, tally)
            for (plane, end), n in divided.items():
                told[intent, plane, end] += n
        before = known.counts if known is not None else {}
        return tuple(
            Count(routed, intent, plane, end, n + before.get(f"{routed}|{intent}|{plane}|{end}", 0))
            for (intent, plane, end), n in told.items()
            if n
        )

    def _conversations(
        self, new: News, record: Lane, routed: int, shares: Shares, known: NodeView | None
    ) -> tuple[Conversations, ...]:
        found: dict[tuple[int, Intent], Counter[str]] = {}
        for (generation, intent, plane), n in new.conversations.items():
            if generation in record.tables:
                found.setdefault((generation, intent), Counter())[plane] += n
        told: Counter[tuple[Intent, str]] = Counter()
        for (generation, intent), met in found.items():
            was, will = record.tables[generation][intent], shares[intent]
            for plane, n in self._divider.conversations(intent, met, was, will).items():
                told[intent, plane] += n
        before = known.conversations if known is not None else {}
        return tuple(
            Conversations(routed, intent, plane, n + before.get(f"{routed}|{intent}|{plane}", 0))
            for (intent, plane), n in told.items()
            if n
        )
