"""Judges the rollback conditions: what was seen against what the runbook allows.

A finding is clear, tripped or blind. Blind means that the rule lacks data: it neither passes nor
fires, it stops promotion and calls a person. Findings carry value, threshold and evidence, so
that `explain` can print them and an incident can cite them.
"""

from enum import StrEnum

import msgspec

from cutover.decision.deadline import until
from cutover.decision.run import NEVER, PlaneView, Run
from cutover.decision.signals import reference_bad
from cutover.decision.soak import unseen
from cutover.decision.words import span
from cutover.evidence.observation import Verdict
from cutover.runbook.document import Runbook
from cutover.runbook.rollback import (
    AttestationLost,
    CanaryFailed,
    Condition,
    LowSample,
    NotReady,
    PaymentsFailed,
    SharedCause,
)


class State(StrEnum):
    """What a rule says."""

    CLEAR = "clear"
    TRIPPED = "tripped"
    BLIND = "blind"
    DISARMED = "disarmed"


class Remedy(StrEnum):
    """What a tripped rule asks for."""

    ROLL_BACK = "roll_back"
    REPIN = "repin"
    HOLD = "hold"


class Finding(msgspec.Struct, frozen=True):
    """One rule, judged.

    Attributes:
        rule: the condition's name.
        value: what is seen, for people.
        threshold: what would trip it, for people.
        distance: how far from tripping: 0.0 nothing bad seen, 1.0 at the threshold.
        evidence: journal numbers.
    """

    rule: str
    state: State
    value: str
    threshold: str
    distance: float
    evidence: tuple[int, ...]
    remedy: Remedy = Remedy.ROLL_BACK


def judge_conditions(runbook: Runbook, run: Run, now_ms: int) -> tuple[Finding, ...]:
    """Judge every rollback condition on the candidate, in the runbook's order."""
    return tuple(_disarm(run, _judge(runbook, run, c, now_ms), now_ms) for c in runbook.conditions)


def _disarm(run: Run, finding: Finding, now_ms: int) -> Finding:
    order = run.disarmed.get(finding.rule)
    if order is None or now_ms >= order.until:
        return finding
    left = span(order.until - now_ms)
    value = f"{finding.value}; disarmed by {order.actor} for {left} more: {order.reason}"
    return msgspec.structs.replace(finding, state=State.DISARMED, value=value)


def _judge(runbook: Runbook, run: Run, condition: Condition, now_ms: int) -> Finding:
    match condition:
        case NotReady():
            return _not_ready(runbook, run, condition, now_ms)
        case CanaryFailed():
            return _canary(runbook, run, condition, now_ms)
        case PaymentsFailed():
            return _payments(run, condition, now_ms)
        case AttestationLost():
            return _attestation(runbook, run, condition, now_ms)


def _not_ready(runbook: Runbook, run: Run, rule: NotReady, now_ms: int) -> Finding:
    view = run.plane(runbook.candidate)
    bad = view.bad_at - view.bad_since if view.bad_since != NEVER else 0
    state = State.TRIPPED if bad > rule.longer_than_ms else State.CLEAR
    value = f"non-200 for {span(bad)} ({view.detail})" if view.bad_since != NEVER else "200"
    if state is State.CLEAR and reference_bad(runbook, run, now_ms):
        state, value = State.BLIND, f"our own reference probe fails: {run.reference_detail}"
    elif state is State.CLEAR and unseen(runbook, view, now_ms):
        state, value = State.BLIND, _unseen("/ready", view.ready_at, now_ms)
    return Finding(
        rule.name, state, value, f"longer than {span(rule.longer_than_ms)}",
        bad / rule.longer_than_ms, _seqs(view.bad_seq or view.ready_seq),
    )  # fmt: skip


def _canary(runbook: Runbook, run: Run, rule: CanaryFailed, now_ms: int) -> Finding:
    view = run.plane(runbook.candidate)
    late = 2 * runbook.timing.canary_every_ms + runbook.timing.canary_deadline_ms
    state, remedy = State.CLEAR, Remedy.ROLL_BACK
    value = f"{view.canary_false} failed in a row"
    if view.canary_false >= rule.runs:
        state = State.TRIPPED
        value += f" ({view.canary_detail})"
        if view.canary_shared:
            value += f"; {runbook.fallback} fails the same checks"
            hold = rule.shared_cause is SharedCause.HOLD
            remedy = Remedy.HOLD if hold else Remedy.ROLL_BACK
    elif view.canary_at == NEVER or now_ms - view.canary_at > late:
        state, value = State.BLIND, _unseen("a canary run", view.canary_at, now_ms)
    evidence = _seqs(view.canary_first_seq if view.canary_false > 1 else 0, view.canary_seq)
    return Finding(
        rule.name, state, value, f"{rule.runs} in a row",
        view.canary_false / rule.runs, evidence, remedy,
    )  # fmt: skip


def _payments(run: Run, rule: PaymentsFailed, now_ms: int) -> Finding:
    settled = failed = 0
    seqs = []
    for part in run.payments:
        if now_ms - part.at < rule.window_ms:
            settled += part.settled
            failed += part.failed
            if part.failed:
                seqs.append(part.seq)
    enough = settled >= rule.min_settled
    tripped = settled > 0 and 100 * failed > rule.percent * settled
    low = rule.low_sample is LowSample.REPIN and not enough
    ratio = 100 * failed / (rule.percent * settled) if settled and rule.percent else float(failed)
    return Finding(
        rule.name,
        State.TRIPPED if tripped else State.CLEAR,
        f"{failed} of {settled} settled payments failed in {span(rule.window_ms)}",
        f"more than {rule.percent}% of at least {rule.min_settled}",
        ratio,
        _seqs(*seqs[-8:]),
        Remedy.REPIN if low else Remedy.ROLL_BACK,
    )


def _attestation(runbook: Runbook, run: Run, rule: AttestationLost, now_ms: int) -> Finding:
    """Judge attestation: a plane that says it is not attested trips at once, silence by age.

    Before any acceptable verdict there is nothing to lose: the rule is blind and the gate closed.
    A degraded plane is attested, on a platform that needs an update: the run holds, it stays.
    """
    view = run.plane(runbook.candidate)
    threshold = f"acceptable verdict older than {span(rule.max_age_ms)} or run out, or not attested"
    seqs = _seqs(view.good_seq, view.verdict_seq)
    if view.verdict in (Verdict.MISSING, Verdict.INVALID):
        value = f"{view.verdict}: {'; '.join(view.verdict_reasons)}"
        return Finding(rule.name, State.TRIPPED, value, threshold, 1.0, seqs)
    if view.attested_at == NEVER:
        text = "; ".join(view.verdict_reasons) or "no verdict"
        return Finding(
            rule.name, State.BLIND, f"never acceptable yet: {text}", threshold, 0.0, seqs
        )
    limit = until(view.attested_at, view.attested_ends, rule.max_age_ms) - view.attested_at
    age = now_ms - view.attested_at
    state = State.TRIPPED if age > limit else State.CLEAR
    value = f"{view.verdict}, last attested {span(age)} ago{_own_deadline(view, limit)}"
    return Finding(rule.name, state, value, threshold, age / max(1, limit), seqs)


def _own_deadline(view: PlaneView, limit_ms: int) -> str:
    """Said when the verdict itself runs out before the runbook's age does."""
    if view.attested_ends is None or view.attested_ends > view.attested_at + limit_ms:
        return ""
    return f", by its own deadline that counts for {span(limit_ms)} only"


def _unseen(what: str, at_ms: int, now_ms: int) -> str:
    return (
        f"{what} was never seen"
        if at_ms == NEVER
        else f"{what} not seen for {span(now_ms - at_ms)}"
    )


def _seqs(*numbers: int) -> tuple[int, ...]:
    return tuple(sorted({n for n in numbers if n > 0}))
