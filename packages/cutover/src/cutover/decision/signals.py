"""Folds what was seen of the planes: readiness, canary rounds, our own reference."""

from msgspec.structs import replace

from cutover.decision.fact import Entry
from cutover.decision.run import NEVER, PlaneView, Run
from cutover.decision.soak import accrue, critical, interrupted
from cutover.evidence.observation import (
    CanaryRound,
    CanaryVerdict,
    Readiness,
    Reference,
)
from cutover.runbook.document import Runbook
from cutover.runbook.rollback import NotReady
from cutover.runbook.stage import Critical


def with_plane(run: Run, name: str, view: PlaneView) -> Run:
    """The run with one plane's view replaced."""
    return replace(run, planes={**run.planes, name: view})


def readiness(runbook: Runbook, run: Run, entry: Entry, seen: Readiness) -> Run:
    """Fold one look at `/ready`.

    The streak is first bad to last bad. A look that failed in transport while our own reference
    fails too is no evidence against the plane: it neither extends nor ends a streak. A streak of
    either kind does not reach over a stretch in which nothing was seen.
    """
    if seen.status is None and reference_bad(runbook, run, entry.at_ms):
        return replace(run, soak=replace(run.soak, mark=NEVER))
    view = replace(
        run.plane(seen.plane),
        ready_at=entry.at_ms,
        ready_seq=entry.seq,
        status=seen.status,
        ready=seen.ready,
        health_ready=seen.health_ready,
        detail=seen.detail,
    )
    bad = seen.status != 200
    seen_before = run.plane(seen.plane).ready_at
    gap = seen_before == NEVER or entry.at_ms - seen_before > runbook.blind.after_ms
    view = _bad(runbook, view, entry) if bad else _good(view, entry, gap=gap)
    run = with_plane(run, seen.plane, _latch(runbook, view))
    if seen.plane != runbook.candidate:
        return run
    if bad:
        return critical(runbook, run, entry, Critical.NOT_READY, f"/ready: {seen.detail}")
    return accrue(runbook, run, entry.at_ms)


def _bad(runbook: Runbook, view: PlaneView, entry: Entry) -> PlaneView:
    gap = view.bad_since == NEVER or entry.at_ms - view.bad_at > runbook.blind.after_ms
    since = entry.at_ms if gap else view.bad_since
    return replace(view, bad_since=since, bad_at=entry.at_ms, bad_seq=entry.seq, ok_since=NEVER)


def _good(view: PlaneView, entry: Entry, *, gap: bool) -> PlaneView:
    since = entry.at_ms if gap or view.ok_since == NEVER else view.ok_since
    return replace(view, bad_since=NEVER, bad_at=NEVER, ok_since=since)


def _latch(runbook: Runbook, view: PlaneView) -> PlaneView:
    """Sick after too long a bad streak, well again after as long a good one: never a flip-flop."""
    limit = next(c.longer_than_ms for c in runbook.conditions if isinstance(c, NotReady))
    if view.bad_since != NEVER:
        return replace(view, sick=view.sick or view.bad_at - view.bad_since > limit)
    return replace(view, sick=view.sick and view.ready_at - view.ok_since < limit)


def reference(run: Run, entry: Entry, seen: Reference) -> Run:
    """Fold our own connectivity probe."""
    if seen.ok:
        return replace(run, reference_bad_at=NEVER, reference_detail="")
    return replace(run, reference_bad_at=entry.at_ms, reference_detail=seen.detail)


def reference_bad(runbook: Runbook, run: Run, at_ms: int) -> bool:
    """Whether our own connectivity is known to be broken right now."""
    return (
        run.reference_bad_at != NEVER
        and at_ms - run.reference_bad_at <= 2 * runbook.timing.readiness_every_ms
    )


def canary(runbook: Runbook, run: Run, entry: Entry, seen: CanaryRound) -> Run:
    """Fold a canary round; only scheduled rounds move streaks and soaks.

    A manual run is shown, but it can neither hide a failing streak nor complete a soak.
    """
    if not seen.scheduled:
        return run
    failed = {v.plane: frozenset(v.failed) for v in seen.verdicts if not v.ok}
    for verdict in seen.verdicts:
        if stranger(run, verdict.plane, verdict.identity):
            continue  # it was asked of what is no longer there
        shared = len(failed) > 1 and all(failed.get(verdict.plane) == f for f in failed.values())
        view = _judged(run.plane(verdict.plane), entry, verdict, shared)
        run = with_plane(run, verdict.plane, view)
        if verdict.plane == runbook.candidate:
            run = _canary_soak(runbook, run, entry, verdict)
    return run


def _judged(view: PlaneView, entry: Entry, said: CanaryVerdict, shared: bool) -> PlaneView:
    row = 0 if said.ok else view.canary_false + 1
    return replace(
        view,
        canary_at=entry.at_ms,
        canary_seq=entry.seq,
        canary_ok=said.ok,
        canary_false=row,
        canary_first_seq=entry.seq if row == 1 else view.canary_first_seq,
        canary_shared=shared,
        canary_detail=said.detail,
    )


def _canary_soak(runbook: Runbook, run: Run, entry: Entry, said: CanaryVerdict) -> Run:
    if said.ok:
        return replace(run, soak=replace(run.soak, canary_runs=run.soak.canary_runs + 1))
    run = critical(runbook, run, entry, Critical.CANARY_FALSE, f"canary: {said.detail}")
    restarts = run.stage >= 0 and runbook.stages[run.stage].soak.canary_runs > 0
    return interrupted(run, restart=restarts)


def stranger(run: Run, plane: str, identity: str) -> bool:
    """Whether evidence is about another identity than the one that the plane has now."""
    return bool(identity) and identity != run.plane(plane).identity
