"""Runs a directory of scenarios, one process a core if asked, and sums up."""

import fnmatch
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import groupby
from pathlib import Path

from cutover.simulator.conformance.document import Scenario, parse, read
from cutover.simulator.conformance.errors import ScenarioError
from cutover.simulator.conformance.runner import Result, run


def collect(directory: Path, only: str = "*") -> list[Scenario]:
    """Every scenario of a directory, by name; all are read before any is run.

    Args:
        directory: its `*.toml` files.
        only: a pattern of names, with or without `.toml`.

    Raises:
        ScenarioError: there are none, or one cannot be used.
    """
    if not directory.is_dir():
        raise ScenarioError(f"{directory} is no directory; give one that holds scenarios (*.toml)")
    files = sorted(directory.glob("*.toml"))
    if not files:
        raise ScenarioError(f"{directory} holds no *.toml: no scenario is not a pass")
    chosen = [p for p in files if any(fnmatch.fnmatchcase(n, only) for n in (p.name, p.stem))]
    if not chosen:
        raise ScenarioError(f"none of {len(files)} scenarios in {directory} matches {only!r}")
    return [read(path) for path in chosen]


def judge_all(scenarios: list[Scenario], runbooks: Path, jobs: int = 1) -> Iterator[Result]:
    """Run scenarios and give each result as it comes.

    Those that begin at the same point share the way there, so they stay together.

    Raises:
        ScenarioError: a step makes no sense where the run stands; the rest is not run.
    """
    groups = _together(scenarios)
    if jobs <= 1:
        for group in groups:
            yield from (run(scenario, runbooks) for scenario in group)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        texts = [[(s.text, s.file) for s in group] for group in groups]
        tasks = [pool.submit(_run_group, group, runbooks) for group in texts]
        try:
            for task in as_completed(tasks):
                yield from task.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _run_group(group: list[tuple[str, str]], runbooks: Path) -> list[Result]:
    """In another process: words are functions, so texts travel and are read again."""
    return [run(parse(text, file), runbooks) for text, file in group]


def _together(scenarios: list[Scenario]) -> list[list[Scenario]]:
    """Scenarios by what they begin with, the slowest ways first."""

    def key(scenario: Scenario) -> tuple[str, str, str]:
        return scenario.runbook, repr(scenario.changes), scenario.at

    ordered = sorted(scenarios, key=key)
    groups = [list(group) for _, group in groupby(ordered, key)]
    return sorted(groups, key=lambda group: (group[0].runbook == "brisk", -len(group)))
