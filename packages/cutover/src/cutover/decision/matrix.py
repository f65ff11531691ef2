"""Both planes' health against risk: what may be asked of whom.

    fallback   candidate   low and state            money
    well       well        by the table             by the table
    well       tripped     all to the fallback      all to the fallback
    sick       well        by the table, no rise    refused where the fallback would answer
    sick       sick        by the table, no rise    refused everywhere
    sick       tripped     by the table, no rise    refused everywhere
    any        not trusted by its evidence          refused where the candidate would answer

A rollback is not carried out into a sick fallback, unless the candidate is not what it should be
(attestation): unavailable is better than untrusted. Sickness is latched and released only after
an equally long well streak, so nothing flips back and forth.
"""

from cutover.decision.attested import acceptable
from cutover.decision.deadline import until
from cutover.decision.rollback import Remedy, State, judge_conditions
from cutover.decision.run import NEVER, Phase, Run
from cutover.decision.split import returned, table_share_bp
from cutover.evidence.observation import Verdict
from cutover.runbook.document import Runbook
from cutover.runbook.intent import Intent
from cutover.runbook.rollback import NotReady


def sick_planes(runbook: Runbook, run: Run) -> tuple[str, ...]:
    """Planes that were not ready for too long and are not yet well again, fallback first."""
    return tuple(plane for plane in runbook.planes if run.plane(plane).sick)


def no_way_back(runbook: Runbook, run: Run, now_ms: int) -> bool:
    """Whether the fallback is broken: sick, or on its way there as long as the rule allows.

    Two planes that fail at the same instant must not be judged by whose look comes first.
    """
    view = run.plane(runbook.fallback)
    limit = next(c.longer_than_ms for c in runbook.conditions if isinstance(c, NotReady))
    return view.sick or (view.bad_since != NEVER and now_ms - view.bad_since >= limit)


def money_closed_on(runbook: Runbook, run: Run, now_ms: int) -> tuple[str, ...]:
    """Planes on which money must be refused now, fallback first.

    A sick candidate alone is left to the rollback; with a sick fallback there is no way back, so
    money is refused on both, and on the candidate until both are well.
    """
    if run.phase is Phase.ABORTING:
        return ()
    closed: tuple[str, ...] = (runbook.fallback,) if run.plane(runbook.fallback).sick else ()
    if not returned(run) and _money_unsafe(runbook, run, now_ms):
        closed += (runbook.candidate,)
    return closed


def _money_unsafe(runbook: Runbook, run: Run, now_ms: int) -> bool:
    """Whether the candidate must not be asked to pay, whatever the table says."""
    sick = sick_planes(runbook, run)
    if sick and (runbook.candidate in run.closed or len(sick) > 1):
        return True
    if runbook.fallback in sick and _gone(runbook, run, now_ms):
        return True
    return table_share_bp(runbook, run, Intent.PAY) > 0 and not trusted(runbook, run, now_ms)


def _gone(runbook: Runbook, run: Run, now_ms: int) -> bool:
    found = judge_conditions(runbook, run, now_ms)
    return any(f.state is State.TRIPPED and f.remedy is Remedy.ROLL_BACK for f in found)


def trusted(runbook: Runbook, run: Run, now_ms: int) -> bool:
    """Whether attestation allows money on the candidate now.

    Without a verifier's collateral the last trusted verdict counts until its age limit or its own
    deadline, unless one that says otherwise came after it: that ends it at once (`attested`),
    whatever follows.
    """
    view, needed = run.plane(runbook.candidate), runbook.attestation_gate().money_evidence
    if view.verdict is Verdict.VERIFIED and not acceptable(
        view.verdict, view.verdict_evidence, needed
    ):
        return False
    return view.trusted_at != NEVER and now_ms <= _trusted_until(runbook, run)


def _trusted_until(runbook: Runbook, run: Run) -> int:
    view = run.plane(runbook.candidate)
    return until(view.trusted_at, view.trusted_ends, runbook.attestation_gate().max_age_ms)


def money_grant_ms(runbook: Runbook, run: Run, now_ms: int) -> int:
    """How long whoever hears nothing more may go on sending payments to the candidate.

    Milliseconds from now: until the newest trusted verdict is too old or comes to its own deadline,
    0 when there is none that counts. The conductor closes money at the same moment; a gateway that
    is cut off from it must do so by itself.
    """
    if not trusted(runbook, run, now_ms):
        return 0
    return _trusted_until(runbook, run) - now_ms
