"""Raising a share sends nobody back: shares are monotone and two-sided (design §5).

A conversation that was moved finds its state where it went, so losing it by a promotion is losing
requests (line 7). Judged on the choice that the gateway's workers make, for a fixed few of all the
conversations there may be: a choice that goes by anything but table and key moves half of them.
"""

from typing import Final

from cutover.gateway.standing import Standing
from cutover.routing.pick import pick
from cutover.routing.table import RoutingTable
from cutover.runbook.intent import Intent
from cutover.simulator.checkers.violation import never

CONVERSATIONS: Final = tuple(f"conversation-{number}" for number in range(24))


def sticky(old: RoutingTable | None, new: RoutingTable) -> None:
    """Compare where two tables of one run, one after the other, send conversations.

    Raises:
        Violation: one that the candidate had is sent back although no share fell, or gateway and
            core disagree about one.
    """
    if old is None or old.run != new.run:
        return
    for intent in Intent:
        share = new.routes[intent].candidate_bp
        had, has = (_moved(table, intent) for table in (old, new))
        lost = had - has if share >= old.routes[intent].candidate_bp else frozenset()
        never(7, bool(lost), f"{intent} {_few(lost)} went back at a share of {share} bp")


def _few(keys: frozenset[str]) -> str:
    return ", ".join(sorted(keys)[:3])


def _moved(table: RoutingTable, intent: Intent) -> frozenset[str]:
    """Conversations that are the candidate's, by the gateway and by the core alike."""
    planes = {name: name for name in (table.fallback, table.candidate)}
    standing = Standing(1, table, planes)
    chosen = {key: standing.choose(intent, key)[0].plane for key in CONVERSATIONS}
    for key, plane in chosen.items():
        said = pick(table, intent, key)
        never(7, plane != said, f"{intent} {key}: a gateway chooses {plane}, the core {said}")
    return frozenset(key for key, plane in chosen.items() if plane == table.candidate)
