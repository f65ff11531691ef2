"""One simulation from its seed to its verdict.

First the faults: whatever happens then, no line may be crossed. Then they stop, somebody attends to
what a person has to put right, and the run must come to an end that the runbook knows.
"""

import asyncio
import contextlib
import gc
import logging
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from cutover.conductor.log import hushed
from cutover.crashpoint import POINTS, Process
from cutover.decision.run import TERMINAL
from cutover.decision.status import status_of
from cutover.gateway.crashing import instrumented
from cutover.runbook.document import Runbook
from cutover.simulator.accidents import check_places, play
from cutover.simulator.checkers.violation import Violation
from cutover.simulator.faults import Kind, Schedule
from cutover.simulator.kernel.loop import HangError, SimulationLoop
from cutover.simulator.kernel.run import run
from cutover.simulator.trace import Trace
from cutover.simulator.watch.requests import check_answered
from cutover.simulator.watch.watcher import Told, Watcher, nobody
from cutover.simulator.world.clients import PATIENCE_SECONDS
from cutover.simulator.world.world import Habits, World, secrets

COLLECTED_EVERY: Final = 200_000
"""Objects that are made between two looks for cycles among the youngest."""

FIRST_TABLE_SECONDS: Final = 60.0
LIVELY_SECONDS: Final = 1_200.0
"""After the last fault a run of a few minutes has so much simulated time to come to an end."""
SOAKS_MAX: Final = 2
"""A run of days has so many times what its stages soak."""
LOOKS_AN_ATTENDANCE: Final = 4
"""How often it is looked whether the run is over, each time that a person looks at it."""


class Verdict(msgspec.Struct, frozen=True):
    """What a simulation found.

    Attributes:
        seed: of the simulation.
        line: number of the line of the design that was crossed; 0 for none. Liveness is 13, a
            defect (an exception where there must be none) 14, a hang 15.
        text: what was seen; empty when all is well.
        phase: where the run ended.
        entries: of its journal.
        requests: that clients made.
        excused: of those, how many a fault cost their answer.
        moves: decisions by kind.
        simulated_ms: simulated time in all.
        digest: of the whole trace.
        last: the last lines of the trace, when something was found.
    """

    seed: int
    line: int = 0
    text: str = ""
    phase: str = ""
    entries: int = 0
    requests: int = 0
    excused: int = 0
    moves: dict[str, int] = {}
    simulated_ms: int = 0
    digest: str = ""
    last: tuple[str, ...] = ()


LIVENESS, DEFECT, HANG = 13, 14, 15


def simulate(
    runbook: Runbook, seed: int, schedule: Schedule, *, habits: Habits | None = None,
    output: IO[bytes] | None = None, until: str = "", told: Told = nobody,
) -> Verdict:  # fmt: skip
    """Play one simulation.

    Args:
        runbook: that is executed.
        seed: of all chance in it.
        schedule: faults, in order of time.
        habits: how the world is; None for the usual.
        output: where the trace is written.
        until: a phase or stage at which to end early.
        told: hears where the run is, with the simulated time, whenever it has come elsewhere.

    Raises:
        ConfigurationError: the schedule names a place that the world has not got.
    """
    folder = Path(tempfile.mkdtemp(prefix="simulation-", dir=_memory()))
    try:
        with (
            _hushed(),
            _seldom_collected(),
            instrumented() if _in_workers(schedule) else contextlib.nullcontext(),
        ):
            watcher = Watcher(runbook, told)
            return run(_simulate(watcher, seed, schedule, habits, output, until, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _seldom_collected() -> Iterator[None]:
    """Look for cycles seldom: a quarter of a simulation's time went there, and it is soon over."""
    before = gc.get_threshold()
    gc.set_threshold(COLLECTED_EVERY, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """Keep the processes' own logs from the terminal: the trace tells what happened, and when."""
    log, nobody = logging.getLogger("cutover"), logging.NullHandler()
    propagated = log.propagate
    log.addHandler(nobody)
    log.propagate = False
    try:
        with hushed():
            yield
    finally:
        log.removeHandler(nobody)
        log.propagate = propagated


def _in_workers(schedule: Schedule) -> bool:
    """Whether a worker is to die on a request's way, which has no crash points otherwise."""
    points = {fault.detail for fault in schedule if fault.what is Kind.CRASH_AT}
    return any(name in POINTS and POINTS[name].process is Process.WORKER for name in points)


def _memory() -> str | None:
    """A file system in memory where there is one: its disk is simulated, its speed need not be."""
    shared = Path("/dev/shm")  # noqa: S108 - a directory of our own is made in it
    return str(shared) if shared.is_dir() else None


async def _simulate(
    watcher: Watcher, seed: int, schedule: Schedule, habits: Habits | None,
    output: IO[bytes] | None, until: str, folder: Path,
) -> Verdict:  # fmt: skip
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimulationLoop)  # noqa: S101 - made above
    runbook, trace = watcher.runbook, Trace(output)
    world = World(loop, runbook, seed, folder, trace, habits or Habits(), watcher)
    check_places(schedule, world.places(), "the schedule")
    watcher.join(world, secrets(runbook))
    found: tuple[int, str] = (0, "")
    try:
        world.start()
        found = await _guarded(world, watcher, schedule, until)
    except HangError as error:
        found = (HANG, str(error))
    finally:
        world.bury()
    return _verdict(world, watcher, trace, seed, found)


async def _guarded(
    world: World, watcher: Watcher, schedule: Schedule, until: str
) -> tuple[int, str]:
    """Play until the end or the first violation."""
    playing = asyncio.ensure_future(_acts(world, watcher, schedule, until))
    violated = asyncio.ensure_future(watcher.violated.wait())
    await asyncio.wait((playing, violated), return_when=asyncio.FIRST_COMPLETED)
    for task in (playing, violated):
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    if watcher.violation is not None:
        return watcher.violation.line, watcher.violation.text
    if world.loop.defects:
        return DEFECT, _defect(world.loop.defects[0])
    try:
        return playing.result()
    except Violation as violation:
        return violation.line, violation.text


async def _acts(world: World, watcher: Watcher, schedule: Schedule, until: str) -> tuple[int, str]:
    await _first_table(world)
    clients = asyncio.ensure_future(world.clients.run())
    await _either(play(world, schedule), _arrived(watcher, until))
    if not until or not _is_at(watcher, until):
        attending = asyncio.ensure_future(world.operators.attend())
        ended = await _ended(world, watcher, until)
        attending.cancel()
    else:
        ended = True
    clients.cancel()
    await _quiet(world)
    watcher.prompt()
    watcher.count(world.clients.asked)
    planes = tuple(world.planes)
    watcher.excused = check_answered(world.clients.asked, watcher.book, planes)
    watcher.end(world.states())
    if not ended:
        status = status_of(world.runbook, watcher.run, watcher.run.at)
        lively = f"{_lively_seconds(world.runbook):g} s after the last fault"
        return LIVENESS, f"still {status.line()} {lively}"
    return 0, ""


async def _either(one: Any, other: Any) -> None:
    tasks = [asyncio.ensure_future(one), asyncio.ensure_future(other)]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        if task not in done:
            task.cancel()
    for task in done:
        task.result()


async def _arrived(watcher: Watcher, until: str) -> None:
    """Wait for the run to be where it was wanted, or at its end with everything else."""
    while not (until and _is_at(watcher, until)):  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(1)


def _is_at(watcher: Watcher, until: str) -> bool:
    run, stages = watcher.run, [s.name for s in watcher.runbook.stages]
    return until == run.phase or (run.stage >= 0 and stages[run.stage] == until)


async def _first_table(world: World) -> None:
    """Clients come once there is something that answers them."""
    async with asyncio.timeout(FIRST_TABLE_SECONDS):
        while not all(node.generation() for node in world.nodes):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.1)


async def _ended(world: World, watcher: Watcher, until: str) -> bool:
    pace = world.habits.attend_every_ms / 1000 / LOOKS_AN_ATTENDANCE
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_lively_seconds(world.runbook)):
            while watcher.run.phase not in TERMINAL and not (until and _is_at(watcher, until)):  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(pace)
            return True
    return False


def _lively_seconds(runbook: Runbook) -> float:
    soak = sum(stage.soak.observed_ms for stage in runbook.stages)
    return max(LIVELY_SECONDS, SOAKS_MAX * soak / 1000)


async def _quiet(world: World) -> None:
    """Wait for the last answers."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_SECONDS + 5):
            while world.clients.waiting():  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.5)


def _defect(context: dict[str, Any]) -> str:
    error = context.get("exception")
    return f"{context.get('message')}: {type(error).__name__}: {error}"


def _verdict(
    world: World, watcher: Watcher, trace: Trace, seed: int, found: tuple[int, str]
) -> Verdict:
    line, text = found
    return Verdict(
        seed=seed,
        line=line,
        text=text,
        phase=str(watcher.run.phase),
        entries=len(watcher.entries),
        requests=len(world.clients.asked),
        excused=watcher.excused,
        moves=_moves(watcher.entries),
        simulated_ms=world.loop.now_ms(),
        digest=trace.digest(),
        last=tuple(line.decode().rstrip() for line in trace.last) if line else (),
    )


def _moves(entries: Sequence[Any]) -> dict[str, int]:
    return dict(sorted(Counter(type(entry.fact).__name__ for entry in entries).items()))
