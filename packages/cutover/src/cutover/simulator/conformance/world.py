"""A world in virtual time around the pure core.

Probes at the runbook's cadence, gateway nodes that adopt tables and count, live intents and checks
that are carried out when wanted. All is steady and healthy until a scenario says otherwise.
"""

import copy
import heapq
from collections.abc import Callable, Iterable
from typing import Final, Self

from cutover.decision.run import TERMINAL, Run
from cutover.decision.step import table_for
from cutover.decision.wanted import wanted
from cutover.evidence.observation import GatewaySilent, PreconditionSeen, Verdict
from cutover.evidence.outcome import Outcome
from cutover.runbook.document import Runbook
from cutover.runbook.gate import Check, PostCheckName
from cutover.runbook.intent import LEADING, Intent
from cutover.runbook.stage import ALL_BP
from cutover.simulator.conformance import looks
from cutover.simulator.conformance.core import Core, Watcher
from cutover.simulator.conformance.errors import ScenarioError
from cutover.simulator.conformance.node import Node, Plane

GATHERS_MAX: Final = 12
"""Rounds of gathering in one instant; each makes at least one entry, or ends it."""

REPORT_MS: Final = 10_000
CONVERSATIONS: Final = {Intent.ANALYZE: 10, Intent.CREATE: 10, Intent.PAY: 10}
"""New conversations per intent and report, one request each."""

LOOKS: Final = ("reference", "fallback", "candidate", "canary", "attestation", "report")
"""What happens by itself, in the order in which it happens within one instant."""


class World(Core):
    """Planes, nodes and a core that watches them.

    Args:
        runbook: what was agreed.
        watch: looks on at every entry and every rest.
        step_ms: how often `/ready` is looked at; 0 for the runbook's own cadence.
    """

    def __init__(self, runbook: Runbook, watch: Watcher, step_ms: int = 0) -> None:
        super().__init__(runbook, watch)
        self.planes = {name: Plane() for name in runbook.planes}
        self.nodes = {"g1": Node("g1")}
        self.replaced: dict[str, Node] = {}
        self.conversations = dict(CONVERSATIONS)
        self.fails: dict[str, tuple[str, ...]] = {}  # checks that a plane's canary fails
        self.verdict: Verdict | None = Verdict.VERIFIED
        self.proof = looks.Proof(runbook.attestation_gate().money_evidence)
        self.reference_ok = True
        self.canary_paused = False
        self.canary_identity = ""  # of the candidate when a round begins; empty is not told
        self.live_ok: dict[Intent, bool | None] = {}
        self.live_done: list[Intent] = []
        self.looked: list[str] = []  # what the looks were for that were wanted
        self.paid: list[str] = []  # keys of payments, one for each time that one was asked for
        self.prepared: dict[Check, bool | None] = {}
        self.checked: dict[PostCheckName, bool | None] = {}
        self._every = _cadence(runbook, step_ms)
        self._queue = [(0, order, name) for order, name in enumerate(LOOKS)]
        self.follow()

    def twin(self) -> Self:
        """This world once more, at the runbook's own cadence from here on; they share nothing."""
        kept: dict[int, object] = {id(self.runbook): self.runbook, id(self.run): self.run}
        kept[id(self._rested)] = self._rested
        twin = copy.deepcopy(self, {**kept, id(self.entries): list(self.entries)})
        twin.slow_down()
        return twin

    def slow_down(self) -> None:
        """Look at the runbook's own cadence from here on."""
        every = self.runbook.timing.readiness_every_ms
        self._every |= dict.fromkeys(("reference", "fallback", "candidate"), every)

    # --- time -----------------------------------------------------------------------------------

    def advance(self, ms: int) -> None:
        """Let time pass, events at its very end included."""
        end = self.now + ms
        while self._queue and self._queue[0][0] <= end:
            self._next()
        self._pass(end)
        self.follow()

    def skip(self, ms: int) -> None:
        """Let time pass in which nothing at all is seen; what was due comes when it is over."""
        self._pass(self.now + ms)
        self._queue = [(max(at, self.now), n, name) for at, n, name in self._queue]
        heapq.heapify(self._queue)
        self.follow()

    def until(self, done: Callable[[Run], bool], within_ms: int) -> bool:
        """Go from event to event until something is so; False when it is not in time."""
        end = self.now + within_ms
        while not done(self.run):
            if self._queue[0][0] > end or self.run.phase in TERMINAL:
                return False
            self._next()
        return True

    def align(self, name: str) -> None:
        """Go on to just before the next event of a kind, so that the coming look is the first."""
        due = next(at for at, _, event in sorted(self._queue) if event == name)
        if due - 1 > self.now:
            self.advance(due - 1 - self.now)

    def _pass(self, at: int) -> None:
        self.wall += at - self.now
        self.now = at

    def _next(self) -> None:
        at, order, name = heapq.heappop(self._queue)
        self._pass(at)
        heapq.heappush(self._queue, (at + self._every[name], order, name))
        getattr(self, f"_{name}")()
        self.follow()

    def follow(self) -> None:
        """Come to rest, then obey: nodes take the table that is asked for at once, and say so."""
        super().follow()
        want = (max(1, self.run.term), self.run.generation)
        for node in list(self.nodes.values()):
            if node.adopt(want):
                self.submit(node.report())

    # --- what is looked at ----------------------------------------------------------------------

    def look(self, name: str) -> None:
        """One look at a plane's readiness."""
        if not self.planes[name].silent:
            self.submit(looks.readiness(name, self.planes[name]))

    def _reference(self) -> None:
        if not self.reference_ok:
            self.submit(looks.reference(ok=False))

    def see_reference(self) -> None:
        """One look at our own connectivity, as it is."""
        self.submit(looks.reference(ok=self.reference_ok))

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
        names, began = self.runbook.planes, {self.runbook.candidate: self.canary_identity}
        self.submit(looks.canary(names, self.fails, began, scheduled=scheduled))

    def _attestation(self) -> None:
        if self.verdict is not None:
            self.attest()

    def attest(self) -> None:
        """One look at what the candidate is.

        Raises:
            ScenarioError: it is scripted as silent.
        """
        verdict = self.verdict
        if verdict is None:
            raise ScenarioError("attestation is silent: there is no verdict to see")
        candidate = self.runbook.candidate
        self.submit(looks.attestation(candidate, verdict, self.proof))

    def _gather(self) -> None:
        """Carry out what the core wants to know now; it takes no time here."""
        want = wanted(self.runbook, self.run, self.now)
        for check in want.preconditions:
            self.submit(PreconditionSeen(check, self.prepared.get(check, True), looks.SAID))
        if want.attestation and self.verdict is not None:
            self.looked.append(want.attestation)
            self.attest()
        if want.live is not None:
            self._execute(want.live)
        for name in want.post_checks:
            ok = self.checked.get(name, True)
            self.paid += looks.paid_by_check(self.run, name)
            self.submit(looks.post_check(name, ok))

    def _execute(self, intent: Intent) -> None:
        """Execute a live intent; scripted as None, nobody can tell how it ended."""
        ok = self.live_ok.get(intent, True)
        seen, key = looks.live(self.runbook, self.run, intent, ok)
        self.live_done.append(intent)
        self.paid += [key] if intent is Intent.PAY else []
        self.submit(seen)

    # --- gateway --------------------------------------------------------------------------------

    def _report(self) -> None:
        self.report(list(self.nodes.values()))

    def report(self, nodes: Iterable[Node]) -> None:
        """Nodes count a little more traffic and tell of it; silent ones do not."""
        for node in nodes:
            if not node.silent:
                self._traffic(node)
                self.submit(node.report())

    def _traffic(self, node: Node) -> None:
        """New conversations, split as the table in force on the node says."""
        if not node.generation:
            return
        table = table_for(self.runbook, self.run)
        for intent in LEADING:
            route, g = table.routes[intent], node.generation
            for _ in range(self.conversations[intent]):
                share = ALL_BP if node.one_sided and route.candidate_bp else route.candidate_bp
                plane = self._side(node, intent, share)
                closed = plane in route.refuse_on
                node.add((g, intent, plane, Outcome.REFUSED if closed else Outcome.OK), 1)
                if not closed:
                    key = (g, intent, plane)
                    node.seen[key] = node.seen.get(key, 0) + 1

    def _side(self, node: Node, intent: Intent, share: int) -> str:
        """Where the next conversation goes so that the share is kept as closely as it can be."""
        fallback, candidate = self.runbook.planes
        there = node.seen.get((node.generation, intent, candidate), 0)
        total = there + node.seen.get((node.generation, intent, fallback), 0)
        return candidate if share and there * ALL_BP < share * (total + 1) else fallback

    def fall_silent(self, name: str) -> None:
        """A node's reports stop coming."""
        self.nodes[name].silent = True
        self.submit(GatewaySilent(name, "no report"))

    def reboot(self, name: str) -> None:
        """A gateway process ends and another begins with the table on its disk."""
        old = self.replaced[name] = self.nodes[name]
        boot = f"b{int(old.boot[1:]) + 1}"
        self.nodes[name] = Node(name, boot, old.term, old.generation)
        self.submit(self.nodes[name].report())


def _cadence(runbook: Runbook, step_ms: int) -> dict[str, int]:
    """How often each look comes, milliseconds."""
    timing = runbook.timing
    every = step_ms or timing.readiness_every_ms
    report = min(REPORT_MS, 2 * timing.readiness_every_ms)
    return {
        **dict.fromkeys(("reference", "fallback", "candidate"), every),
        "canary": timing.canary_every_ms,
        "attestation": timing.attestation_every_ms,
        "report": max(step_ms, timing.readiness_every_ms, report),
    }
