"""Judges the acceptance gates on the candidate: open, closed or unknown, with reasons.

Unknown never opens. Every gate needs evidence that is young enough and about the candidate's
current identity; folding drops what is not (`signals`).
"""

from enum import StrEnum

import msgspec

from cutover.decision.attested import acceptable
from cutover.decision.run import NEVER, Run
from cutover.decision.words import span
from cutover.runbook.document import Runbook
from cutover.runbook.gate import (
    AttestationGate,
    DependencyGate,
    Evidence,
    Gate,
    LiveIntentGate,
    ReadinessGate,
)
from cutover.runbook.intent import RISK_OF, Intent, Risk


class GateState(StrEnum):
    """Whether exposure may rise, as far as this gate is concerned."""

    OPEN = "open"
    CLOSED = "closed"
    UNKNOWN = "unknown"


class GateFinding(msgspec.Struct, frozen=True):
    """One gate, judged."""

    gate: str
    state: GateState
    text: str
    evidence: tuple[int, ...]


GATE_NAMES = {
    ReadinessGate: "readiness",
    DependencyGate: "dependency",
    LiveIntentGate: "live_intents",
    AttestationGate: "attestation",
}


def judge_gates(runbook: Runbook, run: Run, now_ms: int, *, money: bool) -> tuple[GateFinding, ...]:
    """Judge every gate; `money` asks for the evidence that moving `pay` needs."""
    return tuple(_judge(runbook, run, gate, now_ms, money=money) for gate in runbook.gates)


def _judge(runbook: Runbook, run: Run, gate: Gate, now_ms: int, *, money: bool) -> GateFinding:
    match gate:
        case ReadinessGate():
            return _readiness(runbook, run, gate, now_ms)
        case DependencyGate():
            return _dependency(runbook, run, gate, now_ms)
        case LiveIntentGate():
            return _live(runbook, run, gate, now_ms)
        case AttestationGate():
            return _attestation(runbook, run, gate, now_ms, money=money)


def _aged(gate: str, what: str, at_ms: int, now_ms: int, max_age_ms: int) -> GateFinding | None:
    if at_ms == NEVER:
        return GateFinding(gate, GateState.UNKNOWN, f"{what} not seen yet", ())
    if now_ms - at_ms > max_age_ms:
        text = f"{what} is {span(now_ms - at_ms)} old, at most {span(max_age_ms)} counts"
        return GateFinding(gate, GateState.UNKNOWN, text, ())
    return None


def _readiness(runbook: Runbook, run: Run, gate: ReadinessGate, now_ms: int) -> GateFinding:
    view = run.plane(runbook.candidate)
    if old := _aged("readiness", "/ready", view.ready_at, now_ms, gate.max_age_ms):
        return old
    fine = view.status == 200 and view.ready is True and view.health_ready is True
    text = f"/ready {view.status} ready={view.ready}, /health readiness.ready={view.health_ready}"
    state = GateState.OPEN if fine else GateState.CLOSED
    return GateFinding("readiness", state, text, (view.ready_seq,))


def _dependency(runbook: Runbook, run: Run, gate: DependencyGate, now_ms: int) -> GateFinding:
    view = run.plane(runbook.candidate)
    if old := _aged("dependency", "a canary run", view.canary_at, now_ms, gate.max_age_ms):
        return old
    state = GateState.OPEN if view.canary_ok is True else GateState.CLOSED
    text = f"canary ok={view.canary_ok}: {view.canary_detail}"
    return GateFinding("dependency", state, text, (view.canary_seq,))


def live_intents(runbook: Runbook) -> tuple[Intent, ...]:
    """What is executed on the candidate before a promotion; nothing that pays without proof."""
    intents = runbook.live_intent_gate().intents
    if runbook.attestation_gate().proves:
        return intents
    return tuple(intent for intent in intents if RISK_OF[intent] is not Risk.MONEY)


def _live(runbook: Runbook, run: Run, gate: LiveIntentGate, now_ms: int) -> GateFinding:
    seqs, waiting, intents = [], [], live_intents(runbook)
    for intent in intents:
        view = run.live.get(intent)
        if view is None or (view.ok and now_ms - view.at > gate.max_age_ms):
            waiting.append(intent)
        elif not view.ok:
            text = f"{intent} failed {view.attempts} of {gate.attempts}: {'; '.join(view.reasons)}"
            return GateFinding("live_intents", GateState.CLOSED, text, (view.seq,))
        else:
            seqs.append(view.seq)
    if waiting:
        text = f"not yet executed for this promotion: {', '.join(waiting)}"
        return GateFinding("live_intents", GateState.UNKNOWN, text, tuple(seqs))
    text = "; ".join(f"{i}: {', '.join(run.live[i].reasons)}" for i in intents)
    return GateFinding("live_intents", GateState.OPEN, text, tuple(seqs))


def _attestation(
    runbook: Runbook, run: Run, gate: AttestationGate, now_ms: int, *, money: bool
) -> GateFinding:
    view = run.plane(runbook.candidate)
    if money and not gate.proves:
        text = f"pay never moves on {gate.evidence} evidence, which this runbook believes"
        return GateFinding("attestation", GateState.CLOSED, text, _seen(view.verdict_seq))
    if old := _aged("attestation", "a verdict", view.verdict_at, now_ms, gate.max_age_ms):
        return old
    assert view.verdict is not None  # noqa: S101 - a verdict's age implies a verdict
    if view.verdict_ends is not None and now_ms > view.verdict_ends:
        age, lasts = now_ms - view.verdict_at, view.verdict_ends - view.verdict_at
        text = f"a verdict is {span(age)} old, by its own deadline it counts for {span(lasts)}"
        return GateFinding("attestation", GateState.UNKNOWN, text, ())
    needed = gate.money_evidence if money else gate.evidence
    seen = f"{view.verdict} on {view.verdict_evidence} evidence"
    text = f"{seen} ({needed} is asked for){_because(view.verdict_reasons)}"
    good = acceptable(view.verdict, view.verdict_evidence, needed)
    if good and gate.proves and not view.tls_spki:
        text = f"{seen}, but no TLS key has proved itself: nothing could be sent to it"
        return GateFinding("attestation", GateState.CLOSED, text, (view.verdict_seq,))
    state = GateState.OPEN if good else GateState.CLOSED
    return GateFinding("attestation", state, text, (view.verdict_seq,))


def _seen(seq: int) -> tuple[int, ...]:
    return (seq,) if seq else ()


def _because(reasons: tuple[str, ...]) -> str:
    return f": {'; '.join(reasons)}" if reasons else ""


def live_due(runbook: Runbook, run: Run, now_ms: int) -> Intent | None:
    """The next live intent to execute for the coming promotion, None when none is due.

    A failed one is tried again after a pause, a limited number of times: each costs something.
    """
    gate = runbook.live_intent_gate()
    for intent in live_intents(runbook):
        view = run.live.get(intent)
        if view is None or (view.ok and now_ms - view.at > gate.max_age_ms):
            return intent
        if not view.ok:
            again = view.attempts < gate.attempts and now_ms - view.at >= gate.retry_ms
            return intent if again else None
    return None


def weak(runbook: Runbook, run: Run) -> bool:
    """Whether what is believed of the candidate now rests on its own word."""
    return run.plane(runbook.candidate).verdict_evidence is Evidence.REPORTED
