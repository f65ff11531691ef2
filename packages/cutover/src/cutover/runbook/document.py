"""The whole runbook as one frozen value; nothing in it is left to a hidden default.

`cutover.runbook.load` makes it from TOML text.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from cutover.runbook.gate import AttestationGate, Gate, LiveIntentGate, PostCheck, Precondition
from cutover.runbook.intent import Intent
from cutover.runbook.rollback import Condition
from cutover.runbook.stage import ALL_BP, Critical, Stage


@dataclass(frozen=True, slots=True)
class Timing:
    """How often is looked, and how long an answer may take; milliseconds."""

    readiness_every_ms: int
    readiness_deadline_ms: int
    canary_every_ms: int
    canary_deadline_ms: int
    attestation_every_ms: int
    attestation_deadline_ms: int
    live_intent_deadline_ms: int


@dataclass(frozen=True, slots=True)
class Split:
    """When the observed split counts as the table's split.

    Attributes:
        min_conversations: distinct conversations before a partial share can be judged.
        sigmas: half-width of the binomial band in standard deviations.
    """

    min_conversations: int
    sigmas: float


@dataclass(frozen=True, slots=True)
class Blind:
    """When missing signals stop a run from moving, and when a person is called.

    Attributes:
        after_ms: a signal older than this is no data.
        page_ms: blind for longer than this calls the operator.
    """

    after_ms: int
    page_ms: int


@dataclass(frozen=True, slots=True)
class ErrorBudget:
    """How much may fail on the candidate while the fallback is kept, in answers."""

    percent: int
    min_answers: int


@dataclass(frozen=True, slots=True)
class Runbook:
    """What was agreed.

    Attributes:
        name: short name, shown everywhere.
        text: the TOML as the operator wrote it; journaled and archived.
        rehearsal: only for planes on loopback; allows what production refuses.
        fallback: plane we come from.
        candidate: plane we go to.
        follows: for each minor intent the leading intent whose route it takes.
        timing: cadence and deadlines.
        preconditions: asked before the first stage.
        gates: asked at every promotion.
        stages: in order; the first exposes nobody.
        conditions: rollback conditions.
        critical: which errors restart a clean period.
        split: how the observed split is judged.
        blind: when there is no data.
        error_budget: judged at the end of the last stage.
        post_checks: confirmed before the run is complete.
        quiet_ms: no client request may have been seen for this long before exposure; 0 = not asked.
    """

    name: str
    text: str
    rehearsal: bool
    fallback: str
    candidate: str
    follows: Mapping[Intent, Intent]
    timing: Timing
    preconditions: tuple[Precondition, ...]
    gates: tuple[Gate, ...]
    stages: tuple[Stage, ...]
    conditions: tuple[Condition, ...]
    critical: frozenset[Critical]
    split: Split
    blind: Blind
    error_budget: ErrorBudget
    post_checks: tuple[PostCheck, ...]
    quiet_ms: int

    @property
    def planes(self) -> tuple[str, str]:
        """Both planes, fallback first."""
        return (self.fallback, self.candidate)

    def leading(self, intent: Intent) -> Intent:
        """The leading intent whose share `intent` takes."""
        return self.follows.get(intent, intent)

    def share_bp(self, stage: int, unlocked: frozenset[Intent], intent: Intent) -> int:
        """Candidate's share of `intent` in a stage, basis points, unlocks included."""
        lead = self.leading(intent)
        at = self.stages[stage]
        share = at.share_bp[lead]
        if lead in unlocked:
            share = max([share, *(u.share_bp for u in at.unlocks if u.intent == lead)])
        return min(ALL_BP, share)

    def attestation_gate(self) -> AttestationGate:
        """The attestation gate; the loader guarantees exactly one."""
        return next(gate for gate in self.gates if isinstance(gate, AttestationGate))

    def live_intent_gate(self) -> LiveIntentGate:
        """The live intent gate; the loader guarantees exactly one."""
        return next(gate for gate in self.gates if isinstance(gate, LiveIntentGate))
