"""What each word of a schedule does to the world; one function a kind, with its undoing."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from cutover.errors import ConfigurationError
from cutover.simulator.faults import Fault, Kind, Schedule
from cutover.simulator.kernel.host import Host
from cutover.simulator.kernel.weather import Condition
from cutover.simulator.world.intruder import intruder
from cutover.simulator.world.plane import Plane

if TYPE_CHECKING:
    from cutover.simulator.world.world import World

UNSEEING_MS: Final = 400
"""For which a conductor that wakes waits for the first answer of a plane."""

Undo = Callable[[], None]
Begin = Callable[["World", Fault], Undo | None]


async def play(world: "World", schedule: Schedule) -> None:
    """Let the faults of a schedule happen; returns when the last has ended."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.TaskGroup() as group:
        for fault in schedule:  # one after another: what happens at once happens as written
            await asyncio.sleep(began + fault.at_ms / 1000 - loop.time())
            world.say("fault", "begins", str(fault))
            world.faulty(fault, begins=True)
            group.create_task(_end(world, fault, BEGIN[fault.what](world, fault)))


async def _end(world: "World", fault: Fault, undo: Undo | None) -> None:
    if undo is not None:
        await asyncio.sleep(fault.lasts_ms / 1000)
        undo()
    world.say("fault", "ends", str(fault))
    world.faulty(fault, begins=False)


def _crash(world: "World", fault: Fault) -> Undo:
    process = world.process(fault.where)
    process.supervised = False
    process.crash()

    def again() -> None:
        process.supervised = True
        process.start()

    return again


def _crash_at(world: "World", fault: Fault) -> None:
    world.crash_at(fault.where, fault.detail)


def _pause(world: "World", fault: Fault) -> Undo:
    process = world.process(fault.where)
    process.pause()
    return process.go_on


def _takeover(world: "World", _: Fault) -> Undo:
    first, second = world.conductors
    host = first.host
    if host is None or first.journal is None:
        return lambda: None
    first.supervised = False  # its machine has been replaced; it only wakes once more
    host.pause()
    first.journal.lose_lock()
    second.supervised = True
    second.start()
    world.conductors.reverse()
    world.network.break_calls(first.name)  # its address is the standby's now
    return lambda: _wake(world, host)


def _wake(world: "World", host: Host) -> None:
    """A stale conductor goes on; for a moment nodes may reach it, and it sees nothing yet.

    Its first write is its last, so that is all the time in which it could do harm.
    """
    network = world.network
    unseeing = [Condition(host.name, plane, slow_ms=UNSEEING_MS) for plane in world.planes]
    for condition in unseeing:
        network.weather.add(condition)
    for conductor in world.conductors:
        network.break_calls(conductor.name)
    host.go_on()

    def sees() -> None:
        for condition in unseeing:
            network.weather.remove(condition)
        network.weather_changed()

    world.loop.call_later(UNSEEING_MS / 1000, sees)


def _weather(world: "World", fault: Fault) -> Undo:
    one, _, other = fault.where.partition("~")
    amount = float(fault.detail or 0)
    condition = Condition(
        one,
        other,
        cut=fault.what is Kind.CUT,
        slow_ms=amount if fault.what is Kind.SLOW else 0.0,
        lose=amount / 100 if fault.what is Kind.LOSE else 0.0,
        copy=amount / 100 if fault.what is Kind.COPY else 0.0,
        halve=amount / 100 if fault.what is Kind.HALVE else 0.0,
    )
    world.network.weather.add(condition)

    def lift() -> None:
        world.network.weather.remove(condition)
        world.network.weather_changed()

    return lift


def _reset(world: "World", fault: Fault) -> None:
    one, _, other = fault.where.partition("~")
    world.network.reset_between(one, other)


def _wall_jump(world: "World", fault: Fault) -> None:
    world.clock.offset_ms += int(fault.detail) * 1000


def _disk_full(world: "World", _: Fault) -> Undo:
    world.disk.full = True
    world.limit_disk()

    def space() -> None:
        world.disk.full = False
        world.limit_disk()

    return space


def _torn_write(world: "World", _: Fault) -> None:
    world.disk.tear = lambda: world.die(world.conductors[0].name)


def _plane(fault: Fault, world: "World") -> Plane:
    return world.planes[fault.where]


def _not_ready(world: "World", fault: Fault) -> Undo:
    plane = _plane(fault, world)
    plane.ready = None
    return lambda: setattr(plane, "ready", True)


def _canary_fails(world: "World", fault: Fault) -> Undo:
    return _failing([_plane(fault, world)], fault.detail)


def _third_party(world: "World", fault: Fault) -> Undo:
    return _failing(list(world.planes.values()), fault.detail)


def _failing(planes: list[Plane], check: str) -> Undo:
    for plane in planes:
        plane.failing[check] = '{"error":"as told"}'

    def well() -> None:
        for plane in planes:
            plane.failing.pop(check, None)

    return well


def _payments(world: "World", fault: Fault) -> Undo:
    plane = _plane(fault, world)
    plane.pays = False
    return lambda: setattr(plane, "pays", True)


def _hang(world: "World", fault: Fault) -> Undo:
    plane = _plane(fault, world)
    plane.hang = True
    return lambda: setattr(plane, "hang", False)


def _restart(world: "World", fault: Fault) -> Undo:
    plane = _plane(fault, world)
    plane.crash()
    return plane.start


def _redeploy(world: "World", fault: Fault) -> Undo:
    plane = _plane(fault, world)
    plane.crash()
    plane.compose = f"compose-{plane.instance + 1}"
    return plane.start


def _blackout(world: "World", _: Fault) -> Undo:
    planes = list(world.planes.values())
    for plane in planes:
        plane.crash()

    def light() -> None:
        for plane in planes:
            plane.start()

    return light


def _key_rotation(world: "World", fault: Fault) -> None:
    _plane(fault, world).tls_key += 1


def _intruder(world: "World", fault: Fault) -> Undo:
    """He is between everybody and the candidate; connections that were open do not survive him."""
    network, name = world.network, _plane(fault, world).name
    network.between[name] = intruder(world.watch.overheard)
    _reset_all(world, name)

    def gone() -> None:
        del network.between[name]
        _reset_all(world, name)

    return gone


def _reset_all(world: "World", name: str) -> None:
    for place in world.places():
        if place != name:
            world.network.reset_between(place, name)


def _tee(name: str, bad: object, good: object) -> Begin:
    def begin(world: "World", _: Fault) -> Undo:
        setattr(world.tee, name, bad)
        return lambda: setattr(world.tee, name, good)

    return begin


def _chain_down(world: "World", _: Fault) -> Undo:
    world.chain.answers = False
    return lambda: setattr(world.chain, "answers", True)


def _reference_down(world: "World", _: Fault) -> Undo:
    world.reference.fine = False
    return lambda: setattr(world.reference, "fine", True)


def _order(world: "World", fault: Fault) -> None:
    world.operators.give(fault.detail, "operator")


BEGIN: Final[dict[Kind, Begin]] = {
    Kind.CRASH: _crash,
    Kind.CRASH_AT: _crash_at,
    Kind.PAUSE: _pause,
    Kind.TAKEOVER: _takeover,
    Kind.CUT: _weather,
    Kind.SLOW: _weather,
    Kind.LOSE: _weather,
    Kind.COPY: _weather,
    Kind.HALVE: _weather,
    Kind.RESET: _reset,
    Kind.WALL_JUMP: _wall_jump,
    Kind.DISK_FULL: _disk_full,
    Kind.TORN_WRITE: _torn_write,
    Kind.NOT_READY: _not_ready,
    Kind.CANARY_FAILS: _canary_fails,
    Kind.THIRD_PARTY_DOWN: _third_party,
    Kind.PAYMENTS_FAIL: _payments,
    Kind.HANG: _hang,
    Kind.RESTART: _restart,
    Kind.REDEPLOY: _redeploy,
    Kind.BLACKOUT: _blackout,
    Kind.KEY_ROTATION: _key_rotation,
    Kind.COLLATERAL_DOWN: _tee("collateral", False, True),
    Kind.TCB_RECOVERY: _tee("tcb", "OutOfDate", "UpToDate"),
    Kind.GUEST_GONE: _tee("guest", "nothing", "quote"),
    Kind.OTHER_QUOTE: _tee("guest", "other", "quote"),
    Kind.REPLAYED_QUOTE: _tee("guest", "replay", "quote"),
    Kind.INTRUDER: _intruder,
    Kind.CHAIN_DOWN: _chain_down,
    Kind.REFERENCE_DOWN: _reference_down,
    Kind.ORDER: _order,
}


def check_places(schedule: Schedule, places: list[str], name: str) -> None:
    """Refuse a schedule that names a place which the world has not got.

    Raises:
        ConfigurationError: naming the fault and the places.
    """
    for fault in schedule:
        for place in fault.where.split("~") if fault.where else ():
            if place not in places:
                raise ConfigurationError(
                    f"{name}: {fault} names {place!r}, expected one of {', '.join(places)}"
                )
