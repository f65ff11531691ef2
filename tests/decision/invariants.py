"""The lines that are never crossed, checked after every entry by means of their own.

What was observed is kept here a second time, plainly, so that the core is not judged by its own
words. Numbers are those of the list in the design: 1 money, 2 evidence, 3 exposure, 5 abort,
9 replay, 11 clocks, 12 size.
"""

from dataclasses import dataclass, field

import msgspec

from cutover.decision.command import AbortOrder, ForgetOrder
from cutover.decision.fact import Entry
from cutover.decision.kinds import (
    BeginChecks,
    CloseMoney,
    Complete,
    OpenStage,
    ReopenMoney,
    UnlockIntent,
)
from cutover.decision.orders import refusal
from cutover.decision.replay import replay
from cutover.decision.rollback import State, judge_conditions
from cutover.decision.run import NEVER, TERMINAL, Run
from cutover.decision.split import table_share_bp
from cutover.decision.step import table_for
from cutover.decision.traffic import whole_split
from cutover.evidence.observation import (
    Attestation,
    CanaryRound,
    LiveIntent,
    Readiness,
    Started,
    Verdict,
)
from cutover.runbook.document import Runbook
from cutover.runbook.gate import DependencyGate, Evidence, ReadinessGate
from cutover.runbook.intent import LEADING, RISK_OF, Intent, Risk

RUN_BYTES_MAX = 200_000
_ABORT = AbortOrder("checker", "abort is always admitted")


@dataclass
class Seen:
    """What was observed of the candidate, kept apart from the core's own state."""

    ready_at: int = NEVER
    canary_at: int = NEVER
    verdict: Verdict | None = None
    evidence: Evidence = Evidence.REPORTED
    trusted_at: int = NEVER
    identity: str = ""
    identity_seq: int = 0
    live_at: dict[Intent, int] = field(default_factory=dict)


class Lines:
    """A watcher for `World`; raises AssertionError naming the line that is crossed."""

    def __init__(self) -> None:
        self.seen = Seen()
        self.at_rest = True

    def __call__(self, runbook: Runbook, before: Run, entry: Entry, after: Run) -> None:
        self._observe(runbook, entry)
        if entry.seq % 16 == 0 or isinstance(entry.fact, ForgetOrder | OpenStage):
            counted = whole_split(after.serving(), after.generation)
            assert after.split == counted, "the split is not what the nodes have told"
        _exposure(runbook, before, entry, after)
        if isinstance(entry.fact, OpenStage | UnlockIntent) and after.stage > 0:
            self._gates(runbook, entry)
        if isinstance(entry.fact, BeginChecks | Complete):
            assert not before.closed, f"line 2: {entry.fact} while money is refused"
            assert self.seen.verdict is Verdict.VERIFIED, f"line 2: ended on {self.seen.verdict}"
        if isinstance(entry.fact, OpenStage | UnlockIntent):
            self.seen.live_at.clear()
        if after.phase is not before.phase and after.phase not in TERMINAL and after.abort is None:
            assert not refusal(runbook, after, _ABORT), f"line 5: no abort in {after.phase}"

    def rest(self, runbook: Runbook, run: Run, now_ms: int) -> None:
        """Check what must hold whenever the core has come to rest."""
        table = table_for(runbook, run).checked()
        for intent, route in table.routes.items():
            open_here = route.candidate_bp and runbook.candidate not in route.refuse_on
            if RISK_OF[intent] is Risk.MONEY and open_here:
                why = self._untrusted(runbook, now_ms)
                assert not why, f"line 1: {intent} may go to {runbook.candidate}, which is {why}"

    def _untrusted(self, runbook: Runbook, now_ms: int) -> str:
        seen, gate = self.seen, runbook.attestation_gate()
        if seen.verdict in (Verdict.DEGRADED, Verdict.MISSING, Verdict.INVALID):
            return str(seen.verdict)
        if seen.trusted_at == NEVER or now_ms - seen.trusted_at > gate.max_age_ms:
            return "not verified lately"
        return ""

    def _observe(self, runbook: Runbook, entry: Entry) -> None:
        seen, gate = self.seen, runbook.attestation_gate()
        match entry.fact:
            case Readiness() as f if f.plane == runbook.candidate:
                fine = f.status == 200 and f.ready is True and f.health_ready is True
                seen.ready_at = entry.at_ms if fine else NEVER
            case CanaryRound(scheduled=True) as f:
                for verdict in f.verdicts:
                    if verdict.plane == runbook.candidate and _here(verdict.identity, seen):
                        seen.canary_at = entry.at_ms if verdict.ok else NEVER
            case Attestation() as f if f.plane == runbook.candidate:
                if f.identity and seen.identity and f.identity != seen.identity:
                    self.seen = seen = Seen()
                seen.identity = f.identity or seen.identity
                seen.verdict, seen.evidence = f.verdict, f.evidence
                strong = gate.money_evidence is Evidence.REPORTED or f.evidence is Evidence.VERIFIED
                if f.verdict is Verdict.VERIFIED and strong:
                    seen.trusted_at = entry.at_ms
            case LiveIntent() as f if f.plane == runbook.candidate and _here(f.identity, seen):
                seen.live_at[f.intent] = entry.at_ms if f.ok else NEVER
            case Started():
                seen.ready_at = seen.canary_at = seen.trusted_at = NEVER
                seen.live_at.clear()
            case _:
                pass

    def _gates(self, runbook: Runbook, entry: Entry) -> None:
        """Line 2: every gate has young evidence of the candidate as it is now."""
        seen, now = self.seen, entry.at_ms
        for gate in runbook.gates:
            if isinstance(gate, ReadinessGate):
                _young("readiness", seen.ready_at, now, gate.max_age_ms)
            if isinstance(gate, DependencyGate):
                _young("canary", seen.canary_at, now, gate.max_age_ms)
        for intent in LEADING:
            age = runbook.live_intent_gate().max_age_ms
            _young(f"live {intent}", seen.live_at.get(intent, NEVER), now, age)
        assert seen.verdict is Verdict.VERIFIED, f"line 2: promoted while {seen.verdict}"


def _here(identity: str, seen: Seen) -> bool:
    return identity in ("", seen.identity)


def _young(what: str, at: int, now: int, max_age_ms: int) -> None:
    assert at != NEVER, f"line 2: promoted without {what}"
    assert now - at <= max_age_ms, f"line 2: promoted on {what} that is {now - at} ms old"


def _exposure(runbook: Runbook, before: Run, entry: Entry, after: Run) -> None:
    """Line 3: exposure rises only by a promotion, and only when nothing speaks against it."""
    risen = [
        i for i in LEADING if table_share_bp(runbook, after, i) > table_share_bp(runbook, before, i)
    ]
    if risen:
        assert isinstance(entry.fact, OpenStage | UnlockIntent), (
            f"line 3: {entry.fact} raised {risen}"
        )
    if not isinstance(entry.fact, OpenStage | UnlockIntent | ReopenMoney | CloseMoney):
        assert after.closed == before.closed, f"line 3: {entry.fact} changed where money is closed"
        if not risen:
            return
    if isinstance(entry.fact, CloseMoney):
        return
    if isinstance(entry.fact, ReopenMoney) and before.stage < 0:
        return
    _nothing_against(runbook, before, entry)


def _nothing_against(runbook: Runbook, before: Run, entry: Entry) -> None:
    if before.stage < 0:
        return  # the first stage exposes nobody
    found = judge_conditions(runbook, before, entry.at_ms)
    states = {f.rule: f.state for f in found}
    if isinstance(entry.fact, ReopenMoney):
        if before.phase in ("running", "checking"):
            bad = [r for f in found for r in [f.rule] if f.state is State.TRIPPED]
            held = [f.rule for f in found if f.state is State.TRIPPED and f.remedy != "roll_back"]
            assert set(bad) <= set(held), f"line 3: money reopened while {bad} tripped"
        return
    assert set(states.values()) == {State.CLEAR}, f"line 3: promoted while {states}"
    assert before.hold is None, "line 3: promoted while held"
    _soaked(runbook, before, entry)


def _soaked(runbook: Runbook, before: Run, entry: Entry) -> None:
    stage, soak = runbook.stages[before.stage], before.soak
    if isinstance(entry.fact, UnlockIntent):
        unlock = next(u for u in stage.unlocks if u.intent == entry.fact.intent)
        assert soak.clean_ms >= unlock.clean_ms, "line 3: unlocked before the clean time was over"
        assert soak.clean_answers >= unlock.answers, "line 3: unlocked on too few answers"
        return
    assert soak.observed_ms >= stage.soak.observed_ms, "line 3: promoted before soaked"
    assert soak.canary_runs >= stage.soak.canary_runs, "line 3: promoted on too few canary runs"
    assert soak.answers >= stage.soak.answers, "line 3: promoted on too few answers"


def remembered(runbook: Runbook, entries: list[Entry], run: Run) -> None:
    """Lines 9, 11 and 12: the journal alone gives the same state, and the state stays small."""
    strange = [Entry(e.seq, e.at_ms, (e.seq * 7919) % 10**12, e.fact) for e in entries]
    told = replay(strange, lambda text: runbook if text == runbook.text else None)  # type: ignore[arg-type, return-value]  # a wrong text fails loudly
    assert told.divergence is None, f"line 9: {told.divergence}"
    assert told.run == run, "line 9: the journal folds to another state"
    stored = msgspec.json.encode(run)
    assert msgspec.json.decode(stored, type=Run) == run, "line 9: the state does not survive JSON"
    assert len(stored) <= RUN_BYTES_MAX, f"line 12: the state has {len(stored)} bytes"
