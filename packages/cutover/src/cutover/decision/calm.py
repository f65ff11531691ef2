"""When a run only waits: what is then certain, and for how long.

A run is *calm* when it is held by nothing but its soak, every signal is fresh and good, and the
soak counts. One more good look can then change nothing that is judged, except by reaching one of
the bounds kept here; so until then it need not be judged (`course`), and it is folded in short
(`brief`). Whatever is not certainly so is not calm: then everything is judged, as always.
"""

import msgspec

from cutover.decision.attested import acceptable
from cutover.decision.deadline import until
from cutover.decision.run import NEVER, Phase, PlaneView, Run, Soaked
from cutover.decision.soak import look_gap_ms, unclean
from cutover.decision.split import table_share_bp
from cutover.decision.traffic import payments_rule
from cutover.evidence.observation import Verdict
from cutover.runbook.document import Runbook
from cutover.runbook.gate import Evidence
from cutover.runbook.intent import LEADING, Intent
from cutover.runbook.rollback import AttestationLost, PaymentsFailed
from cutover.runbook.stage import ALL_BP, Stage

WAITING = frozenset({"soaking", "error_budget"})
"""Reasons of a hold that numbers alone can end: those that the bounds are about."""

FAR = 1 << 62
"""A bound that is never reached."""


class Share(msgspec.Struct, frozen=True):
    """A partial share, and where the split keeps its conversations."""

    bp: int
    there: str
    elsewhere: str


class Calm(msgspec.Struct, frozen=True):
    """What is certain of a calm run while nothing but good looks comes.

    Attributes:
        runbook: what was agreed.
        candidate: its plane that must be well; likewise fallback.
        payments: its rule about payments.
        evidence: that the candidate's verdicts rest on.
        nodes: that serve clients.
        head: how the counters of the present generation begin.
        astray: cells of the split in which a single request refutes the table.
        partial: shares that are judged by conversations.
        observed_ms: soak that ends the calm; likewise clean_ms, canary_runs, answers and
            clean_answers. A bound that was reached before is `FAR`.
        gap_ms: longest time between two looks that counts as soak.
        ready_age_ms: how old a look at a plane may be; likewise canary_age_ms, attested_age_ms
            and, of a verdict that payments rest on, trusted_age_ms.
    """

    runbook: Runbook
    candidate: str
    fallback: str
    payments: PaymentsFailed
    evidence: Evidence
    nodes: int
    head: str
    astray: frozenset[str]
    partial: tuple[Share, ...]
    observed_ms: int
    clean_ms: int
    canary_runs: int
    answers: int
    clean_answers: int
    gap_ms: int
    ready_age_ms: int
    canary_age_ms: int
    attested_age_ms: int
    trusted_age_ms: int


def calm_of(runbook: Runbook, run: Run, now_ms: int) -> Calm | None:
    """What is certain of a run, None when it is not calm.

    Args:
        runbook: what was agreed.
        run: what is known; `next_decision` gave None for it at `now_ms`, so that its reasons are
            all that holds it.
        now_ms: observed milliseconds of the run.
    """
    if run.phase is not Phase.RUNNING or not run.reasons or run.soak.mark == NEVER:
        return None
    stage = runbook.stages[run.stage]
    if not _only_waits(runbook, run, stage) or unclean(runbook, run, now_ms):
        return None
    candidate, gate = run.plane(runbook.candidate), runbook.attestation_gate()
    if not _well(candidate) or not _well(run.plane(runbook.fallback)):
        return None
    if candidate.verdict is None or not acceptable(
        candidate.verdict, candidate.verdict_evidence, gate.evidence
    ):
        return None
    return _certain(runbook, run, stage, candidate.verdict_evidence)


def _only_waits(runbook: Runbook, run: Run, stage: Stage) -> bool:
    """Whether only numbers are missing, and no time that passes can take a failure away."""
    codes = {reason.code for reason in run.reasons}
    if not codes <= WAITING or "soaking" not in codes:
        return False
    if any(slice_.failed for slice_ in run.payments):
        return False
    total = run.soak.answers + run.soak.failed
    if "error_budget" in codes and total >= runbook.error_budget.min_answers:
        return False  # overdrawn: each answer makes it less so
    return not runbook.quiet_ms or stage.exposed


def _well(view: PlaneView) -> bool:
    return view.ready is True and view.ok_since != NEVER and not view.sick


def _certain(runbook: Runbook, run: Run, stage: Stage, evidence: Evidence) -> Calm:
    soak, need = run.soak, stage.soak
    unlocks = [u for u in stage.unlocks if u.intent not in run.unlocked]
    budget = runbook.error_budget.min_answers - soak.failed
    gate, pays = runbook.attestation_gate(), table_share_bp(runbook, run, Intent.PAY) > 0
    return Calm(
        runbook=runbook,
        candidate=runbook.candidate,
        fallback=runbook.fallback,
        payments=payments_rule(runbook),
        evidence=evidence,
        nodes=len(run.serving()),
        head=f"{run.generation}|",
        astray=_astray(runbook, run),
        partial=_partial(runbook, run),
        observed_ms=_bound(soak.observed_ms, need.observed_ms),
        clean_ms=_bound(soak.clean_ms, *[u.clean_ms for u in unlocks]),
        canary_runs=_bound(soak.canary_runs, need.canary_runs),
        answers=_bound(soak.answers, need.answers, budget),
        clean_answers=_bound(soak.clean_answers, *[u.answers for u in unlocks]),
        gap_ms=look_gap_ms(runbook),
        ready_age_ms=runbook.blind.after_ms,
        canary_age_ms=2 * runbook.timing.canary_every_ms,
        attested_age_ms=min([gate.max_age_ms, *_ages(runbook)]),
        trusted_age_ms=gate.max_age_ms if pays else FAR,
    )


def _bound(seen: int, *needs: int) -> int:
    """The nearest need that is not yet met."""
    return min((need for need in needs if need > seen), default=FAR)


def _astray(runbook: Runbook, run: Run) -> frozenset[str]:
    """Cells that stay empty under a table that gives an intent to one plane alone."""
    cells = set()
    for intent in (*LEADING, *runbook.follows):
        share = table_share_bp(runbook, run, runbook.leading(intent))
        if share in (0, ALL_BP):
            cells.add(f"{intent}|{runbook.fallback if share else runbook.candidate}")
    return frozenset(cells)


def _partial(runbook: Runbook, run: Run) -> tuple[Share, ...]:
    shares = [(intent, table_share_bp(runbook, run, intent)) for intent in LEADING]
    there, elsewhere = runbook.candidate, runbook.fallback
    return tuple(
        Share(bp, f"{intent}|{there}|conversations", f"{intent}|{elsewhere}|conversations")
        for intent, bp in shares
        if 0 < bp < ALL_BP
    )


def fresh_until(calm: Calm, run: Run) -> int:
    """The last moment at which everything that was seen is still young enough to count."""
    candidate, fallback = run.planes[calm.candidate], run.planes[calm.fallback]
    return min(
        candidate.ready_at + calm.ready_age_ms,
        fallback.ready_at + calm.ready_age_ms,
        candidate.canary_at + calm.canary_age_ms,
        until(candidate.good_at, candidate.good_ends, calm.attested_age_ms),
        until(candidate.trusted_at, candidate.trusted_ends, calm.trusted_age_ms),
    )


def _ages(runbook: Runbook) -> list[int]:
    return [rule.max_age_ms for rule in runbook.conditions if isinstance(rule, AttestationLost)]


def good_verdict(calm: Calm, verdict: Verdict, evidence: Evidence) -> bool:
    """Whether a verdict says the same as the one that the calm began with."""
    return verdict is Verdict.VERIFIED and evidence is calm.evidence


def short_of(calm: Calm, soak: Soaked) -> bool:
    """Whether no bound of the soak has been reached."""
    return (
        soak.observed_ms < calm.observed_ms
        and soak.clean_ms < calm.clean_ms
        and soak.canary_runs < calm.canary_runs
        and soak.answers < calm.answers
        and soak.clean_answers < calm.clean_answers
    )
