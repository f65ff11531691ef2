"""Every state of a small abstract world, explored with the real fold and the real decisions.

The table of transitions says what may follow; here the functions that use it are followed through
everything that can happen to two planes, a gateway and an operator, in a runbook whose thresholds
are reached within a few steps. States are compared without what only counts (numbers, stamps,
evidence), so that there are finitely many, and all of them are visited.

Each step is a stretch of virtual time under one weather, or an order; the checkers look on.
"""

import functools
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from msgspec.structs import replace

from cutover.decision.command import AbortOrder, HoldOrder, ResumeOrder, RetryOrder
from cutover.decision.kinds import OpenStage, UnlockIntent
from cutover.decision.orders import refusal
from cutover.decision.run import NEVER, TERMINAL, Phase, Run
from cutover.decision.transitions import MOVES
from cutover.evidence.observation import Verdict
from cutover.runbook.gate import PostCheckName
from cutover.runbook.load import load_text
from cutover.simulator.checkers.watch import Watch
from cutover.simulator.conformance.runbooks import runbook_text
from cutover.simulator.conformance.world import World

STRETCH_MS = 130_000
"""Longer than any threshold of the runbook below but the ages, so that a step shows its effect."""

SHORT = {
    "timing.readiness_every": "30s",
    "gate.readiness.max_age": "90s",
    "blind.after": "70s",
    "timing.canary_every": "2m",
    "stage.shadow.soak": {"observed": "1m", "canary_runs": 1, "answers": 0},
    "stage.canary.soak": {"observed": "1m", "canary_runs": 0, "answers": 1},
    "stage.mixed.soak": {"observed": "2m", "canary_runs": 0, "answers": 1},
    "stage.mixed.unlock.pay.clean": "1m",
    "stage.mixed.unlock.pay.answers": 1,
    "stage.primary.soak": {"observed": "1m", "canary_runs": 0, "answers": 1},
    "error_budget.min_answers": 1,
    "split.min_conversations": 10,
}
RUNBOOK = load_text(runbook_text(Path(__file__).parents[2] / "runbooks", "phased", SHORT), "model")


def well(world: World) -> None:
    for plane in world.planes.values():
        plane.status = 200
    world.verdict = Verdict.VERIFIED
    for node in world.nodes.values():
        node.silent, node.refuses = False, ""
    world.checked.clear()
    world.proof = replace(world.proof, key="key-1")


def candidate_down(world: World) -> None:
    world.planes["phala"].status = 503


def fallback_down(world: World) -> None:
    world.planes["hetzner"].status = 503


def both_down(world: World) -> None:
    candidate_down(world)
    fallback_down(world)


def not_attested(world: World) -> None:
    world.verdict = Verdict.MISSING


def degraded(world: World) -> None:
    world.verdict = Verdict.DEGRADED


def node_refuses(world: World) -> None:
    world.nodes["g1"].refuses = "no"


def check_fails(world: World) -> None:
    world.checked[PostCheckName.ARCHIVE] = False


def other_key(world: World) -> None:
    """While a check fails, so that it is seen there, too."""
    check_fails(world)
    world.proof = replace(world.proof, key="key-2")


WEATHERS = (
    well, candidate_down, fallback_down, both_down, not_attested, degraded, node_refuses,
    check_fails, other_key,
)  # fmt: skip
ORDERS = (HoldOrder, ResumeOrder, AbortOrder, RetryOrder)
SAID = ("ana", "why")


def abstract(run: Run) -> tuple:
    """A state without what only counts; what is left decides what can follow."""
    if run.phase in TERMINAL:
        return (run.phase, run.stage)
    phala, hetzner = run.plane("phala"), run.plane("hetzner")
    node = run.nodes.get("g1")
    return (
        run.phase, run.stage, run.unlocked, run.repinned, run.closed, run.hold is not None,
        phala.sick, hetzner.sick, phala.bad_since == NEVER, hetzner.bad_since == NEVER,
        phala.verdict, node is None or node.generation == run.generation,
        any(view.ok is False for view in run.post_checks.values()),
    )  # fmt: skip


def arm(step: str, world: World) -> None:
    """Take one step."""
    for order in ORDERS:
        if order.__name__ == step:
            world.order(order(*SAID))
            return
    well(world)
    next(weather for weather in WEATHERS if weather.__name__ == step)(world)
    world.advance(STRETCH_MS)


NARROW = (well, candidate_down, both_down, not_attested, node_refuses, check_fails, other_key)
"""Weathers that between them lead through every phase; `make soak` explores all of them."""

STATES_MAX = 4_000


@dataclass
class Model:
    """What was found.

    Attributes:
        worlds: one world for each abstract state.
        edges: from a state to those that one step leads to.
    """

    worlds: dict[tuple, World] = field(default_factory=dict)
    edges: dict[tuple, set[tuple]] = field(default_factory=dict)
    moves: set[tuple] = field(default_factory=set)


@functools.cache
def explored(weathers: tuple) -> Model:
    """Every state that is reached from the beginning, breadth first."""
    steps = [one.__name__ for one in (*weathers, *ORDERS)]
    model, first = Model(), World(RUNBOOK, Watch())
    first.conversations = dict.fromkeys(first.conversations, 4)
    key = abstract(first.run)
    model.worlds[key] = first
    todo = deque([key])
    while todo:
        here = todo.popleft()
        model.edges[here] = set()
        if model.worlds[here].run.phase in TERMINAL:
            continue
        for step in steps:
            world = model.worlds[here].twin()
            since = len(world.entries)
            del world.entries[:since]
            arm(step, world)
            model.moves |= _moved(model.worlds[here].run.phase, world)
            there = abstract(world.run)
            model.edges[here].add(there)
            if there not in model.worlds:
                assert len(model.worlds) < STATES_MAX, "the abstraction does not close"
                model.worlds[there] = world
                todo.append(there)
    return model


def _moved(phase: Phase, world: World) -> set[tuple]:
    """Transitions that were taken, by phase and kind."""
    found = set()
    for move in world.decisions():
        found.add((phase, type(move)))
        phase = MOVES[phase, type(move)]
    return found


def reaches(model: Model, goal: set[tuple]) -> set[tuple]:
    """All states from which some path leads into the goal."""
    back: dict[tuple, set[tuple]] = {}
    for here, following in model.edges.items():
        for there in following:
            back.setdefault(there, set()).add(here)
    found, todo = set(goal), list(goal)
    while todo:
        for one in back.get(todo.pop(), set()) - found:
            found.add(one)
            todo.append(one)
    return found


def ends(model: Model, *phases: Phase) -> set[tuple]:
    return {key for key, world in model.worlds.items() if world.run.phase in phases}


@pytest.fixture(params=["narrow", pytest.param("whole", marks=pytest.mark.soak)])
def model(request) -> Model:
    return explored(NARROW if request.param == "narrow" else WEATHERS)


def test_the_exploration_is_one(model) -> None:
    """It meets every phase, every stage and many states; nothing stops it early."""
    assert {world.run.phase for world in model.worlds.values()} == set(Phase)
    assert {world.run.stage for world in model.worlds.values()} == set(range(-1, 4))
    assert len(model.worlds) > 60


def test_every_state_reaches_a_terminal_one(model) -> None:
    """From anywhere the run can end."""
    assert set(model.worlds) - reaches(model, ends(model, *TERMINAL)) == set()


def test_every_state_that_is_not_being_aborted_can_still_complete(model) -> None:
    """Good weather and an operator lead every run to its end, after whatever happened."""
    lost = set(model.worlds) - reaches(model, ends(model, Phase.COMPLETE))
    assert {model.worlds[key].run.phase for key in lost} <= {Phase.ABORTING, Phase.ABORTED}


def test_no_state_is_dead(model) -> None:
    """Every state that is not final has a step that leads to another."""
    stuck = [k for k, following in model.edges.items() if following <= {k}]
    assert {model.worlds[key].run.phase for key in stuck} <= TERMINAL


def test_abort_is_admitted_in_every_state_and_acts_at_once(model) -> None:
    """And from all of them good weather ends the run by it, with nobody left on the candidate."""
    for key in set(model.worlds) - ends(model, *TERMINAL, Phase.ABORTING):
        world = model.worlds[key]
        assert not refusal(RUNBOOK, world.run, AbortOrder(*SAID)), key
        world = world.twin()
        world.order(AbortOrder(*SAID))
        assert world.run.phase in (Phase.ABORTING, Phase.ABORTED), key


@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.CHECKING])
def test_every_transition_of_the_table_is_taken(model, phase: Phase) -> None:
    """The table has no arrow that only exists on paper, but for payments that trip."""
    taken = {kind.__name__ for where, kind in model.moves if where is phase}
    table = {kind.__name__ for where, kind in MOVES if where is phase}
    assert table - taken <= {"Repin"}


def test_no_way_into_a_stage_passes_its_gates_by(model) -> None:
    """From no state does a stage open in weather in which a gate is shut."""
    for key, world in model.worlds.items():
        if world.run.phase is not Phase.RUNNING:
            continue
        for shut in (candidate_down, not_attested, degraded):
            twin = world.twin()
            before = len(twin.decisions())
            well(twin)
            shut(twin)
            twin.look("phala")
            if twin.verdict is not Verdict.VERIFIED:
                twin.attest()
            before = len(twin.decisions())
            twin.advance(STRETCH_MS)
            opened = [
                m for m in twin.decisions()[before:] if isinstance(m, OpenStage | UnlockIntent)
            ]
            assert opened == [], (key, shut.__name__)
