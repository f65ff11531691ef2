"""What was observed, ordered and decided, kept a second time and plainly.

The core is not judged by its own words: every checker compares what it did with this record. It
holds what the facts say, no more; where the core has finer rules, the record is the coarser bound.
"""

from collections import deque
from dataclasses import dataclass, field

from cutover.decision.command import (
    AbortOrder,
    DisarmOrder,
    ForgetOrder,
    HoldOrder,
    ResumeOrder,
    WaiveOrder,
)
from cutover.decision.fact import Entry
from cutover.decision.kinds import OpenStage, Retry, UnlockIntent
from cutover.decision.run import Run
from cutover.evidence.observation import (
    Attestation,
    CanaryRound,
    GatewayReport,
    GatewaySilent,
    LiveIntent,
    PostCheckSeen,
    PreconditionSeen,
    Readiness,
    Reference,
    Started,
    Verdict,
)
from cutover.evidence.outcome import SETTLED_FAILED, Count, Outcome
from cutover.routing.table import RoutingTable
from cutover.runbook.document import Runbook
from cutover.runbook.gate import Check, Evidence, PostCheckName
from cutover.runbook.intent import RISK_OF, Intent, Risk
from cutover.runbook.rollback import NotReady, PaymentsFailed
from cutover.runbook.stage import Critical
from cutover.simulator.checkers.soaked import BOOTS_KEPT, SoakBound
from cutover.simulator.checkers.streak import NEVER, Streak

GENERATIONS_COUNTED = 16
"""Outcomes of older tables are not payments of now."""

FAR = 1 << 62
"""A deadline that never comes."""


@dataclass(slots=True)
class Candidate:
    """What was seen of the candidate as it is now; another identity begins anew.

    Attributes:
        ready_at: newest look that found it ready in every respect; NEVER when the newest did not.
        canary_at: newest scheduled round, likewise.
        asked_at: when the evidence of the newest verdict was asked for; NEVER after a restart.
        verdict_until: last moment at which it says anything, by its own deadline.
        trusted_until: last moment at which the newest verdict that money may rest on does, by its
            own deadline or the runbook's age; NEVER when there is none.
        key: TLS key that it proved last; empty when none, or when it was refuted since; None while
            nothing was seen that tells.
        live_at: newest execution of each live intent that convinced, likewise.
    """

    ready_at: int = NEVER
    canary_at: int = NEVER
    verdict: Verdict | None = None
    evidence: Evidence = Evidence.REPORTED
    asked_at: int = NEVER
    verdict_until: int = NEVER
    trusted_until: int = NEVER
    identity: str = ""
    key: str | None = None
    live_at: dict[Intent, int] = field(default_factory=dict)


@dataclass(slots=True)
class Seen:
    """The record.

    Attributes:
        streaks: of each plane's `/ready`.
        canary_row: scheduled rounds that the candidate failed in a row.
        canary_shared: the newest of them failed alike on every plane.
        attested_at: newest verdict of attested hardware, whoever it was about.
        attested_until: last moment at which that says anything, by its own deadline.
        payments: settled and failed payments on the candidate, by the time they were told.
        payment_failed_at: when the newest failed one was told.
        nodes: gateways that have reported and serve.
        silent: those of them whose reports stopped.
        in_force: term and generation that each process of a node said last, by node.
        stage: as decided; -1 before the first.
        stage_generation: of the table with which it was opened.
        disarmed: rules that are switched off, and until when.
        table: that was last asked for.
        money_open: intents that it lets carry money to the candidate.
    """

    candidate: Candidate = field(default_factory=Candidate)
    soak: SoakBound = field(default_factory=SoakBound)
    streaks: dict[str, Streak] = field(default_factory=dict)
    reference_bad_at: int = NEVER
    canary_row: int = 0
    canary_shared: bool = False
    attested_at: int = NEVER
    attested_until: int = NEVER
    payments: deque[tuple[int, int, int]] = field(default_factory=deque)
    payment_failed_at: int = NEVER
    nodes: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    in_force: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)
    stage: int = -1
    stage_generation: int = 1
    unlocked: set[Intent] = field(default_factory=set)
    held: bool = False
    aborted: bool = False
    disarmed: dict[str, int] = field(default_factory=dict)
    waived: set[Check] = field(default_factory=set)
    preconditions: dict[Check, bool | None] = field(default_factory=dict)
    post_checks: dict[PostCheckName, bool] = field(default_factory=dict)
    term: int = 0
    table: RoutingTable | None = None
    money_open: tuple[Intent, ...] = ()

    def streak(self, plane: str) -> Streak:
        """Of one plane."""
        return self.streaks.setdefault(plane, Streak())

    def observe(self, runbook: Runbook, entry: Entry, generation: int) -> None:  # noqa: C901 - one case a kind
        """Take in what was seen or ordered; `generation` is of the table that was asked for."""
        match entry.fact:
            case Readiness() as fact:
                self._readiness(runbook, entry.at_ms, fact)
            case GatewayReport() as fact:
                self._report(runbook, entry.at_ms, fact, generation)
            case CanaryRound(scheduled=True) as fact:
                self._canary(runbook, entry.at_ms, fact)
            case Attestation(plane=runbook.candidate) as fact:
                self._attestation(runbook, entry.at_ms, fact)
            case LiveIntent(plane=runbook.candidate) as fact if self._here(fact.identity):
                self.candidate.live_at[fact.intent] = entry.at_ms if fact.ok else NEVER
            case Reference(ok=ok):
                self.reference_bad_at = NEVER if ok else entry.at_ms
            case GatewaySilent(node=node) if node in self.nodes:
                self.silent.add(node)
                self.in_force.pop(node, None)
            case PreconditionSeen(check=check, ok=held):
                self.preconditions[check] = held
            case PostCheckSeen(name=name, ok=held):
                self.post_checks[name] = held
            case Started(term=term):
                self._started(term)
            case _:
                self._ordered(entry)

    def decided(self, entry: Entry, after: Run) -> None:
        """Take in what was decided; called when the decision has been judged by this record."""
        match entry.fact:
            case OpenStage():
                self.stage, self.stage_generation = self.stage + 1, after.generation
                self.unlocked.clear()
                self.candidate.live_at.clear()
                self.soak.open()
            case UnlockIntent(intent=intent):
                self.unlocked.add(intent)
                self.candidate.live_at.clear()
            case Retry():
                self._again()
            case _:
                pass

    def _here(self, identity: str) -> bool:
        return identity in ("", self.candidate.identity)

    def _readiness(self, runbook: Runbook, at: int, fact: Readiness) -> None:
        ours = fact.plane == runbook.candidate
        recent = 2 * runbook.timing.readiness_every_ms
        no_route = self.reference_bad_at != NEVER and at - self.reference_bad_at <= recent
        if fact.status is None and no_route:
            self.soak.last_good = NEVER  # our own fault: it says nothing about a plane
            return
        bad, limit = fact.status != 200, not_ready(runbook).longer_than_ms
        self.streak(fact.plane).look(at, bad=bad, gap_ms=runbook.blind.after_ms, limit_ms=limit)
        if not ours:
            return
        fine = not bad and fact.ready is True and fact.health_ready is True
        self.candidate.ready_at = at if fine else NEVER
        self.soak.look(runbook, at, good=not bad and fact.ready is True)
        if bad:
            self.soak.critical(runbook, Critical.NOT_READY)

    def _canary(self, runbook: Runbook, at: int, fact: CanaryRound) -> None:
        failed = [frozenset(v.failed) for v in fact.verdicts if not v.ok]
        for verdict in fact.verdicts:
            if verdict.plane != runbook.candidate or not self._here(verdict.identity):
                continue
            self.candidate.canary_at = at if verdict.ok else NEVER
            self.canary_row = 0 if verdict.ok else self.canary_row + 1
            self.canary_shared = len(failed) > 1 and len(set(failed)) == 1
            stage = runbook.stages[self.stage] if self.stage >= 0 else None
            restarts = stage is not None and stage.soak.canary_runs > 0
            self.soak.round(ok=verdict.ok, restarts=restarts)
            if not verdict.ok:
                self.soak.critical(runbook, Critical.CANARY_FALSE)

    def _attestation(self, runbook: Runbook, at: int, fact: Attestation) -> None:
        gate = runbook.attestation_gate()
        if fact.identity and self.candidate.identity not in ("", fact.identity):
            self.candidate = Candidate(key="")
            self.soak.open()
        mine = self.candidate
        mine.identity = fact.identity or mine.identity
        mine.verdict, mine.evidence, mine.asked_at = fact.verdict, fact.evidence, at - fact.took_ms
        mine.verdict_until = FAR if fact.lasts_ms is None else at + fact.lasts_ms
        mine.key = _key(mine.key, fact)
        good = fact.verdict is Verdict.VERIFIED
        if good and gate.proves and fact.evidence is Evidence.VERIFIED:
            mine.trusted_until = min(at + gate.max_age_ms, mine.verdict_until)
        elif fact.verdict in (Verdict.DEGRADED, Verdict.MISSING, Verdict.INVALID):
            mine.trusted_until = NEVER  # whatever cannot be judged after it
        acceptable = good and strong_enough(fact.evidence, gate.evidence)
        if acceptable or fact.verdict is Verdict.DEGRADED:
            self.attested_at, self.attested_until = at, mine.verdict_until
        if not acceptable:
            self.soak.critical(runbook, Critical.ATTESTATION_LOST)

    def _report(self, runbook: Runbook, at: int, fact: GatewayReport, generation: int) -> None:
        self.silent.discard(fact.node)
        self.nodes.add(fact.node)
        said = self.in_force.setdefault(fact.node, {})
        said[fact.boot] = (fact.term, fact.generation)
        if len(said) > BOOTS_KEPT:
            del said[next(iter(said))]
        news = self.soak.report(runbook, fact, self.stage_generation, generation)
        young = [n for n in news if n[0].generation > generation - GENERATIONS_COUNTED]
        settled, failed = _settled(young)
        if settled:
            self.payments.append((at, settled, failed))
            self.payment_failed_at = at if failed else self.payment_failed_at
        kept = payments_failed(runbook).window_ms * 2
        while self.payments and at - self.payments[0][0] > kept:
            self.payments.popleft()

    def _started(self, term: int) -> None:
        """Nothing that was seen before counts as seen now, but rows and ages run on."""
        mine = self.candidate
        mine.ready_at = mine.canary_at = mine.asked_at = mine.trusted_until = NEVER
        mine.live_at.clear()
        self.in_force.clear()
        self.soak.last_good = self.reference_bad_at = NEVER
        for streak in self.streaks.values():
            streak.at = NEVER
        self.term = term

    def _ordered(self, entry: Entry) -> None:
        match entry.fact:
            case HoldOrder():
                self.held = True
            case ResumeOrder():
                self.held = False
            case AbortOrder():
                self.aborted = True
            case DisarmOrder(rule=rule, expires_ms=expires):
                self.disarmed[rule] = entry.at_ms + expires
            case WaiveOrder(check=check):
                self.waived.add(check)
            case ForgetOrder(node=node):
                self.silent.discard(node)
                self.nodes.discard(node)
                self.in_force.pop(node, None)
            case _:
                pass

    def _again(self) -> None:
        """The run begins with its first stage: conclusions about the candidate are gone."""
        self.stage, self.canary_row, self.attested_at, self.attested_until = -1, 0, NEVER, NEVER
        self.unlocked.clear()
        self.payments.clear()
        self.payment_failed_at = NEVER
        self.preconditions.clear()
        self.waived.clear()
        self.post_checks.clear()
        self.candidate = Candidate(identity=self.candidate.identity, key="")
        self.soak.open()
        for streak in self.streaks.values():
            streak.at = NEVER


def strong_enough(seen: Evidence, needed: Evidence) -> bool:
    """Whether evidence is at least as strong as asked for."""
    return needed is Evidence.REPORTED or seen is needed


def _key(before: str | None, fact: Attestation) -> str | None:
    """The TLS key that stands proved after a verdict."""
    if fact.verdict in (Verdict.MISSING, Verdict.INVALID):
        return ""
    proves = fact.verdict in (Verdict.VERIFIED, Verdict.DEGRADED)
    return fact.tls_spki if proves and fact.evidence is Evidence.VERIFIED else before


def not_ready(runbook: Runbook) -> NotReady:
    """The rule about `/ready`."""
    return next(c for c in runbook.conditions if isinstance(c, NotReady))


def payments_failed(runbook: Runbook) -> PaymentsFailed:
    """The rule about payments."""
    return next(c for c in runbook.conditions if isinstance(c, PaymentsFailed))


def _settled(news: list[tuple[Count, int]]) -> tuple[int, int]:
    """Settled payments, and those of them that failed or that nobody can vouch for."""
    money = [(count, added) for count, added in news if RISK_OF[count.intent] is Risk.MONEY]
    failed = sum(added for count, added in money if count.outcome in SETTLED_FAILED)
    return failed + sum(a for count, a in money if count.outcome is Outcome.OK), failed
