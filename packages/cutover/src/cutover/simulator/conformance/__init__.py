"""Scenarios as data: given / when / then, run against the pure core in virtual time.

`collect` reads a directory, `judge_all` runs it; `judge` is for one file.
"""

from cutover.simulator.conformance.document import Scenario, parse, read
from cutover.simulator.conformance.errors import ScenarioError
from cutover.simulator.conformance.runner import Problem, Result, judge, run
from cutover.simulator.conformance.suite import collect, judge_all

__all__ = [
    "Problem", "Result", "Scenario", "ScenarioError", "collect", "judge", "judge_all", "parse",
    "read", "run",
]  # fmt: skip
