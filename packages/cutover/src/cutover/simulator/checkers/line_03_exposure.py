"""Line 3: exposure rises by a promotion only, and only when nothing at all speaks against it."""

from cutover.decision.fact import Entry
from cutover.decision.kinds import BeginChecks, CloseMoney, OpenStage, ReopenMoney, UnlockIntent
from cutover.decision.rollback import Finding, Remedy, State, judge_conditions
from cutover.decision.run import Phase, Run
from cutover.evidence.observation import Verdict
from cutover.routing.table import RoutingTable
from cutover.runbook.document import Runbook
from cutover.runbook.intent import Intent
from cutover.simulator.checkers.line_01_money import untrusted
from cutover.simulator.checkers.seen import Seen
from cutover.simulator.checkers.streak import NEVER
from cutover.simulator.checkers.violation import Violation, never

RISES = (OpenStage, UnlockIntent)


def check_03_exposure(runbook: Runbook, seen: Seen, before: Run, entry: Entry, after: Run) -> None:
    """Whatever an entry does to the table, it does by right."""
    if after.closed != before.closed:
        moved = isinstance(entry.fact, CloseMoney | ReopenMoney)
        never(3, not moved, f"{_name(entry)} changed where money is refused")
    if isinstance(entry.fact, (*RISES, BeginChecks)) and seen.stage >= 0:
        _nothing_against(runbook, seen, before, entry)
        _soaked(runbook, seen, entry)
    if isinstance(entry.fact, ReopenMoney) and before.stage >= 0:
        _reopened(runbook, seen, before, entry)


def risen(old: RoutingTable | None, new: RoutingTable, entry: Entry) -> None:
    """Compare a table with the one before it.

    Raises:
        Violation: a share rose, and no promotion was decided.
    """
    if old is None:
        up = [i for i, r in new.routes.items() if r.candidate_bp]
    else:
        up = [i for i in Intent if new.routes[i].candidate_bp > old.routes[i].candidate_bp]
    wrong = bool(up) and not isinstance(entry.fact, RISES)
    never(3, wrong, f"{_name(entry)} raised {', '.join(up)}")


def _nothing_against(runbook: Runbook, seen: Seen, before: Run, entry: Entry) -> None:
    now = entry.at_ms
    never(3, seen.held, "promoted while an operator holds")
    never(3, seen.aborted, "promoted after an abort")
    off = [rule for rule, until in seen.disarmed.items() if now < until]
    never(3, bool(off), f"promoted while {off} are disarmed")
    never(3, bool(seen.silent), f"promoted while gateways {sorted(seen.silent)} are silent")
    for node in seen.nodes:
        said = seen.in_force.get(node, {}).values()
        other = (before.term, before.generation) not in said
        never(3, other, f"promoted while {node} has {sorted(said)} in force")
    for plane in runbook.planes:
        streak = seen.streak(plane)
        never(3, streak.sick, f"promoted while {plane} is sick")
        unseen = streak.at == NEVER or now - streak.at > runbook.blind.after_ms
        never(3, unseen, f"promoted while {plane} is not being seen")
    verdict = seen.candidate.verdict
    poor = verdict in (Verdict.DEGRADED, Verdict.STALE)
    never(3, poor, f"promoted while attestation is {verdict}")
    states = {f.rule: f.state for f in judge_conditions(runbook, before, now)}
    never(3, set(states.values()) != {State.CLEAR}, f"promoted while {states}")


def _soaked(runbook: Runbook, seen: Seen, entry: Entry) -> None:
    """By the record's own bounds the stage is soaked, or the clean time over."""
    stage, soak = runbook.stages[seen.stage], seen.soak
    if isinstance(entry.fact, UnlockIntent):
        intent = entry.fact.intent
        unlock = next(u for u in stage.unlocks if u.intent == intent)
        _enough(f"{intent} unlocked", "clean ms", soak.clean_ms, unlock.clean_ms)
        _enough(f"{intent} unlocked", "clean answers", soak.clean_answers, unlock.answers)
        return
    _enough("promoted", "observed ms", soak.observed_ms, stage.soak.observed_ms)
    _enough("promoted", "canary runs", soak.canary_runs, stage.soak.canary_runs)
    _enough("promoted", "answers", soak.answers, stage.soak.answers)


def _enough(did: str, what: str, most: int, need: int) -> None:
    never(3, most < need, f"{did} on at most {most} {what}, {need} are asked for")


def _reopened(runbook: Runbook, seen: Seen, before: Run, entry: Entry) -> None:
    """Money is admitted again only while nothing is tripped and the planes may take it."""
    if before.phase is not Phase.ABORTING:
        sick = seen.streak(runbook.fallback).sick
        never(3, sick, f"money reopened while {runbook.fallback} is sick")
    if before.phase not in (Phase.RUNNING, Phase.CHECKING):
        return
    found = judge_conditions(runbook, before, entry.at_ms)
    bad = [f.rule for f in found if f.state is State.TRIPPED and _matters(f)]
    never(3, bool(bad), f"money reopened while {bad} tripped")
    pays = runbook.share_bp(before.stage, before.unlocked, Intent.PAY) and not before.repinned
    if pays and (why := untrusted(runbook, seen, entry.at_ms)):
        raise Violation(3, f"money reopened on a candidate that is {why}")


def _matters(finding: Finding) -> bool:
    return finding.remedy is Remedy.ROLL_BACK


def _name(entry: Entry) -> str:
    return f"entry {entry.seq}, {type(entry.fact).__name__},"
