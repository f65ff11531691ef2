"""From a judged `Document` to the `Runbook` that the core executes: a change of words only."""

from types import MappingProxyType

from cutover.runbook import schema
from cutover.runbook.document import Blind, ErrorBudget, Runbook, Split, Timing
from cutover.runbook.gate import (
    AttestationGate,
    DependencyGate,
    Gate,
    LiveIntentGate,
    PostCheck,
    Precondition,
    ReadinessGate,
)
from cutover.runbook.intent import Intent
from cutover.runbook.rollback import (
    AttestationLost,
    CanaryFailed,
    Condition,
    NotReady,
    PaymentsFailed,
)
from cutover.runbook.stage import Soak, Stage, Unlock


def build(document: schema.Document, text: str) -> Runbook:
    """The runbook of a document without faults; `text` is what it was read from."""
    head = document.runbook
    return Runbook(
        name=head.name,
        text=text,
        rehearsal=head.rehearsal,
        fallback=head.fallback,
        candidate=head.candidate,
        follows=MappingProxyType({Intent(k): v for k, v in document.follows}),
        timing=_timing(document.timing),
        preconditions=tuple(Precondition(p.check, p.clause) for p in document.precondition),
        gates=tuple(_gate(part) for part in document.gate),
        stages=tuple(_stage(part) for part in document.stage),
        conditions=tuple(_condition(part) for part in document.rollback),
        critical=frozenset(document.critical.errors),
        split=Split(document.split.min_conversations, document.split.sigmas),
        blind=Blind(document.blind.after, document.blind.page),
        error_budget=ErrorBudget(document.error_budget.percent, document.error_budget.min_answers),
        post_checks=tuple(PostCheck(p.check, p.clause) for p in document.post_check),
        quiet_ms=head.quiet,
    )


def _timing(part: schema.TimingPart) -> Timing:
    return Timing(
        readiness_every_ms=part.readiness_every,
        readiness_deadline_ms=part.readiness_deadline,
        canary_every_ms=part.canary_every,
        canary_deadline_ms=part.canary_deadline,
        attestation_every_ms=part.attestation_every,
        attestation_deadline_ms=part.attestation_deadline,
        live_intent_deadline_ms=part.live_intent_deadline,
    )


def _gate(part: schema.GatePart) -> Gate:
    match part:
        case schema.ReadinessPart():
            return ReadinessGate(part.clause, part.max_age)
        case schema.DependencyPart():
            return DependencyGate(part.clause, part.max_age)
        case schema.LiveIntentPart():
            return LiveIntentGate(
                part.clause, part.intents, part.max_age, part.retry, part.attempts
            )
        case schema.AttestationPart():
            return AttestationGate(
                part.clause, part.max_age, part.promote_age, part.evidence, part.money_evidence
            )


def _stage(part: schema.StagePart) -> Stage:
    return Stage(
        name=part.name,
        clause=part.clause,
        share_bp=MappingProxyType({Intent(name): bp for name, bp in part.share}),
        soak=Soak(part.soak.observed, part.soak.canary_runs, part.soak.answers),
        unlocks=tuple(Unlock(u.intent, u.share, u.clean, u.answers, u.clause) for u in part.unlock),
        armed=part.armed,
        operator_promotes=part.operator_promotes,
    )


def _condition(part: schema.RollbackPart) -> Condition:
    match part:
        case schema.NotReadyPart():
            return NotReady(part.name, part.clause, part.longer_than)
        case schema.CanaryFailedPart():
            return CanaryFailed(part.name, part.clause, part.runs, part.shared_cause)
        case schema.PaymentsFailedPart():
            return PaymentsFailed(
                part.name, part.clause, part.percent, part.window, part.min_settled, part.low_sample
            )
        case schema.AttestationLostPart():
            return AttestationLost(part.name, part.clause, part.max_age)
