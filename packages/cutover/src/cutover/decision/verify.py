"""Verify, switch, verify again: when a look at the candidate is wanted beyond the steady ones.

A promotion rests on a verdict that is young, not merely one that still counts: what was true ten
minutes ago opened the gate, and a look taken now decides. With the new table in force another look
is taken at once, and until it is acceptable no soak counts. Rollbacks and holds wait for neither.
"""

from cutover.decision.blockers import blockers
from cutover.decision.gates import GateFinding, GateState, judge_gates
from cutover.decision.promotion import Promotion, next_promotion
from cutover.decision.run import NEVER, Run
from cutover.decision.split import table_share_bp
from cutover.decision.words import span
from cutover.runbook.document import Runbook
from cutover.runbook.intent import Intent


def gates_of(runbook: Runbook, run: Run, now_ms: int, step: Promotion) -> tuple[GateFinding, ...]:
    """The gates that a step must pass, judged.

    Before the last checks, and before the end, that is attestation alone: nothing rises there.
    """
    if step.kind in ("stage", "unlock"):
        return judge_gates(runbook, run, now_ms, money=step.money)
    money = table_share_bp(runbook, run, Intent.PAY) > 0
    gates = judge_gates(runbook, run, now_ms, money=money)
    return tuple(gate for gate in gates if gate.gate == "attestation")


def too_old(runbook: Runbook, run: Run, now_ms: int) -> str:
    """Why the newest verdict is too old to promote on; empty when it is young enough."""
    asked_at = run.plane(runbook.candidate).asked_at
    if asked_at == NEVER:
        return "no verdict yet"
    age, limit = now_ms - asked_at, runbook.attestation_gate().promote_age_ms
    if age <= limit:
        return ""
    return f"the newest verdict was asked for {span(age)} ago, at most {span(limit)} count here"


def look_wanted(runbook: Runbook, run: Run, now_ms: int) -> str:
    """What a look at the candidate is wanted for now; empty when the steady ones are enough.

    One look for each occasion: what it does not settle, the steady ones will.
    """
    if run.awaited:
        return f"after:{run.awaited}" if _in_force_unasked(runbook, run) else ""
    step = next_promotion(runbook, run)
    if not too_old(runbook, run, now_ms) or blockers(runbook, run, now_ms, step):
        return ""
    shut = [g for g in gates_of(runbook, run, now_ms, step) if not _may_open(g)]
    return "" if shut else f"promote:{_name(step)}"


def _in_force_unasked(runbook: Runbook, run: Run) -> bool:
    """Whether the awaited table is in force, and no verdict since then was asked for since then."""
    view = run.plane(runbook.candidate)
    later = view.verdict_seq > run.awaited_seq and view.asked_at >= run.awaited_from
    return run.awaited_from != NEVER and not later


def _may_open(gate: GateFinding) -> bool:
    """Whether a gate is open, or a look may open it."""
    unseen = gate.gate == "attestation" and gate.state is GateState.UNKNOWN
    return unseen or gate.state is GateState.OPEN


def _name(step: Promotion) -> str:
    match step.kind:
        case "stage":
            return step.stage
        case "unlock":
            return str(step.intent)
        case "checks" | "complete":
            return step.kind
