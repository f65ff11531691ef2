"""Line 1: no payment to a candidate that is not proved, nor before its stage lets it go there.

What a table sends to the candidate at all it sends to the TLS key that the candidate has proved.
"""

from cutover.decision.fact import Entry
from cutover.decision.kinds import OpenStage, UnlockIntent
from cutover.decision.run import Phase, Run
from cutover.evidence.observation import Verdict
from cutover.routing.table import RoutingTable
from cutover.runbook.document import Runbook
from cutover.runbook.intent import RISK_OF, Intent, Risk
from cutover.simulator.checkers.seen import Seen
from cutover.simulator.checkers.streak import NEVER
from cutover.simulator.checkers.violation import Violation, never

MONEY = tuple(intent for intent in Intent if RISK_OF[intent] is Risk.MONEY)


def rest_01_money(runbook: Runbook, seen: Seen, run: Run, now_ms: int) -> None:
    """With the core at rest, what may carry a payment to the candidate does so rightly.

    What comes after the end of a complete run is not the run's: no conductor is there to act.
    """
    if run.phase is Phase.COMPLETE:
        return
    _endpoint(runbook, seen)
    if seen.money_open and (why := untrusted(runbook, seen, now_ms)):
        intents = ", ".join(seen.money_open)
        raise Violation(1, f"{intents} may go to {runbook.candidate}, which is {why}")


def _endpoint(runbook: Runbook, seen: Seen) -> None:
    """Whatever goes to the candidate goes to the key that it has proved, or nowhere."""
    table, key = seen.table, seen.candidate.key
    if table is None or key is None or not runbook.attestation_gate().proves:
        return
    there = any(route.candidate_bp for route in table.routes.values())
    other = there and table.candidate_spki != key
    never(1, other, f"the table names key {table.candidate_spki!r}, proved is {key!r}")


def check_01_money(runbook: Runbook, seen: Seen, before: Run, entry: Entry, after: Run) -> None:
    """No table gives the candidate more payments than the stage that was opened allows."""
    if after.generation == before.generation or seen.table is None:
        return
    number = seen.stage + isinstance(entry.fact, OpenStage)
    allowed = 0
    if number >= 0:
        stage = runbook.stages[number]
        free = seen.unlocked if number == seen.stage else set()
        if isinstance(entry.fact, UnlockIntent):
            free = free | {entry.fact.intent}
        raised = [u.share_bp for u in stage.unlocks if u.intent is Intent.PAY and u.intent in free]
        allowed = max([stage.share_bp[Intent.PAY], *raised])
    share = seen.table.routes[Intent.PAY].candidate_bp
    never(1, share > allowed, f"entry {entry.seq}: pay has {share} bp, its stage allows {allowed}")


def money_open(table: RoutingTable) -> tuple[Intent, ...]:
    """Intents that may move money and that a table lets go to the candidate."""
    routes = [(intent, table.routes[intent]) for intent in MONEY]
    return tuple(i for i, r in routes if r.candidate_bp and table.candidate not in r.refuse_on)


def untrusted(runbook: Runbook, seen: Seen, now_ms: int) -> str:
    """Why no money may rest on the candidate; empty when it may."""
    mine = seen.candidate
    if mine.verdict in (Verdict.DEGRADED, Verdict.MISSING, Verdict.INVALID):
        return str(mine.verdict)
    if mine.trusted_until == NEVER or now_ms > mine.trusted_until:
        return "not verified lately"
    return ""
