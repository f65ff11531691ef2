"""The phased runbook in virtual time through the real conductor, alone and with a real gateway.

What is timed is everything: the product's own loop, engine, probes, gatherer, nodes and journal (on
a file system in memory, a commit for each look), and the world around it (`days`). Each row is a
process of its own. What takes minutes is measured over the part of the run that `days` says; rows
of one world compare, and no row is multiplied to give another.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from chart import bar, lines

NAME = "nine_days_conductor"
ROOT = Path(__file__).parents[1]
WHOLE = 12
"""Days that no run reaches: until it is complete."""

MODELLED_MS = 1_000
"""A request a second, told in reports: no byte of it is played."""


def run(quick: bool) -> dict[str, Any]:
    """Rows by world, length and traffic, and where the time goes; a chart beside bench.json."""
    part = 0.05 if quick else 1
    worlds = [
        _asked("measure", "modelled", part if quick else WHOLE, MODELLED_MS),
        *(_asked("measure", way, part, 60_000) for way in ("gateway", "checked")),
    ]
    lengths = [
        _asked("measure", "modelled", days, MODELLED_MS)
        for days in ((0.02,) if quick else (0.5, 2))
    ]
    lengths.append(worlds[0])
    _drawn(lengths)
    spans = (60_000, 10_000) if quick else (60_000, 10_000, 2_000)
    traffic = [_asked("measure", "gateway", 0.02 if quick else 0.25, every) for every in spans]
    most = max(row["CPU s"] for row in traffic)
    result: dict[str, Any] = {
        "name": NAME,
        "by world": worlds,
        "by length": lengths,
        "by traffic": [{**row, "": bar(row["CPU s"], most)} for row in traffic],
    }
    for way, every in () if quick else (("modelled", MODELLED_MS), ("gateway", 60_000)):
        result[f"where the time of {way} goes"] = _asked("shares", way, 0.25, every)
    return result


def _drawn(lengths: list[dict[str, Any]]) -> None:
    target = ROOT / "build" / "nine-days-conductor.svg"
    target.parent.mkdir(exist_ok=True)
    points = [(row["days"], row["CPU s"]) for row in lengths]
    title = "Real conductor by length of the run"
    target.write_text(lines(title, "observed days", "CPU seconds", points))


def _asked(what: str, way: str, days: float, every_ms: int) -> Any:
    """What a process of its own found.

    Raises:
        RuntimeError: it failed; its last words are in the message.
    """
    asked = [what, way, str(days), str(every_ms)]
    command = [sys.executable, str(Path(__file__).with_name("days.py")), *asked]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    if told.returncode:
        raise RuntimeError(f"measuring {asked} failed: {told.stderr[-2_000:]}")
    return json.loads(told.stdout.splitlines()[-1])  # before it, whatever the conductor logs
