"""Looks for the first simulation or scenario that fails; run by `mutate` on a mutated copy.

    python hunt.py COPY seeds RUNBOOK SEED...
    python hunt.py COPY schedule RUNBOOK SEED FAULTS
    python hunt.py COPY scenarios DIRECTORY RUNBOOKS [NAME]

Prints one line of JSON: what was found, and how many were tried.
"""

import json
import sys
from pathlib import Path
from typing import Any

import cutover
from cutover.runbook.load import load_text
from cutover.simulator.conformance.suite import collect, judge_all
from cutover.simulator.faults import read
from cutover.simulator.play import DEFECT
from cutover.simulator.swarm import Job, play_seed


def seeds(runbook: str, *numbers: str) -> dict[str, Any]:
    """The first of these seeds whose simulation finds something, with its faults."""
    text = Path(runbook).read_text(encoding="utf-8")
    job, loaded = Job(text, runbook), load_text(text, runbook)
    for tried, seed in enumerate(map(int, numbers), 1):
        found = played(job, seed)
        if found["line"]:
            faults = [str(fault) for fault in job.faults(seed, loaded)]
            return {**found, "tried": tried, "faults": faults}
    return {"line": 0, "tried": len(numbers)}


def schedule(runbook: str, seed: str, faults: str) -> dict[str, Any]:
    """What a seed finds under faults that are given, whatever it would draw today."""
    known, _ = read(faults, "the recorded faults")
    text = Path(runbook).read_text(encoding="utf-8")
    return played(Job(text, runbook, schedule=known), int(seed))


def played(job: Job, seed: int) -> dict[str, Any]:
    """Play one seed."""
    try:
        verdict, _ = play_seed(job, seed)
    except Exception as error:  # noqa: BLE001 - a planted bug may end anything; a swarm ends with it
        return {"seed": seed, "line": DEFECT, "text": f"{type(error).__name__}: {error}"}
    return {"seed": seed, "line": verdict.line, "text": verdict.text}


def scenarios(directory: str, runbooks: str, only: str = "*") -> dict[str, Any]:
    """The first scenario that does not hold."""
    tried = 0
    try:
        for result in judge_all(collect(Path(directory), only), Path(runbooks)):
            tried += 1
            if result.problem is not None:
                seen = f"{result.problem.word}: {result.problem.seen}"
                return {"scenario": Path(result.file).name, "text": seen, "tried": tried}
    except Exception as error:  # noqa: BLE001 - as above; a suite that cannot be run does not pass
        return {"scenario": "(any)", "text": f"{type(error).__name__}: {error}", "tried": tried}
    return {"scenario": "", "tried": tried}


def main(copy: str, what: str, *said: str) -> None:
    """Hunt in this very copy, and in no other."""
    here = Path(cutover.__file__).resolve()
    if not here.is_relative_to(Path(copy).resolve()):
        raise SystemExit(f"{here} would be tried, expected what is below {copy}: set PYTHONPATH")
    found = {"seeds": seeds, "schedule": schedule, "scenarios": scenarios}[what](*said)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
