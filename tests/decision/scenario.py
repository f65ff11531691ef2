"""The scenario runner, with this repository's runbooks and files."""

import ast
from pathlib import Path

from cutover.simulator.conformance import judge, read
from cutover.simulator.conformance import runbooks as books
from cutover.simulator.conformance.runner import begun, start

ROOT = Path(__file__).parents[2]
SCENARIOS = ROOT / "tests" / "scenarios"
RUNBOOKS = ROOT / "runbooks"
changed = books.changed


def runbook_text(name, changes="{}"):
    """A shipped runbook's text with values replaced; `changes` is a dict, or the repr of one."""
    values = ast.literal_eval(changes) if isinstance(changes, str) else changes
    return books.runbook_text(RUNBOOKS, name, values)


def _begun(text, at, step_ms):
    return start(text, at, step_ms if at != "preparing" else 0)


def _copied(world):
    return world.twin()


def run_scenario(path):
    """Run a file of this repository; it must hold, and its world is the answer."""
    result, world = judge_with_world(path)
    assert result.holds, str(result)
    return world


def judge_with_world(path):
    from cutover.simulator.conformance.runner import play

    scenario = read(path)
    world = begun(scenario, RUNBOOKS)
    return play(scenario, world), world


__all__ = ["SCENARIOS", "changed", "judge", "run_scenario", "runbook_text"]
