"""What follows from what is known: exactly one decision, rollback conditions first.

Order of judgement: the operator's abort; rollback conditions; money against planes that may not
take it; the TLS key that the candidate may present; then by phase the way back, an ordered retry,
the preconditions, or everything that stops exposure from rising; last of all the next promotion.
Deciding changes nothing: the decision is journaled, folded, and then obeyed.
"""

from cutover.decision.blockers import blockers
from cutover.decision.gates import GateFinding, GateState
from cutover.decision.kinds import (
    AbortRun,
    BeginChecks,
    CloseMoney,
    Complete,
    Decision,
    Hold,
    OpenStage,
    PinKey,
    Reason,
    ReopenMoney,
    Repin,
    Retry,
    Returned,
    RollBack,
    UnlockIntent,
)
from cutover.decision.matrix import money_closed_on, no_way_back
from cutover.decision.promotion import Promotion, next_promotion
from cutover.decision.rollback import Finding, Remedy, State, judge_conditions
from cutover.decision.run import TERMINAL, Phase, PlaneView, Run
from cutover.decision.split import in_force, judge_split, returned, table_share_bp
from cutover.decision.verify import gates_of, too_old
from cutover.evidence.observation import Verdict
from cutover.routing.table import Route, RoutingTable
from cutover.runbook.document import Runbook
from cutover.runbook.intent import LEADING, RISK_OF, Intent, Risk
from cutover.runbook.stage import ALL_BP

IN_FLIGHT_WAIT_MS = 90_000
"""Observed time for payments in flight to end, after the table that sends no more."""


def decide(runbook: Runbook, run: Run, now_ms: int) -> Decision:
    """The one decision that follows now.

    Args:
        runbook: what was agreed.
        run: what is known.
        now_ms: observed milliseconds of the run.
    """
    if run.phase in TERMINAL:
        return _hold(run.phase, f"the run is {run.phase}")
    if run.abort is not None and run.phase is not Phase.ABORTING:
        text = f"{run.abort.actor} ordered abort: {run.abort.reason}"
        return AbortRun("operator", (Reason("operator", text),), (run.abort.seq,))
    return _by_phase(runbook, run, now_ms)


def _by_phase(runbook: Runbook, run: Run, now_ms: int) -> Decision:
    match run.phase:
        case Phase.ROLLING_BACK | Phase.ABORTING:
            return _money(runbook, run, now_ms) or _way_back(runbook, run, now_ms)
        case Phase.ROLLED_BACK:
            return _money(runbook, run, now_ms) or _after_rollback(run)
        case Phase.PREPARING:
            return _money(runbook, run, now_ms) or _prepare(runbook, run)
        case Phase.RUNNING | Phase.CHECKING:
            findings = judge_conditions(runbook, run, now_ms)
            return (
                _watch(runbook, run, now_ms, findings)
                or _money(runbook, run, now_ms)
                or _key(runbook, run)
                or _forward(runbook, run, now_ms, findings)
            )
        case Phase.ABORTED | Phase.COMPLETE:
            return _hold(run.phase, f"the run is {run.phase}")


def _hold(code: str, text: str, *evidence: int) -> Hold:
    return Hold((Reason(code, text),), evidence)


def _way_back(runbook: Runbook, run: Run, now_ms: int) -> Decision:
    """Going back is done when every node has the table and nobody is on the candidate.

    Payments that the candidate took under earlier tables are waited for, longer than any of them
    may take; what has not ended then is named, and a person is called.
    """
    nodes = run.serving()
    if not nodes and run.stage < 0:
        text = "no gateway ever had a table of this run: nobody was moved"
        return Returned((Reason("returned", text),), ())
    if trouble := in_force(run):
        return _hold("returning", f"waiting for all traffic on {runbook.fallback}: {trouble}")
    split = judge_split(runbook, run)
    if split.ok is not True:
        return _hold("returning", f"waiting for all traffic on {runbook.fallback}: {split.text}")
    waiting = sum(node.money_in_flight for node in nodes.values())
    seqs = tuple(n.seen_seq for n in nodes.values())
    if waiting and now_ms - run.generation_at < IN_FLIGHT_WAIT_MS:
        text = f"waiting for {waiting} payments that {runbook.candidate} took and has not answered"
        return Hold((Reason("in_flight", text),), seqs)
    text = f"table {run.generation} is in force on every node, all traffic on {runbook.fallback}"
    reasons: tuple[Reason, ...] = (Reason("returned", text),)
    if lost := waiting + run.unaccounted:
        text = f"{lost} payments on {runbook.candidate} are unaccounted for: look each of them up"
        reasons += (Reason("unaccounted", text),)
    return Returned(reasons, seqs, lost)


def _after_rollback(run: Run) -> Decision:
    if run.retry is not None:
        text = f"{run.retry.actor} ordered retry: {run.retry.reason}"
        return Retry((Reason("operator", text),), (run.retry.seq,))
    rule = run.incident.rule if run.incident else "a rollback"
    return _hold("rolled_back", f"rolled back by {rule}; `retry --reason` begins again")


def _prepare(runbook: Runbook, run: Run) -> Decision:
    reasons, seqs = [], []
    for pre in runbook.preconditions:
        view = run.preconditions.get(pre.check)
        if view is None:
            reasons.append(Reason(f"precondition:{pre.check}", f"{pre.check} not judged yet"))
        elif view.ok is not True and not (view.ok is None and pre.check in run.waived):
            word = "fails" if view.ok is False else "cannot be judged"
            text = f"{pre.check} {word}: {'; '.join(view.reasons)}"
            reasons.append(Reason(f"precondition:{pre.check}", text))
        else:
            seqs.append(view.seq)
    if run.hold is not None:
        reasons.append(Reason("held", f"held by {run.hold.actor}: {run.hold.reason}"))
    if trouble := in_force(run):
        reasons.append(Reason("table", trouble))
    if reasons:
        return Hold(tuple(reasons), tuple(seqs))
    first = runbook.stages[0]
    return OpenStage(first.name, (Reason("preconditions", "all preconditions hold"),), tuple(seqs))


Findings = tuple[Finding, ...]


def _watch(runbook: Runbook, run: Run, now_ms: int, findings: Findings) -> Decision | None:
    """Rollback conditions; None when none asks for anything that can be done."""
    for finding in findings:
        if finding.state is not State.TRIPPED:
            continue
        if decision := _tripped(runbook, run, finding, now_ms):
            return decision
    return None


def _tripped(runbook: Runbook, run: Run, finding: Finding, now_ms: int) -> Decision | None:
    reason = Reason(finding.rule, f"{finding.value}; threshold {finding.threshold}")
    if finding.remedy is Remedy.HOLD:
        return None  # `blockers` names it
    if not runbook.stages[run.stage].armed:
        return AbortRun(finding.rule, (reason,), finding.evidence)
    if finding.remedy is Remedy.REPIN:
        pinned = run.repinned or table_share_bp(runbook, run, Intent.PAY) == 0
        return None if pinned else Repin(finding.rule, (reason,), finding.evidence)
    untrusted = run.plane(runbook.candidate).verdict in (Verdict.MISSING, Verdict.INVALID)
    if no_way_back(runbook, run, now_ms) and not untrusted:
        return None  # never into the broken side; `blockers` names it, money is closed
    return RollBack(finding.rule, (reason,), finding.evidence)


def _money(runbook: Runbook, run: Run, now_ms: int) -> Decision | None:
    """Money fails closed on planes that are not healthy or not trusted enough to take it."""
    want = money_closed_on(runbook, run, now_ms)
    if want == run.closed:
        return None
    if not want:
        return ReopenMoney((Reason("money_open", "the planes may take money again"),), ())
    views = [run.plane(p) for p in want]
    seqs = tuple(sorted({n for v in views for n in (v.bad_seq, v.verdict_seq) if n}))
    why = ", ".join(f"{p}: /ready {v.detail}{_said(v)}" for p, v in zip(want, views, strict=True))
    return CloseMoney(want, (Reason("money_closed", f"no payments on {why}"),), seqs)


def _said(view: PlaneView) -> str:
    return f", attestation {view.verdict}" if view.verdict is not None else ""


def _key(runbook: Runbook, run: Run) -> PinKey | None:
    """Tell the gateways another key than the one that their table names.

    Not while the table gives the candidate nothing: the next one that does names the key itself.
    """
    view = run.plane(runbook.candidate)
    if not pins(runbook) or view.tls_spki == run.pinned:
        return None
    if not any(table_share_bp(runbook, run, intent) for intent in LEADING):
        return None
    if not view.tls_spki:
        text = f"{runbook.candidate} has no proved TLS key ({view.verdict}): nothing is sent to it"
    else:
        text = f"{runbook.candidate} has proved TLS key {view.tls_spki[:16]}…: only it is spoken to"
    return PinKey(view.tls_spki, (Reason("tls_key", text),), (view.verdict_seq,))


def pins(runbook: Runbook) -> bool:
    """Whether the candidate must present a TLS key that it has proved."""
    return runbook.attestation_gate().proves


def _forward(runbook: Runbook, run: Run, now_ms: int, findings: Findings) -> Decision:
    step = next_promotion(runbook, run)
    stops = blockers(runbook, run, now_ms, step, findings)
    if stops:
        return Hold(stops.reasons, stops.evidence)
    gates = gates_of(runbook, run, now_ms, step)
    seqs = tuple(sorted({n for g in gates for n in g.evidence}))
    if shut := [g for g in gates if g.state is not GateState.OPEN]:
        return Hold(tuple(Reason(f"gate:{g.gate}", f"{g.state}: {g.text}") for g in shut), seqs)
    if old := too_old(runbook, run, now_ms):
        return Hold((Reason("verify_now", f"{runbook.candidate} is looked at: {old}"),), seqs)
    return _onward(run, step, gates, seqs)


def _onward(
    run: Run, step: Promotion, gates: tuple[GateFinding, ...], seqs: tuple[int, ...]
) -> Decision:
    """The next step, that nothing stops any more."""
    if step.kind == "complete":
        seqs = tuple(view.seq for view in run.post_checks.values())
        return Complete((Reason("post_checks", "every post-cutover check holds"),), seqs)
    if step.kind == "checks":
        return BeginChecks((Reason("soaked", step.text),), ())
    reasons = (Reason("soaked", step.text), *[Reason(f"gate:{g.gate}", g.text) for g in gates])
    if step.intent is not None:
        return UnlockIntent(step.stage, step.intent, reasons, seqs)
    return OpenStage(step.stage, reasons, seqs)


def table_for(runbook: Runbook, run: Run) -> RoutingTable:
    """The whole routing table that the run's state asks for; same state, same table."""
    routes = {}
    for intent in Intent:
        closed = run.closed if RISK_OF[intent] is Risk.MONEY else ()
        refusal = _refusal(closed) if closed else ""
        routes[intent] = Route(table_share_bp(runbook, run, intent), closed, refusal)
    whole = all(route.candidate_bp == ALL_BP for route in routes.values())
    back = run.stage < 0 or returned(run)
    return RoutingTable(
        generation=run.generation,
        term=max(1, run.term),
        run=run.id,
        salt=run.id,
        fallback=runbook.fallback,
        candidate=runbook.candidate,
        active=runbook.candidate if whole else runbook.fallback,
        stage=f"all on {runbook.fallback}" if back else runbook.stages[run.stage].name,
        routes=routes,
        leased=run.phase is not Phase.COMPLETE,
        candidate_spki=run.pinned if pins(runbook) else None,
    )


def table_parts(run: Run) -> tuple[object, ...]:
    """All of a state that its table is made of: as long as these are equal, the table is."""
    return (
        run.generation, run.term, run.id, run.phase, run.stage, run.unlocked, run.repinned,
        run.closed, run.pinned,
    )  # fmt: skip


def _refusal(closed: tuple[str, ...]) -> str:
    return (
        f"payments are paused: {' and '.join(closed)} may not take them now; "
        "nothing was sent, ask again later with the same idempotency key"
    )
