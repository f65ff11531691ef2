"""Line 4, the deciding side: a rollback condition that holds is answered in the same instant.

How soon the fallback's table is then in force on the nodes is for the world's checkers to say.
"""

from cutover.decision.fact import Entry
from cutover.decision.kinds import AbortRun, RollBack
from cutover.decision.run import Phase, Run
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
from cutover.simulator.checkers.seen import Seen, not_ready
from cutover.simulator.checkers.streak import NEVER
from cutover.simulator.checkers.violation import Violation, never

SLICES = 360
"""The core may let a payment leave its window up to one such part of it late."""

_UNTRUSTED = (Verdict.MISSING, Verdict.INVALID)


def rest_04_rollback(runbook: Runbook, seen: Seen, run: Run, now_ms: int) -> None:
    """With the core at rest, no run goes on although a condition holds by the record."""
    if run.phase not in (Phase.RUNNING, Phase.CHECKING):
        return
    for condition in runbook.conditions:
        if now_ms < seen.disarmed.get(condition.name, NEVER):
            continue
        if why := _holds(runbook, seen, condition, now_ms):
            forced = seen.candidate.verdict in _UNTRUSTED or not runbook.stages[run.stage].armed
            if forced or _way_back(runbook, seen, now_ms):
                raise Violation(4, f"{condition.name} is not answered: {why}")


def check_04_rollback(runbook: Runbook, seen: Seen, before: Run, entry: Entry, after: Run) -> None:
    """The table of a rollback gives everything back, and nothing is given back without a reason."""
    move = entry.fact
    if not isinstance(move, RollBack | AbortRun):
        return
    if seen.table is not None:
        kept = [i for i, route in seen.table.routes.items() if route.candidate_bp]
        never(4, bool(kept), f"{type(move).__name__} leaves {kept} on {runbook.candidate}")
    for condition in runbook.conditions:
        if condition.name == move.rule:
            off = entry.at_ms < seen.disarmed.get(move.rule, NEVER)
            never(4, off, f"{type(move).__name__} by {move.rule}, which is disarmed")
            held = _may_hold(runbook, seen, before, condition, entry.at_ms)
            never(4, not held, f"{type(move).__name__} by {move.rule}, which does not hold")


def _may_hold(runbook: Runbook, seen: Seen, before: Run, condition: Condition, now_ms: int) -> bool:
    """Whether a condition can hold by the record; for payments the record is only a bound."""
    if isinstance(condition, PaymentsFailed):
        if before.unaccounted:
            return True  # each of them counts as failed, and the record knows nothing of them
        late = condition.window_ms + condition.window_ms // SLICES + 1
        return any(p[2] for p in seen.payments if now_ms - p[0] < late)
    return bool(_holds(runbook, seen, condition, now_ms))


def _way_back(runbook: Runbook, seen: Seen, now_ms: int) -> bool:
    """Whether the fallback is well enough to go back to."""
    streak, limit = seen.streak(runbook.fallback), not_ready(runbook).longer_than_ms
    broken = streak.bad_since != NEVER and now_ms - streak.bad_since >= limit
    return not (streak.sick or broken)


def _holds(runbook: Runbook, seen: Seen, condition: Condition, now_ms: int) -> str:
    """Why a condition holds by the record; empty when it does not, or asks for less."""
    match condition:
        case NotReady():
            bad = seen.streak(runbook.candidate).lasted()
            return f"non-200 for {bad} ms" if bad > condition.longer_than_ms else ""
        case CanaryFailed():
            waits = seen.canary_shared and condition.shared_cause is SharedCause.HOLD
            row = seen.canary_row
            return f"{row} failed in a row" if row >= condition.runs and not waits else ""
        case PaymentsFailed():
            return _payments(seen, condition, now_ms)
        case AttestationLost():
            if seen.candidate.verdict in _UNTRUSTED:
                return str(seen.candidate.verdict)
            age = now_ms - seen.attested_at
            over = age > condition.max_age_ms or now_ms > seen.attested_until
            return f"last attested {age} ms ago" if seen.attested_at != NEVER and over else ""


def _payments(seen: Seen, rule: PaymentsFailed, now_ms: int) -> str:
    """Failed ones of the window against settled ones of the longest window that is allowed."""
    if seen.payment_failed_at == NEVER or now_ms - seen.payment_failed_at >= rule.window_ms:
        return ""  # the common case, without adding up anything
    late = rule.window_ms + rule.window_ms // SLICES + 1
    inside = [p for p in seen.payments if now_ms - p[0] < rule.window_ms]
    failed = sum(p[2] for p in inside)
    most = sum(p[1] for p in seen.payments if now_ms - p[0] < late)
    low = sum(p[1] for p in inside) < rule.min_settled and rule.low_sample is LowSample.REPIN
    if low or 100 * failed <= rule.percent * most:
        return ""
    return f"{failed} of at most {most} payments failed"
