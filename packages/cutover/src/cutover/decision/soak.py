"""Soak is observed time: it grows only between two looks that both found everything clean.

Downtime, gaps, blindness, an unverified split or a sick plane add nothing. A declared critical
error restarts the clean period that an unlock waits for.
"""

from msgspec.structs import replace

from cutover.decision.deadline import until
from cutover.decision.fact import Entry
from cutover.decision.run import NEVER, Phase, PlaneView, Run, Soaked
from cutover.decision.split import in_force, judge_split
from cutover.evidence.observation import Verdict
from cutover.runbook.document import Runbook
from cutover.runbook.stage import Critical, Stage


def accrue(runbook: Runbook, run: Run, at_ms: int) -> Run:
    """Count the time since the last clean look, if this look is clean too."""
    soak = run.soak
    if unclean(runbook, run, at_ms):
        return run if soak.mark == NEVER else replace(run, soak=replace(soak, mark=NEVER))
    gap = at_ms - soak.mark
    counted = gap if soak.mark != NEVER and gap <= look_gap_ms(runbook) else 0
    clean = min(counted, at_ms - soak.critical_at) if soak.critical_at != NEVER else counted
    return replace(
        run,
        soak=replace(
            soak,
            mark=at_ms,
            observed_ms=soak.observed_ms + counted,
            clean_ms=soak.clean_ms + clean,
        ),
    )


def look_gap_ms(runbook: Runbook) -> int:
    """Longest time between two looks that counts: two intervals and one deadline."""
    return 2 * runbook.timing.readiness_every_ms + runbook.timing.readiness_deadline_ms


def unclean(runbook: Runbook, run: Run, at_ms: int) -> str:
    """Why time does not count as soak right now; empty when it does."""
    if run.phase is not Phase.RUNNING or run.stage < 0:
        return "no stage is open"
    if trouble := in_force(run):
        return trouble
    if run.awaited:
        return f"{runbook.candidate} was not verified again since {run.awaited} is open"
    split = judge_split(runbook, run)
    if split.ok is not True:
        return f"observed split: {split.text}"
    return _signals(runbook, run, at_ms)


def _signals(runbook: Runbook, run: Run, at_ms: int) -> str:
    candidate, fallback = run.plane(runbook.candidate), run.plane(runbook.fallback)
    if candidate.bad_since != NEVER or candidate.ready is not True:
        return f"{runbook.candidate} is not ready"
    if unseen(runbook, fallback, at_ms):
        return f"{runbook.fallback} is not being seen"
    if fallback.bad_since != NEVER or fallback.sick:
        return f"{runbook.fallback} is not ready"
    if candidate.canary_ok is not True or candidate.canary_at == NEVER:
        return f"the last canary on {runbook.candidate} was not ok"
    if at_ms - candidate.canary_at > 2 * runbook.timing.canary_every_ms:
        return "the last canary is older than two intervals"
    gate = runbook.attestation_gate()
    exposed = runbook.stages[run.stage].exposed
    if exposed and candidate.verdict is Verdict.DEGRADED:
        return "attestation is degraded"
    good_until = until(candidate.good_at, candidate.good_ends, gate.max_age_ms)
    if exposed and (candidate.good_at == NEVER or at_ms > good_until):
        return "no fresh acceptable attestation"
    return ""


def unseen(runbook: Runbook, view: PlaneView, at_ms: int) -> bool:
    """Whether the newest look at a plane is too old to say anything."""
    return view.ready_at == NEVER or at_ms - view.ready_at > runbook.blind.after_ms


def critical(runbook: Runbook, run: Run, entry: Entry, kind: Critical, text: str) -> Run:
    """Restart the clean period, if the runbook declares this kind of error critical."""
    soak = replace(run.soak, mark=NEVER) if kind is Critical.NOT_READY else run.soak
    if kind in runbook.critical:
        soak = replace(
            soak,
            clean_ms=0,
            clean_answers=0,
            critical=f"{kind}: {text}",
            critical_seq=entry.seq,
            critical_at=entry.at_ms,
        )
    return replace(run, soak=soak)


def interrupted(run: Run, *, restart: bool) -> Run:
    """Stop counting; a stage that soaks on canary runs begins again."""
    soak = run.soak
    if restart:
        soak = replace(soak, observed_ms=0, canary_runs=0)
    return replace(run, soak=replace(soak, mark=NEVER))


def remaining(stage: Stage, soak: Soaked) -> tuple[int, int, int]:
    """Milliseconds, canary runs and answers that the stage still needs; zeros when soaked."""
    return (
        max(0, stage.soak.observed_ms - soak.observed_ms),
        max(0, stage.soak.canary_runs - soak.canary_runs),
        max(0, stage.soak.answers - soak.answers),
    )
