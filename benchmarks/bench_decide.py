"""How long judging takes: one decision, one fold, and the whole phased runbook through the core.

The runbook's entries are made beforehand at the shipped cadence; what is timed is what a conductor,
a recovery and a replay do with them. The ratio is against a bare `json.loads` of the very same
entries, measured in the same interleaved rounds, so that a slow machine slows both.
"""

import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from time import perf_counter, perf_counter_ns
from typing import Any

import msgspec
from healthy import RUN, Healthy, take

from cutover.decision.course import Course
from cutover.decision.fact import Entry
from cutover.decision.fold import apply
from cutover.decision.run import Run
from cutover.decision.step import decide
from cutover.runbook.load import load_text
from cutover.simulator.conformance.runbooks import runbook_text
from cutover.simulator.conformance.runner import start

ROOT = Path(__file__).parents[1]

NAME = "decide"
STATES = ("preparing", "shadow", "canary", "mixed", "mixed+pay", "primary")
DAY_MS = 86_400_000
PARTS = 8
STEP_MS = 10_000


def run(quick: bool) -> dict[str, Any]:
    """Rows of name, value, unit, ratio, min, max; `quick` takes a shorter part of the run."""
    return {"name": NAME, "rows": [*_latencies(quick), *_folds(quick), *_whole(quick)]}


def _row(name: str, values: list[float], unit: str, ratio: float | None = None) -> dict[str, Any]:
    value = statistics.median(values)
    return {
        "name": name, "value": value, "unit": unit, "ratio": ratio,
        "min": min(values), "max": max(values),
    }  # fmt: skip


def _latencies(quick: bool) -> list[dict[str, Any]]:
    rows = []
    for at in STATES:
        world = start(runbook_text(ROOT / "runbooks", "brisk", {}), at, STEP_MS)
        p50, p99 = [], []
        for _ in range(3 if quick else 7):
            took = []
            for _ in range(300 if quick else 2_000):
                begin = perf_counter_ns()
                decide(world.runbook, world.run, world.now)
                took.append((perf_counter_ns() - begin) / 1000)
            took.sort()
            p50.append(took[len(took) // 2])
            p99.append(took[len(took) * 99 // 100])
        rows += [_row(f"decide {at} p50", p50, "µs"), _row(f"decide {at} p99", p99, "µs")]
    return rows


def _folds(quick: bool) -> list[dict[str, Any]]:
    """One `apply` by kind of fact, in a run of short stages with real traffic."""
    world = start(runbook_text(ROOT / "runbooks", "brisk", {}), "primary", STEP_MS)
    took: dict[str, list[list[float]]] = defaultdict(list)
    for _ in range(2 if quick else 5):
        state = Run(id=world.run.id)
        here: dict[str, list[float]] = defaultdict(list)
        for entry in world.entries:
            begin = perf_counter_ns()
            state = apply(world.runbook, state, entry)
            here[type(entry.fact).__name__].append((perf_counter_ns() - begin) / 1000)
        for kind, values in here.items():
            took[kind].append(values)
    return [
        _row(f"apply {kind}", [statistics.median(values) for values in rounds], "µs")
        for kind, rounds in sorted(took.items())
    ]


def _whole(quick: bool) -> list[dict[str, Any]]:
    """The phased runbook at its own cadence, its first day and a half; quick: its first hours.

    Eight parts one after the other, each decoded and then judged; least and most are of a part,
    scaled to the whole. The whole run is measured by `bench_nine_days`.
    """
    runbook = load_text((ROOT / "runbooks" / "phased.toml").read_text(), "phased.toml")
    stream = list(Healthy(runbook, 6, 1).stream(DAY_MS // 6 if quick else 3 * DAY_MS // 2))
    n, size = len(stream), -(-len(stream) // PARTS)
    course = Course(runbook, Run(id=RUN))
    core, bare = [], []
    for begin in range(0, n, size):
        part = stream[begin : begin + size]
        lines = [msgspec.json.encode(Entry(1, at_ms, at_ms, fact)) for at_ms, fact in part]
        start = perf_counter()
        for line in lines:
            json.loads(line)
        decoded = perf_counter()
        for at_ms, fact in part:
            take(course, at_ms, fact)
        core.append((perf_counter() - decoded) * n / len(part))
        bare.append((decoded - start) * n / len(part))
    ratio = statistics.mean(core) / statistics.mean(bare)
    days = stream[-1][0] / DAY_MS
    return [
        _row(f"phased runbook, {days:.2f} days, {n} entries", core, "s", ratio),
        _row("json.loads of the same entries", bare, "s", 1.0),
        _row("entries through the core", [n / s for s in core], "entries/s", 1 / ratio),
    ]


if __name__ == "__main__":
    for row in run("--quick" in sys.argv)["rows"]:
        ratio = f"  ratio {row['ratio']:.2f}" if row["ratio"] else ""
        print(f"{row['name']:60} {row['value']:12.2f} {row['unit']}{ratio}")
