"""One frozen value that says how the run stands; CLI, API and console only draw it."""

import msgspec

from cutover.decision.gates import judge_gates
from cutover.decision.kinds import Hold, Reason
from cutover.decision.promotion import next_promotion
from cutover.decision.rollback import Finding, judge_conditions
from cutover.decision.run import NEVER, Phase, Run
from cutover.decision.split import judge_split, table_share_bp
from cutover.decision.step import decide
from cutover.decision.words import percent, span
from cutover.runbook.document import Runbook
from cutover.runbook.intent import LEADING, Intent


class Share(msgspec.Struct, frozen=True):
    """One intent's traffic: by the table, and as observed under the current generation."""

    table_bp: int
    observed_bp: int
    requests: int


class Status(msgspec.Struct, frozen=True):
    """How the run stands.

    Attributes:
        state: the phase; `held` while anything but soaking stops it.
        reasons: why it does not move, or why it last moved.
        soak: observed and required, milliseconds, canary runs and answers.
        next_step: what comes next, in words.
        weak: promoted on reported evidence at least once.
        marks: that stay beside what is believed of the candidate, such as `TEST ROOT`.
        pages: a person is called: the line says PAGE, and the conductor logs it once.
    """

    run: str
    runbook: str
    phase: Phase
    stage: str
    state: str
    reasons: tuple[Reason, ...]
    shares: dict[Intent, Share]
    soak: dict[str, tuple[int, int]]
    next_step: str
    generation: int
    term: int
    weak: bool
    incident: str
    seq: int
    at_ms: int
    pages: bool
    marks: tuple[str, ...] = ()

    def line(self) -> str:
        """The whole status on one line."""
        shares = " ".join(f"{i}={percent(s.table_bp)}" for i, s in self.shares.items())
        seen, need = self.soak.get("observed_ms", (0, 0))
        parts = [
            f"{self.stage or self.phase}", shares, f"soak {span(seen)}/{span(need)}",
            f"{self.state}: {self.reasons[0].text}" if self.reasons else self.state,
            f"next: {self.next_step}",
        ]  # fmt: skip
        words = [word for word, on in (("WEAK", self.weak), ("PAGE", self.pages)) if on]
        return " | ".join([*parts, *self.marks, *words])


_QUIET_CODES = (
    "soaking", "gate:live_intents", "table", "split_unknown", "verify_now", "verify_again",
)  # fmt: skip


def status_of(runbook: Runbook, run: Run, now_ms: int) -> Status:
    """Draw the status from what is known now."""
    decision = decide(runbook, run, now_ms)
    reasons = decision.reasons if isinstance(decision, Hold) else run.reasons
    loud = [r for r in reasons if r.code not in _QUIET_CODES]
    moving = run.phase in (Phase.RUNNING, Phase.PREPARING, Phase.CHECKING)
    return Status(
        run=run.id,
        runbook=runbook.name,
        phase=run.phase,
        stage=runbook.stages[run.stage].name if run.stage >= 0 else "",
        state="held" if moving and loud else run.phase.value,
        reasons=tuple(loud) or tuple(reasons),
        shares=_shares(runbook, run),
        soak=_soak(runbook, run),
        next_step=_next(runbook, run),
        generation=run.generation,
        term=run.term,
        weak=run.weak,
        incident=_incident(run),
        seq=run.seq,
        at_ms=now_ms,
        pages=_pages(runbook, run, reasons, now_ms),
        marks=run.marks,
    )


def _shares(runbook: Runbook, run: Run) -> dict[Intent, Share]:
    observed = judge_split(runbook, run).shares
    return {
        intent: Share(table_share_bp(runbook, run, intent), *observed[intent]) for intent in LEADING
    }


def _soak(runbook: Runbook, run: Run) -> dict[str, tuple[int, int]]:
    if run.stage < 0:
        return {}
    need, seen = runbook.stages[run.stage].soak, run.soak
    soak = {
        "observed_ms": (seen.observed_ms, need.observed_ms),
        "canary_runs": (seen.canary_runs, need.canary_runs),
        "answers": (seen.answers, need.answers),
    }
    for unlock in runbook.stages[run.stage].unlocks:
        if unlock.intent not in run.unlocked:
            soak[f"{unlock.intent}_clean_ms"] = (seen.clean_ms, unlock.clean_ms)
    return soak


def _next(runbook: Runbook, run: Run) -> str:
    match run.phase:
        case Phase.PREPARING:
            return f"open {runbook.stages[0].name}"
        case Phase.ROLLING_BACK | Phase.ABORTING:
            return f"all traffic observed on {runbook.fallback}"
        case Phase.ROLLED_BACK:
            return "an operator's retry"
        case Phase.ABORTED | Phase.COMPLETE:
            return "nothing: the run is over"
        case Phase.RUNNING | Phase.CHECKING:
            return _step(runbook, run)


def _step(runbook: Runbook, run: Run) -> str:
    step = next_promotion(runbook, run)
    match step.kind:
        case "stage":
            return f"open {step.stage}"
        case "unlock":
            return f"unlock {step.intent} in {step.stage}"
        case "checks":
            return "post-cutover checks"
        case "complete":
            return "complete"


def _incident(run: Run) -> str:
    if run.incident is None:
        return ""
    ended = run.incident.closed_at
    took = f", returned in {span(ended - run.incident.opened_at)}" if ended != NEVER else ", open"
    lost = run.incident.unaccounted
    missing = f", {lost} payments unaccounted for" if lost else ""
    return f"{run.incident.rule} at entry {run.incident.seq}{took}{missing}"


def _pages(runbook: Runbook, run: Run, reasons: tuple[Reason, ...], now_ms: int) -> bool:
    """Whether a person is called: sick planes, lost attestation, or blind for too long."""
    codes = [r.code for r in reasons]
    back = run.phase in (Phase.ROLLED_BACK, Phase.ABORTED)
    if back and run.incident is not None and run.incident.unaccounted:
        return True
    urgent = (
        "sick:", "attestation:", "tripped:", "table_rejected", "split", "returning", "rolled_back",
        "repinned", "rival",
    )  # fmt: skip
    if any(code.startswith(urgent) and code != "split_unknown" for code in codes):
        return True
    blind = any(code.startswith("blind:") for code in codes)
    since = run.blind_since if run.blind_since != NEVER else now_ms
    return blind and now_ms - since > runbook.blind.page_ms


class Explanation(msgspec.Struct, frozen=True):
    """Every rule and gate with its value, threshold and distance; and what stays beside them."""

    rules: tuple[Finding, ...]
    gates: tuple[tuple[str, str, str], ...]
    reasons: tuple[Reason, ...]
    next_step: str
    marks: tuple[str, ...] = ()


def explain(runbook: Runbook, run: Run, now_ms: int) -> Explanation:
    """Why the run stands where it stands."""
    step = next_promotion(runbook, run) if run.phase in (Phase.RUNNING, Phase.CHECKING) else None
    gates = judge_gates(runbook, run, now_ms, money=step.money if step else False)
    decision = decide(runbook, run, now_ms)
    return Explanation(
        judge_conditions(runbook, run, now_ms),
        tuple((g.gate, g.state.value, g.text) for g in gates),
        decision.reasons,
        _next(runbook, run),
        run.marks,
    )
