"""Runs one scenario against the pure core and judges it.

After every entry and every rest the checkers look on; at the end the journal is replayed.
"""

import functools
import json
from pathlib import Path
from typing import Final

import msgspec

from cutover.runbook.finding import RunbookError
from cutover.runbook.gate import PostCheckName
from cutover.runbook.load import load_text
from cutover.simulator.checkers.violation import Violation
from cutover.simulator.checkers.watch import Watch
from cutover.simulator.conformance.document import Scenario, Step, read
from cutover.simulator.conformance.errors import ScenarioError, UnmetError
from cutover.simulator.conformance.runbooks import runbook_text
from cutover.simulator.conformance.scene import Scene, known, standing
from cutover.simulator.conformance.steps import STEPS
from cutover.simulator.conformance.world import World

HURRY_MS: Final = 10_000
"""How often is looked on the way to the starting point of a brisk run."""

ARRIVES_MS: Final = 20 * 86_400_000
"""A healthy run reaches every starting point sooner."""


class Problem(msgspec.Struct, frozen=True):
    """Why a scenario does not hold.

    Attributes:
        step: number of the step; 0 at the end, when the journal is replayed.
        line: of the step in the file.
        word: of the expectation, of the step, or the line that was crossed.
        expected: what the file says, or what must always be so.
        seen: what was so.
        standing: how the run stood.
    """

    step: int
    line: int
    word: str
    expected: str
    seen: str
    standing: str


class Result(msgspec.Struct, frozen=True):
    """A scenario, judged; it holds when there is no problem."""

    file: str
    says: str
    clause: str
    entries: int
    moves: tuple[str, ...]
    problem: Problem | None = None

    @property
    def holds(self) -> bool:
        """Whether what the file says is so."""
        return self.problem is None

    def __str__(self) -> str:
        """The verdict for people: one line when it holds."""
        if self.problem is None:
            return f"holds  {self.file}: {self.says}"
        p = self.problem
        return (
            f"FAILS  {self.file}:{p.line}: {self.says}\n"
            f"       step {p.step}, {p.word}: expected {p.expected}, saw {p.seen}\n"
            f"       {p.standing}"
        )


def judge(path: Path, runbooks: Path) -> Result:
    """Read and run one file.

    Args:
        path: the scenario.
        runbooks: directory of the runbooks that scenarios name.

    Raises:
        ScenarioError: the file cannot be used.
    """
    return run(read(path), runbooks)


def run(scenario: Scenario, runbooks: Path) -> Result:
    """Run one scenario.

    Raises:
        ScenarioError: a step of it makes no sense where the run stands.
    """
    try:
        world = begun(scenario, runbooks)
    except ScenarioError as error:
        raise ScenarioError(f"{scenario.file}: given: {error}") from error
    return play(scenario, world)


def play(scenario: Scenario, world: World) -> Result:
    """Take a scenario's steps in a world that stands where it begins.

    Raises:
        ScenarioError: a step of it makes no sense where the run stands.
    """
    scene, problem = Scene(world), None
    for step in scenario.steps:
        problem = _judged(scenario.file, scene, step)
        if problem is not None:
            break
    problem = problem or _remembered(world)
    moves = tuple(type(move).__name__ for move in world.decisions())
    return Result(scenario.file, scenario.says, scenario.clause, len(world.entries), moves, problem)


def _judged(file: str, scene: Scene, step: Step) -> Problem | None:
    """Take one step; what is wrong with it, if anything."""
    try:
        take(scene, step)
    except ScenarioError as error:
        raise ScenarioError(f"{file}:{step.line}: step {step.number}: {error}") from error
    except UnmetError as error:
        found = (error.word, error.expected, error.seen)
    except Violation as error:
        found = (f"line {error.line}", "a line that is never crossed", error.text)
    except AssertionError as error:  # an invariant inside the core: as bad as a crossed line
        found = (step.word, "an invariant of the core", str(error))
    else:
        return None
    return Problem(step.number, step.line, *found, standing(scene.world))


def take(scene: Scene, step: Step) -> None:
    """Let one step happen, or compare what it expects with what is so.

    Raises:
        UnmetError: it is not so.
    """
    for word, want in step.expected:
        seen = word.act(scene, want)
        if seen != want:
            raise UnmetError(word.name, shown(want), shown(seen))
    if not step.expected:
        STEPS[step.word].act(scene, step.value, **step.details)


def shown(value: object) -> str:
    """A value as a file would say it."""
    if text := getattr(value, "text", None):
        return str(text)
    return json.dumps(msgspec.to_builtins(value, str_keys=True), ensure_ascii=False)


def _remembered(world: World) -> Problem | None:
    watch = world.watch
    try:
        if isinstance(watch, Watch):
            watch.end(world.runbook, world.entries, world.run)
    except Violation as error:
        word = f"line {error.line}"
        what = "a line that is never crossed"
        return Problem(0, 1, word, what, error.text, standing(world))
    return None


def begun(scenario: Scenario, runbooks: Path) -> World:
    """A healthy world at the scenario's starting point, to do with as one likes.

    Raises:
        ScenarioError: the runbook or the point is unknown.
    """
    text = runbook_text(runbooks, scenario.runbook, scenario.changes)
    hurry = scenario.runbook == "brisk" and scenario.at != "preparing"
    return start(text, scenario.at, HURRY_MS if hurry else 0).twin()


@functools.cache
def start(text: str, at: str, step_ms: int) -> World:
    """A healthy world that has just reached a point; made once, `twin` it before use.

    Raises:
        ScenarioError: the text is no runbook, or the point is unknown or not reached.
    """
    try:
        world = World(load_text(text, "scenario"), Watch(), step_ms)
    except RunbookError as error:
        raise ScenarioError(f"with what is set, the runbook cannot be used: {error}") from error
    known(world.runbook, at)
    if at == "checking":
        world.checked[PostCheckName.ARCHIVE] = False  # or it would be over within the same look
    if at == "preparing":
        return world
    try:
        Scene(world).reach(at, ARRIVES_MS)
    except UnmetError as error:
        raise ScenarioError(f"the point {at!r} is not reached: {error}") from error
    return world
