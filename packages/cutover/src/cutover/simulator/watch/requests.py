"""Line 7: no request is lost by a promotion, a rollback, a conductor's crash or a switch."""

from typing import Final

from cutover.simulator.checkers.violation import never
from cutover.simulator.watch.excuses import Weatherbook, touches_route
from cutover.simulator.world.clients import Asked

CLEAR: Final = frozenset({"payments_paused"})
"""Refusals that a routing table asks for: money fails closed, with a clear answer."""


def check_answered(asked: list[Asked], book: Weatherbook, planes: tuple[str, ...]) -> int:
    """Every request has an answer of its plane, a clear refusal, or an excuse.

    Returns:
        How many were excused.

    Raises:
        Violation: one has none of them.
    """
    excused = 0
    for one in asked:
        if one.status == 200 or one.code in CLEAR:
            continue
        faults = book.between(one.sent_ms, one.ended_ms)
        excused += 1
        never(
            7,
            not any(touches_route(fault, one.node, planes) for fault in faults),
            f"request {one.number} ({one.intent}, sent at {one.sent_ms} ms by {one.node}) ended "
            f"with {one.status or one.error} {one.code}, and nothing excuses it",
        )
    return excused
