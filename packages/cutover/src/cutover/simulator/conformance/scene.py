"""Where a scenario stands: its world, what counts since the mark, and the points of a run."""

from typing import Final

from cutover.decision.run import Phase, Run
from cutover.runbook.document import Runbook
from cutover.runbook.intent import Intent
from cutover.simulator.conformance.errors import ScenarioError, UnmetError, listed
from cutover.simulator.conformance.node import Node, Plane
from cutover.simulator.conformance.world import World

PHASES: Final = frozenset(Phase) - {Phase.RUNNING}


class Scene:
    """A world that steps act on.

    Attributes:
        since: moves before this number are not counted by `moves`.
        clock: observed time from which `took` counts.
        settled: payments that had settled at the mark.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.since = len(world.decisions())
        self.clock = world.now
        self.settled = 0

    def mark(self) -> None:
        """Count from here."""
        self.since, self.clock = len(self.world.decisions()), self.world.now
        self.world.live_done.clear()
        self.world.looked.clear()
        self.world.paid.clear()
        self.settled = sum(p.settled for p in self.world.run.payments)

    def plane(self, name: str) -> Plane:
        """A plane of the runbook.

        Raises:
            ScenarioError: it has no such plane.
        """
        if name not in self.world.planes:
            raise ScenarioError(f"no plane {name!r}; the runbook has {listed(self.world.planes)}")
        return self.world.planes[name]

    def node(self, name: str) -> Node:
        """A gateway node that is there.

        Raises:
            ScenarioError: there is none of that name.
        """
        if name not in self.world.nodes:
            raise ScenarioError(f"no node {name!r}; there are {listed(self.world.nodes)}")
        return self.world.nodes[name]

    def reach(self, point: str, within_ms: int) -> None:
        """Let time pass until a point is reached.

        Raises:
            ScenarioError: the runbook has no such point.
            UnmetError: it is not reached in time.
        """
        world = self.world
        known(world.runbook, point)
        if not world.until(lambda run: arrived(world.runbook, run, point), within_ms):
            raise UnmetError("until", f"{point} within {within_ms} ms", standing(world))


def known(runbook: Runbook, point: str) -> None:
    """Check that a runbook has a point.

    Raises:
        ScenarioError: it has not.
    """
    stages = [stage.name for stage in runbook.stages]
    stage, _, unlocked = point.partition("+")
    if point in PHASES or (stage in stages and (not unlocked or unlocked in set(Intent))):
        return
    raise ScenarioError(f"no point {point!r}; known are {listed([*PHASES, *stages])}")


def arrived(runbook: Runbook, run: Run, point: str) -> bool:
    """Whether a run stands at a point: a phase, a stage, or a stage with an intent unlocked."""
    if point in PHASES:
        return run.phase == point
    stage, _, unlocked = point.partition("+")
    if run.phase is not Phase.RUNNING or runbook.stages[run.stage].name != stage:
        return False
    return not unlocked or Intent(unlocked) in run.unlocked


def standing(world: World) -> str:
    """How the run stands, in one line."""
    run = world.run
    stage = world.runbook.stages[run.stage].name if run.stage >= 0 else "no stage"
    told = " / ".join(f"{r.code}: {r.text}" for r in run.reasons) or "no reasons"
    return f"{run.phase}, {stage}, {told}"
