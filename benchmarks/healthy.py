"""The observations of a healthy run, whole and in order, as a conductor would journal them.

Both planes are looked at, canaries and verdicts are good, and gateway nodes report what their
clients did under the table in force. No chance: the same arguments make the same stream.
"""

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterator
from math import exp

from cutover.decision.course import Course
from cutover.decision.fact import Entry, Fact
from cutover.decision.run import TERMINAL, Run
from cutover.decision.step import table_for
from cutover.decision.wanted import wanted
from cutover.evidence.observation import (
    Adopted,
    Attestation,
    CanaryRound,
    CanaryVerdict,
    GatewayReport,
    LiveIntent,
    PostCheckSeen,
    PreconditionSeen,
    Readiness,
    Started,
    Verdict,
)
from cutover.evidence.outcome import Conversations, Count, Outcome
from cutover.routing.table import RoutingTable
from cutover.runbook.document import Runbook
from cutover.runbook.intent import LEADING, Intent
from cutover.runbook.stage import ALL_BP

RUN = "nine-days"
BUCKETS = 10_000
REQUESTS_A_MINUTE = 60
"""Of each leading intent, all nodes together."""

Stamped = tuple[int, Fact]


class Node:
    """A gateway node: adopts a table at once, counts, and reports what has changed since."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.generation = 0
        self._asked: Counter[Intent] = Counter()
        self._counts: Counter[tuple[int, Intent, str, Outcome]] = Counter()
        self._buckets: dict[tuple[int, Intent, str], int] = {}

    def report(self, table: RoutingTable, requests: int) -> GatewayReport:
        """What the node says after that many more requests of each leading intent."""
        if table.generation != self.generation:
            self.generation = table.generation
            self._asked.clear()
        before, buckets = self._counts.copy(), dict(self._buckets)
        for intent in LEADING:
            self._serve(table, intent, requests)
        changed = [(key, n) for key, n in self._counts.items() if n != before.get(key)]
        grown = [(key, n) for key, n in self._buckets.items() if n != buckets.get(key)]
        return GatewayReport(
            self.name, "boot", table.term, table.generation, 0, "", 2, 0,
            tuple(Count(*key, n) for key, n in changed),
            tuple(Conversations(*key, n) for key, n in grown), True, 0,
        )  # fmt: skip

    def _serve(self, table: RoutingTable, intent: Intent, requests: int) -> None:
        """Requests by the table's share; buckets of conversations fill as if drawn with return."""
        share, g = table.routes[intent].candidate_bp, table.generation
        self._asked[intent] += requests
        asked = self._asked[intent]
        for plane, bp in ((table.candidate, share), (table.fallback, ALL_BP - share)):
            routed = asked * bp // ALL_BP - (asked - requests) * bp // ALL_BP
            if not routed:
                continue
            declined = int(intent is Intent.PAY and asked % 20 < requests)
            self._counts[g, intent, plane, Outcome.OK] += routed - declined
            if declined:
                self._counts[g, intent, plane, Outcome.DECLINED] += declined
            filled = BUCKETS * (1 - exp(-asked / BUCKETS)) * bp / ALL_BP
            self._buckets[g, intent, plane] = round(filled)


class Healthy:
    """A world in which all is well, and the core that watches it.

    Args:
        runbook: what is executed.
        reports: of each node, a minute.
        nodes: gateway nodes.
    """

    def __init__(self, runbook: Runbook, reports: int, nodes: int) -> None:
        self.runbook = runbook
        self._course = Course(runbook, Run(id=RUN))
        self._nodes = [Node(f"g{n}") for n in range(1, nodes + 1)]
        self._requests = max(1, REQUESTS_A_MINUTE // (reports * nodes))
        self._now = 0
        timing = runbook.timing
        self._every = (
            (timing.readiness_every_ms, self._looks),
            (timing.canary_every_ms, self._canary),
            (timing.attestation_every_ms, self._attested),
            (60_000 // reports, self._reports),
        )

    def stream(self, upto_ms: int) -> Iterator[Stamped]:
        """Stamped observations until the run is over, or for so many observed milliseconds."""
        text = self.runbook.text
        sha = hashlib.sha256(text.encode()).hexdigest()
        yield from self._seen(Adopted(RUN, text, sha, {"cutover": "benchmark"}))
        yield from self._seen(Started(1, "conductor", 0))
        due = [(0, order) for order in range(len(self._every))]
        while self._course.run.phase not in TERMINAL and due[0][0] <= upto_ms:
            self._now, order = due[0]
            every, happens = self._every[order]
            heapq.heapreplace(due, (self._now + every, order))
            yield from happens()

    def _seen(self, fact: Fact) -> Iterator[Stamped]:
        yield self._now, fact
        generation = self._course.run.generation
        take(self._course, self._now, fact)
        if self._course.run.generation != generation or isinstance(fact, Started):
            yield from self._reports(0)

    def _looks(self) -> Iterator[Stamped]:
        for plane in self.runbook.planes:
            yield from self._seen(Readiness(plane, 200, True, True, "200 ready"))
        while not any(r.code == "soaking" for r in self._course.run.reasons):
            found = self._gathered()
            if not found:
                return
            for fact in found:
                yield from self._seen(fact)

    def _gathered(self) -> list[Fact]:
        """What the core wants to know now, found to be well."""
        want, said = wanted(self.runbook, self._course.run, self._now), ("well",)
        identity = self._course.run.plane(self.runbook.candidate).identity
        facts: list[Fact] = [PreconditionSeen(check, True, said) for check in want.preconditions]
        facts += [PostCheckSeen(name, True, said, {}, True) for name in want.post_checks]
        facts += [self._verdict()] if want.attestation else []
        if want.live is not None:
            facts.append(
                LiveIntent(self.runbook.candidate, want.live, True, said, {}, identity, True)
            )
        return facts

    def _canary(self) -> Iterator[Stamped]:
        verdicts = tuple(CanaryVerdict(plane, True, (), "ok") for plane in self.runbook.planes)
        yield from self._seen(CanaryRound(True, verdicts))

    def _attested(self) -> Iterator[Stamped]:
        yield from self._seen(self._verdict())

    def _verdict(self) -> Attestation:
        evidence, key = self.runbook.attestation_gate().money_evidence, "ab" * 32
        return Attestation(
            self.runbook.candidate, Verdict.VERIFIED, evidence, "compose-1", ("quote",),
            tls_spki=key,
        )  # fmt: skip

    def _reports(self, requests: int | None = None) -> Iterator[Stamped]:
        table = table_for(self.runbook, self._course.run)
        for node in self._nodes:
            more = self._requests if requests is None else requests
            yield from self._seen(node.report(table, more))


def take(course: Course, at_ms: int, fact: Fact) -> list[Fact]:
    """One observation, then all that follows from it; the decisions."""
    due, moves = course.take(Entry(course.run.seq + 1, at_ms, at_ms, fact)), []
    while due is not None:
        moves.append(due)
        due = course.take(Entry(course.run.seq + 1, at_ms, at_ms, due))
    return moves
