"""Random schedules: a few faults of any kind, anywhere, at any time of the run.

Kinds are drawn by weight, so that what is rare in life is not rare here; places, times and amounts
are drawn after that. The same seed gives the same schedule for the same words.
"""

from collections.abc import Mapping, Sequence
from random import Random  # noqa: TID251 - the type and the generator; the seed is passed in
from typing import Final

from cutover.crashpoint import POINTS, Process
from cutover.simulator.faults import WORDS, Fault, Kind, Schedule
from cutover.simulator.world.texts import CHECKS

FAULTS_MEAN: Final = 3.2
FAULTS_MAX: Final = 8
LASTS_MS: Final = (100, 9_000)
LIMITS_MS: Final = (3_000, 4_000, 10_000)
"""Limits of swift.toml: when looks are too far apart for a soak, a plane is unseen or sick, a
canary is too old, a verdict is no longer believed. A bug about a limit shows only close to it."""
NEAR_MS: Final = (-300, 900)
NEAR_PERCENT: Final = 40
"""So many of the faults that last end close to a limit after they began."""
ORDERS: Final = ("hold", "resume", "promote", "retry", "disarm", "abort")
ORDER_WEIGHTS: Final = (6, 4, 2, 4, 2, 1)

WEIGHTS: Final[Mapping[Kind, int]] = {
    Kind.CRASH: 6, Kind.CRASH_AT: 10, Kind.PAUSE: 5, Kind.TAKEOVER: 4, Kind.CUT: 6, Kind.SLOW: 4,
    Kind.LOSE: 4, Kind.COPY: 3, Kind.HALVE: 3, Kind.RESET: 3, Kind.WALL_JUMP: 3, Kind.DISK_FULL: 3,
    Kind.TORN_WRITE: 4, Kind.NOT_READY: 4, Kind.CANARY_FAILS: 4, Kind.THIRD_PARTY_DOWN: 3,
    Kind.PAYMENTS_FAIL: 3, Kind.HANG: 3, Kind.RESTART: 4, Kind.REDEPLOY: 3,
    Kind.BLACKOUT: 2, Kind.KEY_ROTATION: 3, Kind.COLLATERAL_DOWN: 3,
    Kind.TCB_RECOVERY: 3, Kind.GUEST_GONE: 3, Kind.OTHER_QUOTE: 3, Kind.REPLAYED_QUOTE: 2,
    Kind.INTRUDER: 3, Kind.CHAIN_DOWN: 3, Kind.REFERENCE_DOWN: 2, Kind.ORDER: 8,
}  # fmt: skip


def random_schedule(
    seed: int, horizon_ms: int, nodes: Sequence[str], planes: Sequence[str]
) -> Schedule:
    """Faults of one simulation.

    Args:
        seed: of the simulation.
        horizon_ms: faults begin before this, simulated milliseconds.
        nodes: names of the gateway nodes.
        planes: fallback first.
    """
    chance = Random(f"{seed}/schedule")  # noqa: S311 - a simulation must repeat itself
    number = min(FAULTS_MAX, int(chance.expovariate(1 / FAULTS_MEAN) + 0.6))
    kinds = chance.choices(list(WEIGHTS), list(WEIGHTS.values()), k=number)
    drawn = [_fault(chance, kind, horizon_ms, nodes, planes) for kind in kinds]
    return _apart(sorted(drawn, key=lambda fault: (fault.at_ms, fault.what)))


def _fault(
    chance: Random, kind: Kind, horizon_ms: int, nodes: Sequence[str], planes: Sequence[str]
) -> Fault:
    word = WORDS[kind]
    at = chance.randrange(horizon_ms)
    lasts = _lasts(chance) if word.lasts else 0
    where = _where(chance, word.where, nodes, planes)
    return Fault(kind, at, lasts, where, _detail(chance, kind, where))


def _lasts(chance: Random) -> int:
    if chance.randrange(100) < NEAR_PERCENT:
        return chance.choice(LIMITS_MS) + chance.randrange(*NEAR_MS)
    return chance.randrange(*LASTS_MS)


def _where(chance: Random, of: str, nodes: Sequence[str], planes: Sequence[str]) -> str:
    match of:
        case "":
            return ""
        case "process":
            return chance.choice(["conductor", *nodes])
        case "plane":
            return chance.choice([planes[1], planes[1], planes[0]])
        case "candidate":
            return planes[1]
        case _:
            return "~".join(chance.choice(_pairs(nodes, planes)))


def _pairs(nodes: Sequence[str], planes: Sequence[str]) -> list[tuple[str, str]]:
    pairs = [("conductor", other) for other in (*nodes, *planes)]
    pairs += [(node, plane) for node in nodes for plane in planes]
    return [*pairs, ("conductor", "*")]


def _detail(chance: Random, kind: Kind, where: str) -> str:
    match kind:
        case Kind.CRASH_AT:
            whose = {Process.CONDUCTOR} if where == "conductor" else {Process.NODE, Process.WORKER}
            return chance.choice([name for name, point in POINTS.items() if point.process in whose])
        case Kind.SLOW:
            return str(chance.choice([20, 200, 1_000, 3_000]))
        case Kind.LOSE | Kind.COPY | Kind.HALVE:
            return str(chance.choice([5, 30, 100]))
        case Kind.WALL_JUMP:
            return str(chance.choice([-86_400, -60, 60, 86_400]))
        case Kind.CANARY_FAILS | Kind.THIRD_PARTY_DOWN:
            return chance.choice(list(CHECKS))
        case Kind.ORDER:
            return chance.choices(ORDERS, ORDER_WEIGHTS)[0]
        case _:
            return ""


def _apart(schedule: Sequence[Fault]) -> Schedule:
    """Leave out a fault that begins where another of its kind is at work already.

    Their ends would undo each other's beginnings, which no real fault does.
    """
    kept: list[Fault] = []
    for fault in schedule:
        same = [one for one in kept if (one.what, one.where) == (fault.what, fault.where)]
        same += [one for one in kept if _clash(one, fault)]
        if all(one.at_ms + one.lasts_ms < fault.at_ms for one in same):
            kept.append(fault)
    return tuple(kept)


_CLASHES: Final = (
    frozenset({Kind.CRASH, Kind.PAUSE, Kind.TAKEOVER}),
    frozenset({Kind.RESTART, Kind.REDEPLOY, Kind.BLACKOUT}),
    frozenset({Kind.GUEST_GONE, Kind.OTHER_QUOTE, Kind.REPLAYED_QUOTE}),
)
"""Kinds that set the same thing well when they end, so that only one is at work at a place."""

_EVERYWHERE: Final = frozenset({Kind.TAKEOVER, Kind.BLACKOUT})


def _clash(one: Fault, other: Fault) -> bool:
    if not any({one.what, other.what} <= kinds for kinds in _CLASHES):
        return False
    return one.where == other.where or bool({one.what, other.what} & _EVERYWHERE)
