"""A world in virtual time that feeds the pure core exactly as a conductor would.

Probes at the runbook's cadence, gateway nodes that adopt tables and count, live intents and checks
that are carried out when wanted. Everything is steady and healthy until a scenario says otherwise.
Every fact passes through `World.submit`: entry, fold, then decisions until the core rests.
"""

import hashlib
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from cutover.decision.ahead import next_decision
from cutover.decision.command import Command
from cutover.decision.fact import Entry, Fact
from cutover.decision.fold import apply
from cutover.decision.keys import live_key, receipt_key
from cutover.decision.kinds import Decision, Hold
from cutover.decision.orders import refusal
from cutover.decision.run import TERMINAL, Run
from cutover.decision.step import table_for
from cutover.decision.wanted import wanted
from cutover.evidence.observation import (
    Adopted,
    Attestation,
    CanaryRound,
    CanaryVerdict,
    GatewayReport,
    GatewaySilent,
    LiveIntent,
    OrderRefused,
    PostCheckSeen,
    PreconditionSeen,
    Readiness,
    Reference,
    Snapshot,
    Started,
    Verdict,
)
from cutover.evidence.outcome import Conversations, Count, Outcome
from cutover.runbook.document import Runbook
from cutover.runbook.gate import Evidence, PostCheckName
from cutover.runbook.intent import LEADING, Intent
from cutover.runbook.stage import ALL_BP

MOVES_MAX = 8
GATHERS_MAX = 12
WALL_MS = 1_800_000_000_000
REPORT_MS = 10_000
CONVERSATIONS = {Intent.ANALYZE: 10, Intent.CREATE: 10, Intent.PAY: 10}
"""New conversations per intent and report, one request each."""


@dataclass
class Plane:
    """How a plane answers probes."""

    status: int | None = 200
    ready: bool = True
    health_ready: bool = True
    silent: bool = False


@dataclass
class Node:
    """A gateway node with its cumulative counters."""

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
        self.counts[key] = self.counts.get(key, 0) + n

    def report(self) -> GatewayReport:
        recent = sorted({g for g, *_ in self.counts})[-4:]
        return GatewayReport(
            self.name, self.boot, self.term, self.generation, self.refused_generation,
            self.refuses if self.refused_generation else "", self.in_flight, self.lost,
            tuple(Count(*k, n) for k, n in self.counts.items() if k[0] in recent),
            tuple(Conversations(*k, n) for k, n in self.seen.items() if k[0] in recent),
            self.keys_match, self.money_in_flight,
        )  # fmt: skip


Watch = Callable[[Runbook, Run, Entry, Run], None]


class World:
    """Planes, nodes and a core that watches them; `watch` sees every entry with before and after.

    Args:
        runbook: what was agreed.
        step_ms: how often `/ready` is looked at; the runbook's cadence unless a test is in a hurry.
        watch: called after every entry, with the state before and after.
    """

    def __init__(self, runbook: Runbook, watch: Watch, step_ms: int = 0) -> None:
        self.runbook, self.watch = runbook, watch
        self.now, self.wall = 0, WALL_MS
        self.run = Run(id="run-1")
        self.entries: list[Entry] = []
        self.planes = {name: Plane() for name in runbook.planes}
        self.nodes = {"g1": Node("g1")}
        self.replaced: dict[str, Node] = {}
        self.conversations = dict(CONVERSATIONS)
        self.fails: dict[str, tuple[str, ...]] = {}  # checks that a plane's canary fails
        self.verdict: Verdict | None = Verdict.VERIFIED
        self.evidence = runbook.attestation_gate().money_evidence
        self.identity = "compose-1"
        self.reference_ok = True
        self.canary_paused = False
        self.canary_identity = ""  # of the candidate when a round begins; empty is not told
        self.live_ok: dict[Intent, bool | None] = {}
        self.paid: list[str] = []  # keys of payments, one for each time that one was asked for
        self.live_done: list[Intent] = []
        self.prepared: dict[str, bool | None] = {}
        self.checked: dict[str, bool | None] = {}
        self.refused = ""
        self._queue: list[tuple[int, int, str]] = []
        timing = runbook.timing
        self._every = {
            "reference": step_ms or timing.readiness_every_ms,
            "fallback": step_ms or timing.readiness_every_ms,
            "candidate": step_ms or timing.readiness_every_ms,
            "canary": timing.canary_every_ms,
            "attestation": timing.attestation_every_ms,
            "report": max(
                step_ms, timing.readiness_every_ms, min(REPORT_MS, 2 * timing.readiness_every_ms)
            ),
        }
        text = runbook.text
        sha = hashlib.sha256(text.encode()).hexdigest()
        self.submit(Adopted("run-1", text, sha, {"cutover": "test"}))
        self.submit(Started(1, "conductor-1", 0))
        for order, name in enumerate(self._every):
            heapq.heappush(self._queue, (0, order, name))

    # --- time ---------------------------------------------------------------------------------

    def advance(self, ms: int) -> None:
        """Let time pass, events at its very end included."""
        end = self.now + ms
        while self._queue and self._queue[0][0] <= end:
            self._next()
        self.now, self.wall = end, self.wall + end - self.now
        self.follow()

    def until(self, done: Callable[[Run], bool], within_ms: int) -> bool:
        """Go from event to event until something is so; False when it is not in time."""
        end = self.now + within_ms
        while not done(self.run):
            if self._queue[0][0] > end or self.run.phase in TERMINAL:
                return False
            self._next()
        return True

    def _next(self) -> None:
        at, order, name = heapq.heappop(self._queue)
        self.wall += at - self.now
        self.now = at
        heapq.heappush(self._queue, (at + self._every[name], order, name))
        getattr(self, f"_{name}")()
        self.follow()

    def align(self, name: str) -> None:
        """Go on to just before the next event of a kind, so that the coming look is the first."""
        due = next(at for at, _, event in sorted(self._queue) if event == name)
        if due - 1 > self.now:
            self.advance(due - 1 - self.now)

    # --- what is looked at ----------------------------------------------------------------------

    def look(self, name: str) -> None:
        """One look at a plane's readiness."""
        plane = self.planes[name]
        if plane.silent:
            return
        status = plane.status
        fine = status == 200
        ready = plane.ready and fine if status is not None else None
        said = "ready" if fine else "no answer" if status is None else f"answered {status}"
        self.submit(Readiness(name, status, ready, plane.health_ready and fine, said))

    def _reference(self) -> None:
        if not self.reference_ok:
            self.submit(Reference(ok=False, detail="no route"))

    def _fallback(self) -> None:
        self.look(self.runbook.fallback)

    def _candidate(self) -> None:
        self.look(self.runbook.candidate)
        for _ in range(GATHERS_MAX):
            before = self.run.seq
            self._gather()
            if self.run.seq == before:
                break

    def _canary(self) -> None:
        if not self.canary_paused:
            self.canary()

    def canary(self, *, scheduled: bool = True) -> None:
        """One canary round on both planes."""
        verdicts = tuple(
            CanaryVerdict(
                name,
                name not in self.fails,
                self.fails.get(name, ()),
                "seen",
                self.canary_identity if name == self.runbook.candidate else "",
            )
            for name in self.runbook.planes
        )
        self.submit(CanaryRound(scheduled, verdicts))

    def _attestation(self) -> None:
        if self.verdict is not None:
            self.attest()

    def attest(self) -> None:
        """One look at what the candidate is."""
        assert self.verdict is not None
        missing = self.verdict is Verdict.MISSING
        self.submit(
            Attestation(
                self.runbook.candidate, self.verdict, self.evidence,
                "" if missing else self.identity, ("as scripted",),
            )
        )  # fmt: skip

    def _gather(self) -> None:
        """Carry out what the core wants to know now; it takes no time here."""
        want = wanted(self.runbook, self.run, self.now)
        for check in want.preconditions:
            ok = self.prepared.get(check, True)
            self.submit(PreconditionSeen(check, ok, ("as scripted",)))
        if want.live is not None:
            self.submit(self.execute(want.live))
        for name in want.post_checks:
            self.submit(self.check(name))

    def execute(self, intent: Intent) -> LiveIntent:
        """Execute a live intent; scripted as None, nobody can tell how it ended."""
        candidate, ok = self.runbook.candidate, self.live_ok.get(intent, True)
        identity = self.run.plane(candidate).identity
        self.live_done.append(intent)
        if intent is Intent.PAY:
            self.paid.append(live_key(self.run, intent, identity))
        said = ("as scripted",)
        return LiveIntent(candidate, intent, ok is True, said, {}, identity, ok is not None)

    def check(self, name: PostCheckName) -> PostCheckSeen:
        """Carry out a post-cutover check."""
        ok = self.checked.get(name, True)
        if name is PostCheckName.RECEIPT_TRANSACTION:
            self.paid.append(receipt_key(self.run))
        return PostCheckSeen(name, ok is True, ("as scripted",), {}, ok is not None)

    # --- gateway --------------------------------------------------------------------------------

    def _report(self) -> None:
        for node in list(self.nodes.values()):
            if node.silent:
                continue
            self._traffic(node)
            self.submit(node.report())

    def _traffic(self, node: Node) -> None:
        """New conversations, split as the table in force on the node says."""
        if not node.generation:
            return
        table = table_for(self.runbook, self.run)
        fallback, candidate = self.runbook.planes
        for intent in LEADING:
            route, g = table.routes[intent], node.generation
            for _ in range(self.conversations[intent]):
                there = node.seen.get((g, intent, candidate), 0)
                total = there + node.seen.get((g, intent, fallback), 0)
                share = ALL_BP if node.one_sided and route.candidate_bp else route.candidate_bp
                plane = candidate if there * ALL_BP < share * (total + 1) else fallback
                if not share:
                    plane = fallback
                closed = plane in route.refuse_on
                node.add((g, intent, plane, Outcome.REFUSED if closed else Outcome.OK), 1)
                if not closed:
                    key = (g, intent, plane)
                    node.seen[key] = node.seen.get(key, 0) + 1

    def _obey(self) -> None:
        """Publish the table that the state asks for; nodes take it at once and say so."""
        want = (max(1, self.run.term), self.run.generation)
        for node in list(self.nodes.values()):
            if node.silent or (node.term, node.generation) == want:
                continue
            if node.stubborn and node.generation > want[1]:
                continue  # as every gateway does: never back to an older table
            if node.refuses:
                if node.refused_generation == want[1]:
                    continue
                node.refused_generation = want[1]
            else:
                node.term, node.generation = want
                node.refused_generation = 0
            self.submit(node.report())

    def fall_silent(self, name: str) -> None:
        self.nodes[name].silent = True
        self.submit(GatewaySilent(name, "no report"))

    # --- the core -------------------------------------------------------------------------------

    def submit(self, fact: Fact) -> None:
        """Journal one fact and all that follows from it, then obey."""
        self._append(fact)
        self.follow()

    def follow(self) -> None:
        """Journal decisions until the core rests, then obey them."""
        for _ in range(MOVES_MAX):
            decision = next_decision(self.runbook, self.run, self.now)
            if decision is None:
                break
            self._append(decision)
            if isinstance(decision, Hold):
                break
        else:
            raise AssertionError("the core does not come to rest")
        self._obey()

    def _append(self, fact: Fact) -> None:
        entry = Entry(self.run.seq + 1, self.now, self.wall, fact)
        before, self.run = self.run, apply(self.runbook, self.run, entry)
        self.entries.append(entry)
        self.watch(self.runbook, before, entry, self.run)

    def order(self, command: Command) -> None:
        """An operator's order, through the same door as in a conductor."""
        self.refused = refusal(self.runbook, self.run, command)
        refused = OrderRefused(type(command).__name__, command.actor, self.refused)
        self.submit(refused if self.refused else command)

    def restart(self, downtime_ms: int) -> None:
        """The conductor dies and comes back; observed time stands still meanwhile."""
        self.wall += downtime_ms
        term = self.run.term + 1
        self.submit(Started(term, f"conductor-{term}", downtime_ms))

    def snapshot(self) -> None:
        """The state is stored beside the journal, and its digest bound."""
        state = msgspec.json.encode(self.run, order="deterministic")
        self.submit(Snapshot(self.run.seq, hashlib.sha256(state).hexdigest()))

    def reboot(self, name: str) -> None:
        """A gateway process ends and another begins with the table on its disk."""
        old = self.replaced[name] = self.nodes[name]
        boot = f"b{int(old.boot[1:]) + 1}"
        self.nodes[name] = Node(name, boot, old.term, old.generation)
        self.submit(self.nodes[name].report())

    def decisions(self) -> list[Decision]:
        """Every move so far; holds left out."""
        moves = Decision.__args__  # type: ignore[attr-defined]  # a union has arguments
        return [
            e.fact for e in self.entries if isinstance(e.fact, moves) and type(e.fact) is not Hold
        ]


def steady(runbook: Runbook, watch: Watch, step_ms: int = 0) -> World:
    """A healthy world at its beginning."""
    world = World(runbook, watch, step_ms)
    assert world.evidence in (Evidence.REPORTED, Evidence.VERIFIED)
    return world
