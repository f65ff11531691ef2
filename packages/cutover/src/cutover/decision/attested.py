"""Folds verdicts on what a plane is: who it is, what it proved, and until when that says anything.

A verdict counts until the runbook's age for it is over or its own deadline has come, whichever is
first: a collateral or a certificate that runs out ends what was concluded from it. What refutes a
plane ends at once what was concluded before; what cannot be judged leaves it to its age.
"""

from msgspec.structs import replace

from cutover.decision.fact import Entry
from cutover.decision.run import NEVER, PlaneView, Run, Soaked
from cutover.decision.soak import critical
from cutover.evidence.observation import Attestation, Verdict
from cutover.runbook.document import Runbook
from cutover.runbook.gate import Evidence
from cutover.runbook.stage import Critical


def attestation(runbook: Runbook, run: Run, entry: Entry, seen: Attestation) -> Run:
    """Fold a verdict; another identity sends the candidate back to its gates."""
    before = run.plane(seen.plane)
    other = before.identity != "" and seen.identity not in ("", before.identity)
    view = _seen(_stranger(before) if other else before, entry, seen)
    gate = runbook.attestation_gate()
    good = acceptable(seen.verdict, seen.evidence, gate.evidence)
    view = _counted(view, runbook, entry, seen, good=good)
    run = replace(run, planes={**run.planes, seen.plane: view})
    if seen.plane != runbook.candidate:
        return run
    if not set(seen.marks) <= set(run.marks):
        run = replace(run, marks=tuple(sorted({*run.marks, *seen.marks})))
    if other:
        text = f"another identity: {view.identity}"
        soak = Soaked(critical=text, critical_seq=entry.seq, critical_at=entry.at_ms)
        run = replace(run, live={}, soak=soak)
    if good:
        return _verified_again(run, view)
    return critical(
        runbook, run, entry, Critical.ATTESTATION_LOST, f"attestation is {seen.verdict}"
    )


def _verified_again(run: Run, view: PlaneView) -> Run:
    """After a switch the next verdict counts that was asked for when its table was in force."""
    if run.awaited_from == NEVER or view.asked_at < run.awaited_from:
        return run
    return replace(run, awaited="", awaited_from=NEVER)


def _seen(view: PlaneView, entry: Entry, seen: Attestation) -> PlaneView:
    """What the newest verdict says, whatever it counts for."""
    return replace(
        view,
        verdict=seen.verdict,
        verdict_at=entry.at_ms,
        verdict_ends=_ends(entry, seen),
        asked_at=max(0, entry.at_ms - seen.took_ms),
        verdict_seq=entry.seq,
        verdict_evidence=seen.evidence,
        verdict_reasons=seen.reasons,
        identity=seen.identity or view.identity,
        tls_spki=_key(view, seen),
    )


def _counted(
    view: PlaneView, runbook: Runbook, entry: Entry, seen: Attestation, *, good: bool
) -> PlaneView:
    """What it counts for: promotions, the rollback rule, money."""
    at, ends = entry.at_ms, _ends(entry, seen)
    if good:
        view = replace(view, good_at=at, good_ends=ends, good_seq=entry.seq)
    if good or seen.verdict is Verdict.DEGRADED:
        view = replace(view, attested_at=at, attested_ends=ends)
    gate = runbook.attestation_gate()
    if gate.proves and acceptable(seen.verdict, seen.evidence, gate.money_evidence):
        return replace(view, trusted_at=at, trusted_ends=ends)
    # A verdict that says otherwise is not forgotten because the next one cannot be judged.
    refuted = seen.verdict in (Verdict.DEGRADED, Verdict.MISSING, Verdict.INVALID)
    return replace(view, trusted_at=NEVER, trusted_ends=None) if refuted else view


def _ends(entry: Entry, seen: Attestation) -> int | None:
    return None if seen.lasts_ms is None else entry.at_ms + seen.lasts_ms


def _key(view: PlaneView, seen: Attestation) -> str:
    """The only TLS key that the plane may present from now on; empty when none has proved itself.

    A degraded plane has proved its key: what is degraded is the age of the platform under it. A
    plane that is refuted has none any more; a look that told nothing changes nothing.
    """
    match seen.verdict:
        case Verdict.VERIFIED | Verdict.DEGRADED if seen.evidence is Evidence.VERIFIED:
            return seen.tls_spki
        case Verdict.MISSING | Verdict.INVALID:
            return ""
        case _:
            return view.tls_spki


def _stranger(view: PlaneView) -> PlaneView:
    """A view of which nothing counts for another identity behind the same address.

    Only the clock of the rollback rule runs on: the plane was last attested when it was.
    """
    return replace(
        view,
        ready_at=NEVER,
        canary_at=NEVER,
        canary_ok=None,
        good_at=NEVER,
        good_ends=None,
        trusted_at=NEVER,
        trusted_ends=None,
        tls_spki="",
    )


def acceptable(verdict: Verdict, seen: Evidence, needed: Evidence) -> bool:
    """Whether a verdict counts: verified, on evidence at least as strong as asked for."""
    return verdict is Verdict.VERIFIED and (needed is Evidence.REPORTED or seen is needed)
