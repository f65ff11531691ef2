"""Which faults excuse which requests: nothing else may ever cost a client its answer.

A promotion, a rollback, a table, an order or anything that befalls a conductor is no excuse.
"""

from typing import Final

from cutover.simulator.faults import Fault, Kind

GRACE_MS: Final = 4_000
"""After a fault's end: connections that it left half dead are found out by then."""

_PROCESS: Final = frozenset({Kind.CRASH, Kind.CRASH_AT, Kind.PAUSE})
_PLANE: Final = frozenset(
    {Kind.HANG, Kind.RESTART, Kind.REDEPLOY, Kind.BLACKOUT, Kind.KEY_ROTATION, Kind.INTRUDER}
)
_ROUTE: Final = frozenset({Kind.CUT, Kind.SLOW, Kind.HALVE, Kind.RESET})


def touches_route(fault: Fault, node: str, planes: tuple[str, ...]) -> bool:
    """Whether a fault can cost a request that goes by this node its answer."""
    if fault.what in _PROCESS:
        return fault.where == node
    if fault.what in _PLANE:
        return True
    if fault.what in _ROUTE:
        one, _, other = fault.where.partition("~")
        ways = {node, *planes, "outside", "*"}
        return one in ways and other in ways
    return False


def touches_link(fault: Fault, node: str, conductors: tuple[str, ...]) -> bool:
    """Whether a fault can keep a table from a node."""
    if fault.what in _PROCESS:
        return fault.where == node or fault.where in conductors
    if fault.what in {Kind.TAKEOVER, Kind.DISK_FULL, Kind.TORN_WRITE}:
        return True
    if fault.what in {Kind.CUT, Kind.SLOW, Kind.LOSE, Kind.COPY}:
        one, _, other = fault.where.partition("~")
        ways = {node, *conductors, "*"}
        return one in ways and other in ways
    return False


class Weatherbook:
    """When which fault was at work."""

    def __init__(self) -> None:
        self._known: list[tuple[Fault, int, int]] = []
        self._open: dict[Fault, int] = {}

    def note(self, fault: Fault, now_ms: int, *, begins: bool) -> None:
        """A fault begins or ends."""
        if begins:
            self._open[fault] = now_ms
        else:
            self._known.append((fault, self._open.pop(fault, now_ms), now_ms))

    def between(self, since_ms: int, until_ms: int) -> list[Fault]:
        """Faults at work at any moment of a span, or shortly before it."""
        past = [f for f, a, b in self._known if a <= until_ms and b + GRACE_MS >= since_ms]
        return past + [f for f, a in self._open.items() if a <= until_ms]
