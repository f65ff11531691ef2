"""Everything that stops exposure from rising, in one list; exposure rises only when it is empty."""

import msgspec

from cutover.decision.kinds import Reason
from cutover.decision.matrix import sick_planes
from cutover.decision.promotion import Promotion
from cutover.decision.rollback import Finding, State, judge_conditions
from cutover.decision.run import NEVER, Phase, Run
from cutover.decision.soak import unseen
from cutover.decision.split import in_force, judge_split
from cutover.decision.words import span
from cutover.evidence.observation import Verdict
from cutover.runbook.document import Runbook


class Stops(msgspec.Struct, frozen=True):
    """Reasons and their evidence; falsy when nothing stops the run."""

    reasons: tuple[Reason, ...]
    evidence: tuple[int, ...]

    def __bool__(self) -> bool:
        """Whether anything stops the run."""
        return bool(self.reasons)


def blockers(
    runbook: Runbook,
    run: Run,
    now_ms: int,
    step: Promotion,
    findings: tuple[Finding, ...] | None = None,
) -> Stops:
    """What stops the next step, gates left aside.

    Args:
        runbook: what was agreed.
        run: what is known.
        now_ms: observed milliseconds of the run.
        step: the next promotion.
        findings: the rollback conditions as judged now; judged here when not given.
    """
    if findings is None:
        findings = judge_conditions(runbook, run, now_ms)
    found = [
        *_orders(run),
        *_rules(findings),
        *_planes(runbook, run, now_ms),
        *_money(run),
        *_traffic(runbook, run),
        *_unverified(runbook, run),
        *_quiet(runbook, run, now_ms, step),
        *[(Reason("soaking", text), 0) for text in step.waits],
        *_budget(runbook, run, step),
        *_checks(runbook, run, step),
        *(_operator(runbook, run, step) if not step.waits else []),
    ]
    seqs = sorted({seq for _, seq in found if seq > 0})
    return Stops(tuple(reason for reason, _ in found), tuple(seqs))


Found = tuple[Reason, int]


def _orders(run: Run) -> list[Found]:
    found = []
    if run.hold is not None:
        found.append((Reason("held", f"held by {run.hold.actor}: {run.hold.reason}"), run.hold.seq))
    if run.repinned:
        text = "pay was sent back to the fallback by a rule; abort or roll back to begin again"
        found.append((Reason("repinned", text), 0))
    return found


def _rules(findings: tuple[Finding, ...]) -> list[Found]:
    """A rule that is tripped, blind or switched off is a rule violation: nothing rises."""
    found = []
    for finding in findings:
        seq = finding.evidence[-1] if finding.evidence else 0
        if finding.state in (State.TRIPPED, State.BLIND, State.DISARMED):
            found.append((Reason(f"{finding.state}:{finding.rule}", finding.value), seq))
    return found


def _planes(runbook: Runbook, run: Run, now_ms: int) -> list[Found]:
    found = []
    fallback = run.plane(runbook.fallback)
    if unseen(runbook, fallback, now_ms):
        text = f"{runbook.fallback} is not being seen: there may be no way back"
        found.append((Reason(f"blind:{runbook.fallback}", text), fallback.ready_seq))
    for plane in sick_planes(runbook, run):
        view = run.plane(plane)
        found.append(
            (Reason(f"sick:{plane}", f"{plane} is not ready: {view.detail}"), view.bad_seq)
        )
    verdict = run.plane(runbook.candidate).verdict
    if verdict in (Verdict.DEGRADED, Verdict.STALE):
        text = f"attestation is {verdict}: no promotion"
        found.append(
            (Reason(f"attestation:{verdict}", text), run.plane(runbook.candidate).verdict_seq)
        )
    return found


def _money(run: Run) -> list[Found]:
    if not run.closed:
        return []
    text = f"payments are refused on {' and '.join(run.closed)}: nothing goes on until they are not"
    return [(Reason("money_closed", text), 0)]


def _traffic(runbook: Runbook, run: Run) -> list[Found]:
    if trouble := in_force(run):
        code = "table_rejected" if " refused table " in trouble else "table"
        code = "rival" if any(node.rival for node in run.serving().values()) else code
        return [
            (Reason(code, trouble), max((n.seen_seq for n in run.serving().values()), default=0))
        ]
    split = judge_split(runbook, run)
    if split.ok is True:
        return []
    return [(Reason("split" if split.ok is False else "split_unknown", split.text), 0)]


def _unverified(runbook: Runbook, run: Run) -> list[Found]:
    """After a switch nothing goes on before the candidate has proved itself under its table."""
    if not run.awaited:
        return []
    view = run.plane(runbook.candidate)
    text = f"{runbook.candidate} is to be verified again now that {run.awaited} is open"
    return [(Reason("verify_again", text), view.verdict_seq)]


def _quiet(runbook: Runbook, run: Run, now_ms: int, step: Promotion) -> list[Found]:
    """A fast track needs a service that nobody uses: the first flip is refused otherwise."""
    if not runbook.quiet_ms or step.kind != "stage" or runbook.stages[run.stage].exposed:
        return []
    quiet = now_ms if run.client_at == NEVER else now_ms - run.client_at
    if quiet >= runbook.quiet_ms:
        return []
    seen = "observed" if run.client_at == NEVER else "since a client's request"
    text = f"{span(quiet)} {seen}, {span(runbook.quiet_ms)} without any are needed for this flip"
    return [(Reason("not_quiet", text), 0)]


def _budget(runbook: Runbook, run: Run, step: Promotion) -> list[Found]:
    if step.kind != "checks":
        return []
    soak, budget = run.soak, runbook.error_budget
    total = soak.answers + soak.failed
    if total < budget.min_answers:
        text = f"{total} of {budget.min_answers} requests seen, too few to judge the error budget"
        return [(Reason("error_budget", text), soak.critical_seq)]
    if 100 * soak.failed <= budget.percent * total:
        return []
    text = f"{soak.failed} of {total} requests failed, the budget is {budget.percent}%"
    return [(Reason("error_budget", text), soak.critical_seq)]


def _checks(runbook: Runbook, run: Run, step: Promotion) -> list[Found]:
    if run.phase is not Phase.CHECKING or step.kind != "complete":
        return []
    found = []
    for check in runbook.post_checks:
        view = run.post_checks.get(check.name)
        if view is None:
            found.append((Reason(f"check:{check.name}", f"{check.name} is being carried out"), 0))
        elif view.ok is not True:
            text = f"{check.name} fails: {'; '.join(view.reasons)}; `retry` repeats it"
            found.append((Reason(f"check:{check.name}", text), view.seq))
    return found


def _operator(runbook: Runbook, run: Run, step: Promotion) -> list[Found]:
    stage = runbook.stages[run.stage]
    if step.kind not in ("stage", "checks") or not stage.operator_promotes:
        return []
    if run.promote is not None and run.promote_expect == stage.name:
        return []
    text = f"the runbook leaves this step to a person: `promote --expect {stage.name!r}`"
    return [(Reason("awaiting_promote", text), 0)]
