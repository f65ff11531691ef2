"""Folds good looks at a calm run in short: to the same state as `fold.apply`, in less time.

Each function gives the run with the entry folded in, or None when the entry says anything but that
all is as well as it was, or reaches a bound of the calm. Then nothing has happened, and the entry
takes the whole way. Whoever calls has made sure that everything seen is still fresh at the
entry's stamp (`calm.fresh_until`).
"""

from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace

from cutover.decision import attested, signals
from cutover.decision.brief_report import report
from cutover.decision.calm import Calm, good_verdict, short_of
from cutover.decision.fact import Entry
from cutover.decision.run import NEVER, Run
from cutover.evidence.observation import Attestation, CanaryRound, GatewayReport, Readiness


def look(calm: Calm, run: Run, entry: Entry, seen: Readiness) -> Run | None:
    """A look at `/ready` that found a plane as ready as it was; the candidate's makes soak."""
    name, at, seq = seen.plane, entry.at_ms, entry.seq
    if seen.status != 200 or seen.ready is not True:
        return None
    if name != calm.candidate and name != calm.fallback:  # noqa: PLR1714 - half a look's time
        return None
    view = replace(
        run.planes[name],
        ready_at=at,
        ready_seq=seq,
        health_ready=seen.health_ready,
        detail=seen.detail,
    )
    planes = {**run.planes, name: view}
    if name != calm.candidate:
        return replace(run, planes=planes, seq=seq, at=at)
    soak = run.soak
    gap = at - soak.mark
    if gap > calm.gap_ms:
        return None
    observed = soak.observed_ms + gap
    clean = soak.clean_ms + (gap if soak.critical_at == NEVER else min(gap, at - soak.critical_at))
    if observed >= calm.observed_ms or clean >= calm.clean_ms:
        return None
    soak = replace(soak, mark=at, observed_ms=observed, clean_ms=clean)
    return replace(run, planes=planes, soak=soak, seq=seq, at=at)


def verdict(calm: Calm, run: Run, entry: Entry, seen: Attestation) -> Run | None:
    """The candidate is what it was, on the evidence that it was."""
    candidate = calm.candidate
    if seen.plane != candidate or not good_verdict(calm, seen.verdict, seen.evidence):
        return None
    view = run.planes[candidate]
    if seen.identity != view.identity or seen.tls_spki != view.tls_spki:
        return None
    return _numbered(attested.attestation(calm.runbook, run, entry, seen), entry)


def canary(calm: Calm, run: Run, entry: Entry, seen: CanaryRound) -> Run | None:
    """A canary round in which nothing failed; one more counts for the soak."""
    if not all(said.ok for said in seen.verdicts):
        return None
    after = signals.canary(calm.runbook, run, entry, seen)
    return _numbered(after, entry) if short_of(calm, after.soak) else None


def _numbered(run: Run, entry: Entry) -> Run:
    return replace(run, seq=entry.seq, at=entry.at_ms)


Brief = Callable[[Calm, Run, Entry, Any], Run | None]

BRIEFS: Final[dict[type, Brief]] = {
    Readiness: look,
    GatewayReport: report,
    Attestation: verdict,
    CanaryRound: canary,
}
"""How each kind of look is folded in short; what is not here is never calm."""
