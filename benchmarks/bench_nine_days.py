"""Nine days in a second? The whole phased runbook through the pure core, nothing left out.

The observations of a healthy run (`healthy`) are made beforehand. What is timed is what follows
from them: numbering, folding, deciding, and folding the decisions, as a conductor does after every
entry. Each row is measured in a process of its own, so that memory is its own too; the stream is
kept from the garbage collector, which would otherwise walk through it over and over. Seconds are
the median, least and most of the rounds by the clock on the wall; `CPU s` is the least of them
by the processor's clock, and `µs/entry` is made from it: on a machine that is not quiet only these
can be compared.
"""

import gc
import hashlib
import json
import resource
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, perf_counter_ns, process_time
from typing import Any

import msgspec
from chart import bar, lines
from healthy import RUN, Healthy, Stamped, take

from cutover.decision.ahead import next_decision
from cutover.decision.course import Course
from cutover.decision.fact import Entry
from cutover.decision.fold import apply
from cutover.decision.run import Run
from cutover.runbook.document import Runbook
from cutover.runbook.load import load_text

NAME = "nine_days"
ROOT = Path(__file__).parents[1]
DAY_MS = 86_400_000
WHOLE = 10
"""Days that the whole run does not reach: until it is complete."""

TRAFFIC = ((6, 1), (30, 1), (120, 1), (6, 4), (30, 4))
"""Reports of a node in a minute, and nodes."""


def through_core(runbook: Runbook, stream: list[Stamped]) -> Run:
    """Follow the course, as conductor, replay and simulator do."""
    course = Course(runbook, Run(id=RUN))
    for at_ms, fact in stream:
        take(course, at_ms, fact)
    return course.run


def every_entry_judged(runbook: Runbook, stream: list[Stamped]) -> Run:
    """Fold and judge each entry as if nothing were known of the one before."""
    run = Run(id=RUN)
    for at_ms, fact in stream:
        run = apply(runbook, run, Entry(run.seq + 1, at_ms, at_ms, fact))
        while (due := next_decision(runbook, run, at_ms)) is not None:
            run = apply(runbook, run, Entry(run.seq + 1, at_ms, at_ms, due))
    return run


WAYS: dict[str, Callable[[Runbook, list[Stamped]], Run]] = {
    "pure core": through_core,
    "pure core, every entry judged": every_entry_judged,
}


def run(quick: bool) -> dict[str, Any]:
    """Rows of the whole, by kind of fact, by length and by traffic; charts beside bench.json."""
    rounds = 3 if quick else 7
    whole = _measured("pure core", 1 if quick else WHOLE, 6, 1, rounds)
    judged = _measured("pure core, every entry judged", 0.25 if quick else 1, 6, 1, 1 + rounds // 3)
    lengths = [
        _measured("pure core", days, 6, 1, rounds) for days in ((0.25,) if quick else (1, 3))
    ]
    assert judged["state"] == lengths[0]["state"], "the short way led to another state"
    traffic = [_measured("pure core", 0.1 if quick else 1, *how, rounds) for how in TRAFFIC]
    lengths.append(whole)
    _drawn(lengths)
    most = max(row["µs/entry"] for row in traffic)
    return {
        "name": NAME,
        "rows": [_only(row, WHOLE_ROW) for row in (whole, judged)],
        "by kind": whole["kinds"],
        "by length": [_only(row, LENGTH_ROW) for row in lengths],
        "by traffic": [
            {**_only(row, TRAFFIC_ROW), "": bar(row["µs/entry"], most)} for row in traffic
        ],
    }


WHOLE_ROW = (
    "name", "days", "entries", "s", "min", "max", "CPU s", "entries/s", "µs/entry", "peak MB",
)  # fmt: skip
LENGTH_ROW = ("days", "entries", "s", "min", "max", "CPU s", "µs/entry", "peak MB")
TRAFFIC_ROW = ("reports a minute", "nodes", "entries", "s", "CPU s", "µs/entry")


def _only(row: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: row[name] for name in names}


def _drawn(lengths: list[dict[str, Any]]) -> None:
    points = [(row["days"], row["s"]) for row in lengths]
    target = ROOT / "build" / "nine-days.svg"
    target.parent.mkdir(exist_ok=True)
    target.write_text(lines("Pure core by length of the run", "observed days", "seconds", points))


def _measured(way: str, days: float, reports: int, nodes: int, rounds: int) -> dict[str, Any]:
    """One row, from a process of its own.

    Raises:
        RuntimeError: the process failed; its last words are in the message.
    """
    asked = [way, days, reports, nodes, rounds]
    told = subprocess.run(
        [sys.executable, __file__, *map(str, asked)], capture_output=True, text=True, check=False
    )
    if told.returncode:
        raise RuntimeError(f"measuring {asked} failed: {told.stderr[-2_000:]}")
    row: dict[str, Any] = json.loads(told.stdout)
    return row


def _measure(way: str, days: float, reports: int, nodes: int, rounds: int) -> dict[str, Any]:
    runbook = load_text((ROOT / "runbooks" / "phased.toml").read_text(), "phased.toml")
    stream = list(Healthy(runbook, reports, nodes).stream(int(days * DAY_MS)))
    gc.collect()
    gc.freeze()
    wall, cpu, states = [], [], set()
    for _ in range(rounds):
        begin, worked = perf_counter(), process_time()
        state = WAYS[way](runbook, stream)
        cpu.append(process_time() - worked)
        wall.append(perf_counter() - begin)
        states.add(hashlib.sha256(msgspec.json.encode(state, order="deterministic")).hexdigest())
    assert len(states) == 1, "the same observations gave different states"
    assert days < WHOLE or state.phase == "complete", f"the run ended {state.phase}"
    seconds = statistics.median(wall)
    return {
        "name": way, "days": round(state.at / DAY_MS, 2), "reports a minute": reports,
        "nodes": nodes, "entries": state.seq, "s": round(seconds, 3), "min": round(min(wall), 3),
        "max": round(max(wall), 3), "CPU s": round(min(cpu), 3),
        "entries/s": round(state.seq / seconds), "µs/entry": round(1e6 * min(cpu) / state.seq, 2),
        "peak MB": round(_peak_mb()), "kinds": _kinds(runbook, stream),
        "state": states.pop(),
    }  # fmt: skip


def _kinds(runbook: Runbook, stream: list[Stamped]) -> list[dict[str, Any]]:
    """What each kind of fact costs with all that follows from it; the clock's own cost is in it."""
    took: dict[str, list[int]] = defaultdict(list)
    course = Course(runbook, Run(id=RUN))
    for at_ms, fact in stream:
        begin = perf_counter_ns()
        take(course, at_ms, fact)
        took[type(fact).__name__].append(perf_counter_ns() - begin)
    return [
        {
            "kind": kind, "facts": len(ns), "µs median": round(statistics.median(ns) / 1e3, 2),
            "µs mean": round(statistics.mean(ns) / 1e3, 2), "s": round(sum(ns) / 1e9, 3),
        }
        for kind, ns in sorted(took.items(), key=lambda item: -sum(item[1]))
    ]  # fmt: skip


def _peak_mb() -> float:
    kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kb / (1 << 20 if sys.platform == "darwin" else 1 << 10)


if __name__ == "__main__":
    way, *numbers = sys.argv[1:]
    days, reports, nodes, rounds = numbers
    print(json.dumps(_measure(way, float(days), int(reports), int(nodes), int(rounds))))
