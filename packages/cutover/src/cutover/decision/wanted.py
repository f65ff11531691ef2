"""What evidence the conductor should gather now, beyond the probes that always run."""

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from cutover.decision.blockers import blockers
from cutover.decision.gates import GateState, judge_gates, live_due
from cutover.decision.promotion import next_promotion
from cutover.decision.run import CheckView, Phase, Run
from cutover.decision.verify import look_wanted
from cutover.runbook.document import Runbook
from cutover.runbook.gate import Check, PostCheckName
from cutover.runbook.intent import RISK_OF, Intent, Risk


class Wanted(msgspec.Struct, frozen=True):
    """Evidence to gather; everything empty when the probes are enough.

    Attributes:
        preconditions: to look at.
        live: intent to execute on the candidate.
        attestation: what a look at the candidate is for: `promote:` or `after:` and a stage, an
            intent, `checks` or `complete`.
        post_checks: to carry out.
    """

    preconditions: tuple[Check, ...] = ()
    live: Intent | None = None
    attestation: str = ""
    post_checks: tuple[PostCheckName, ...] = ()


def wanted(runbook: Runbook, run: Run, now_ms: int) -> Wanted:
    """What should be gathered now.

    A live intent is executed only when all else is open: it costs money and quota, and its
    evidence should be young when the promotion is decided. A live payment also needs the
    attestation that money needs.
    """
    match run.phase:
        case Phase.PREPARING:
            asked = [(p.check, run.preconditions.get(p.check)) for p in runbook.preconditions]
            return Wanted(preconditions=_again(runbook, asked, now_ms))
        case Phase.CHECKING:
            look = look_wanted(runbook, run, now_ms)
            return Wanted(attestation=look, post_checks=_checks(runbook, run, now_ms))
        case Phase.RUNNING:
            look = look_wanted(runbook, run, now_ms)
            return Wanted(attestation=look, live=_live(runbook, run, now_ms))
        case _:
            return Wanted()


Name = TypeVar("Name", Check, PostCheckName)


def _again(
    runbook: Runbook, asked: Sequence[tuple[Name, CheckView | None]], now_ms: int
) -> tuple[Name, ...]:
    """What was never looked at, or did not hold and has rested for the live intents' pause."""
    rest = runbook.live_intent_gate().retry_ms
    return tuple(
        name
        for name, view in asked
        if view is None or (view.ok is not True and now_ms - view.at >= rest)
    )


def _checks(runbook: Runbook, run: Run, now_ms: int) -> tuple[PostCheckName, ...]:
    """Checks to carry out; the one that pays when nothing speaks against it, and only once.

    Whether a payment that did not convince is made again is for a person to say: `retry`.
    """
    receipt = PostCheckName.RECEIPT_TRANSACTION
    free = [(c.name, run.post_checks.get(c.name)) for c in runbook.post_checks if c.name != receipt]
    due = _again(runbook, free, now_ms)
    asked = any(c.name is receipt for c in runbook.post_checks)
    if not asked or receipt in run.post_checks or not _may_pay(runbook, run, now_ms):
        return due
    return (*due, receipt)


def _may_pay(runbook: Runbook, run: Run, now_ms: int) -> bool:
    """Whether only checks keep the run from its end, so that a check may move money."""
    stops = blockers(runbook, run, now_ms, next_promotion(runbook, run))
    if any(not reason.code.startswith("check:") for reason in stops.reasons):
        return False
    gates = judge_gates(runbook, run, now_ms, money=True)
    return all(g.state is GateState.OPEN for g in gates if g.gate == "attestation")


def _live(runbook: Runbook, run: Run, now_ms: int) -> Intent | None:
    step = next_promotion(runbook, run)
    if step.kind not in ("stage", "unlock") or blockers(runbook, run, now_ms, step):
        return None
    intent = live_due(runbook, run, now_ms)
    if intent is None:
        return None
    money = step.money or RISK_OF[intent] is Risk.MONEY
    gates = judge_gates(runbook, run, now_ms, money=money)
    shut = [g for g in gates if g.gate != "live_intents" and g.state is not GateState.OPEN]
    return None if shut else intent
