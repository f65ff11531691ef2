"""Line 2: no promotion without young evidence of the candidate as it is now, for every gate."""

from cutover.decision.fact import Entry
from cutover.decision.kinds import BeginChecks, Complete, OpenStage, UnlockIntent
from cutover.decision.run import Run
from cutover.evidence.observation import Verdict
from cutover.runbook.document import Runbook
from cutover.runbook.gate import (
    AttestationGate,
    DependencyGate,
    LiveIntentGate,
    ReadinessGate,
)
from cutover.runbook.intent import RISK_OF, Intent, Risk
from cutover.simulator.checkers.seen import Seen, strong_enough
from cutover.simulator.checkers.streak import NEVER
from cutover.simulator.checkers.violation import Violation, never


def check_02_evidence(runbook: Runbook, seen: Seen, before: Run, entry: Entry, after: Run) -> None:
    """Each promotion stands on what was seen, by the record."""
    match entry.fact:
        case OpenStage() if seen.stage < 0:
            _prepared(runbook, seen)
        case OpenStage():
            money = _pay(runbook, seen.stage + 1) > _pay(runbook, seen.stage)
            _gates(runbook, seen, entry.at_ms, money=money)
        case UnlockIntent(intent=intent):
            _gates(runbook, seen, entry.at_ms, money=intent is Intent.PAY)
        case BeginChecks():
            _attested(runbook, seen, before, entry.at_ms)
        case Complete():
            _attested(runbook, seen, before, entry.at_ms)
            lacking = [c.name for c in runbook.post_checks if not seen.post_checks.get(c.name)]
            never(2, bool(lacking), f"complete without {', '.join(lacking)}")
        case _:
            pass


def _pay(runbook: Runbook, stage: int) -> int:
    return runbook.stages[stage].share_bp[Intent.PAY]


def _prepared(runbook: Runbook, seen: Seen) -> None:
    """Every precondition held, or nobody could judge it and a person said so."""
    for pre in runbook.preconditions:
        held = seen.preconditions.get(pre.check, False)
        fine = held is True or (held is None and pre.check in seen.waived)
        never(2, not fine, f"the first stage opened with {pre.check}: {held}")


def _gates(runbook: Runbook, seen: Seen, now: int, *, money: bool) -> None:
    mine = seen.candidate
    for gate in runbook.gates:
        match gate:
            case ReadinessGate():
                _young("readiness", mine.ready_at, now, gate.max_age_ms)
            case DependencyGate():
                _young("a canary", mine.canary_at, now, gate.max_age_ms)
            case LiveIntentGate():
                proves = runbook.attestation_gate().proves
                never(2, money and not proves, "pay was moved on reported evidence")
                for intent in gate.intents:
                    if RISK_OF[intent] is Risk.MONEY and not proves:
                        continue  # nothing is paid by a plane that has proved nothing
                    at = mine.live_at.get(intent, NEVER)
                    _young(f"live {intent}", at, now, gate.max_age_ms)
            case AttestationGate():
                _verified(runbook, seen, now)
                needed = gate.money_evidence if money else gate.evidence
                weak = not strong_enough(mine.evidence, needed)
                never(2, weak, f"promoted on {mine.evidence} evidence, {needed} is asked for")


def _attested(runbook: Runbook, seen: Seen, before: Run, now: int) -> None:
    _verified(runbook, seen, now)
    never(2, bool(before.closed), f"ended while money is refused on {before.closed}")


def _verified(runbook: Runbook, seen: Seen, now: int) -> None:
    mine, gate = seen.candidate, runbook.attestation_gate()
    never(2, mine.verdict is not Verdict.VERIFIED, f"promoted while attestation is {mine.verdict}")
    never(2, now > mine.verdict_until, "promoted on a verdict that has run out")
    _young("a verdict", mine.asked_at, now, gate.promote_age_ms)
    never(2, gate.proves and not mine.key, "promoted with no TLS key that has proved itself")


def _young(what: str, at: int, now: int, max_age_ms: int) -> None:
    if at == NEVER:
        raise Violation(2, f"promoted without {what}")
    never(2, now - at > max_age_ms, f"promoted on {what} that is {now - at} ms old")
