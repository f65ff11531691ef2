"""Plants bugs one at a time and looks which simulation or scenario catches each.

    python tests/simulator/mutate.py [--only NAME ...] [--seeds N] [--jobs N] [--write]

A bug is planted in a copy of the package, never in the package itself. With `--write` what was
found joins caught.toml, and docs/reference/mutants.md is written from it.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from cutover.runbook.load import load_text
from cutover.simulator.faults import Fault
from cutover.simulator.swarm import Job

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
PACKAGE: Final = ROOT / "packages" / "cutover" / "src" / "cutover"
RUNBOOK: Final = ROOT / "runbooks" / "swift.toml"
SCENARIOS: Final = ROOT / "tests" / "scenarios"
MUTANTS: Final = HERE / "mutants.toml"
CAUGHT: Final = HERE / "caught.toml"
PAGE: Final = ROOT / "docs" / "reference" / "mutants.md"
SEEDS: Final = 100
SEEDS_MAX: Final = 2_000
"""Among so many are those that a bug needs."""
SEEDS_A_PROCESS: Final = 50
"""What killed processes of a simulation leave behind is given back after so many."""
PATIENCE_SECONDS: Final = 1_800.0


T = TypeVar("T")


class MutantError(Exception):
    """A mutant cannot be planted as it is written."""


@dataclass(frozen=True)
class Mutant:
    """One planted bug.

    Attributes:
        name: of the bug.
        breaks: what is broken by it.
        file: below the package.
        old: text that occurs there once.
        new: text that takes its place.
        needs: faults without which it cannot show; see `draws`.
        survives: why nothing here catches it, and what does; empty when something does.
    """

    name: str
    breaks: str
    file: str
    old: str
    new: str
    needs: tuple[str, ...] = ()
    survives: str = ""

    def planted(self, text: str) -> str:
        """The file's text with the bug in it.

        Raises:
            MutantError: the old text is not there, or more than once, or nothing would change.
        """
        seen = text.count(self.old)
        if seen != 1 or self.old == self.new:
            raise MutantError(
                f"{self.name}: its old text occurs {seen} times in {self.file}, expected once and "
                "another new text; bring mutants.toml up to date with the code"
            )
        return text.replace(self.old, self.new)


@dataclass(frozen=True)
class Catch:
    """What caught a mutant; neither seed nor scenario when nothing did.

    Attributes:
        seed: of the simulation; -1 when none did.
        line: of the design that it crossed.
        text: what was seen.
        tried: seeds played, those from 0 on that draw what the bug needs.
        faults: that the seed drew.
        scenario: that does not hold, asked when no simulation found anything.
    """

    seed: int = -1
    line: int = 0
    text: str = ""
    tried: int = 0
    faults: tuple[str, ...] = ()
    scenario: str = ""

    def __str__(self) -> str:
        """For people."""
        if self.seed >= 0:
            return f"seed {self.seed}, line {self.line}: {self.text}"
        if self.scenario:
            return f"scenario {self.scenario}: {self.text}"
        return f"SURVIVED {self.tried} seeds and every scenario"


def mutants() -> list[Mutant]:
    """All of them, in the order of the file."""
    with MUTANTS.open("rb") as file:
        return [_of(Mutant, one) for one in tomllib.load(file)["mutant"]]


def caught() -> dict[str, Catch]:
    """What caught each, as last written."""
    if not CAUGHT.exists():
        return {}
    with CAUGHT.open("rb") as file:
        return {name: _of(Catch, one) for name, one in tomllib.load(file).items()}


def _of(kind: type[T], said: dict[str, Any]) -> T:
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in said.items()})


def candidates(mutant: Mutant, seeds: int) -> list[int]:
    """Seeds below a number that draw every fault which the bug needs."""
    text = RUNBOOK.read_text(encoding="utf-8")
    job, runbook = Job(text, str(RUNBOOK)), load_text(text, str(RUNBOOK))
    return [
        seed
        for seed in range(seeds)
        if not mutant.needs
        or all(
            any(draws(fault, need) for fault in job.faults(seed, runbook)) for need in mutant.needs
        )
    ]


def draws(fault: Fault, need: str) -> bool:
    """Whether a fault is what `kind`, `kind:detail` or `kind@where` names; words by their start."""
    kind, _, where = need.partition("@")
    kind, _, detail = kind.partition(":")
    at = fault.detail.startswith(detail) and fault.where.startswith(where)
    return fault.what == kind and at


@contextmanager
def mutated(mutant: Mutant) -> Iterator[Path]:
    """A directory with a copy of the package in which the bug is planted.

    Raises:
        MutantError: it cannot be planted.
    """
    text = mutant.planted((PACKAGE / mutant.file).read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder) / "cutover"
        shutil.copytree(PACKAGE, copy)  # with compiled files, of which the changed one is renewed
        (copy / mutant.file).write_text(text, encoding="utf-8")
        yield Path(folder)


def hunt(copy: Path, what: str, *said: object) -> dict[str, Any]:
    """What `hunt.py` finds in a copy.

    Raises:
        MutantError: it ended without a word: the copy cannot even be loaded.
    """
    command = [sys.executable, str(HERE / "hunt.py"), str(copy), what, *map(str, said)]
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS,
        cwd=ROOT, check=False,
    )  # fmt: skip
    if done.returncode:
        raise MutantError(f"hunting ended with {done.returncode}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def tried(mutant: Mutant, seeds: int, *, scenarios: bool = True) -> Catch:
    """Play seeds, then scenarios, until one catches it."""
    with mutated(mutant) as copy:
        numbers = candidates(mutant, SEEDS_MAX)[:seeds]
        if by := _by_a_seed(copy, numbers):
            return by
        if not scenarios:
            return Catch(tried=len(numbers))
        found = hunt(copy, "scenarios", SCENARIOS, RUNBOOK.parent)
        return Catch(tried=len(numbers), text=found.get("text", ""), scenario=found["scenario"])


def _by_a_seed(copy: Path, numbers: Sequence[int]) -> Catch | None:
    """The first seed that finds something in the copy, and nothing without the bug."""
    done = 0
    while done < len(numbers):
        found = hunt(copy, "seeds", RUNBOOK, *numbers[done : done + SEEDS_A_PROCESS])
        done += found["tried"]
        if found["line"] and not hunt(PACKAGE.parent, "seeds", RUNBOOK, found["seed"])["line"]:
            text = (found["text"].splitlines() or [""])[0]
            return Catch(found["seed"], found["line"], text, done, tuple(found["faults"]))
    return None


def again(mutant: Mutant, by: Catch) -> bool:
    """Whether what is recorded still catches it."""
    with mutated(mutant) as copy:
        if by.seed >= 0:
            faults = "faults = [" + ", ".join(by.faults) + "]"
            return bool(hunt(copy, "schedule", RUNBOOK, by.seed, faults)["line"])
        return bool(hunt(copy, "scenarios", SCENARIOS, RUNBOOK.parent, by.scenario)["scenario"])


def record(known: Mapping[str, Catch]) -> str:
    """caught.toml."""
    lines = ["# What caught each planted bug; written by mutate.py, read by the tests.", ""]
    for name, by in known.items():
        lines += [f"[{name}]", f"tried = {by.tried}", f"text = {json.dumps(by.text)}"]
        if by.seed >= 0:
            lines += [f"seed = {by.seed}", f"line = {by.line}", "faults = ["]
            lines += [f"  {json.dumps(fault)}," for fault in by.faults]
            lines.append("]")
        if by.scenario:
            lines.append(f'scenario = "{by.scenario}"')
        lines.append("")
    return "\n".join(lines)


HEAD: Final = """# Planted bugs

Each row is a bug that `tests/simulator/mutate.py` plants in a copy of the package, and what then
caught it: the first seed of the swarm over `runbooks/swift.toml`, counted from 0, in which a line
of the design was crossed, or, where no seed did, a scenario of `tests/scenarios` that does not hold
any more. Line 13 is a run that comes to no end, 14 an exception where there must be none, 15 a
hang. Without a planted bug the same seeds and scenarios find nothing. Only seeds that draw the
faults which a bug needs are played, and they alone are counted. Scenarios run the pure core, so
bugs in conductor, journal and gateway are for the swarm and for the unit tests.

```bash
python tests/simulator/mutate.py --only soak-counts-downtime --seeds 50
```

`make test` plants every bug (its old text must still be in the code, once) and replays some;
`make soak` replays what is in this table for all.

"""


def page(bugs: Sequence[Mutant], known: Mapping[str, Catch]) -> str:
    """docs/reference/mutants.md."""
    by_seed = sum(1 for bug in bugs if known[bug.name].seed >= 0)
    said = f"{len(bugs)} bugs, {by_seed} of them caught by a seed.\n\n"
    rows = ["| planted bug | file | caught by | line, and what was seen | seeds played |"]
    rows.append("|---|---|---|---|---|")
    rows += [_row(bug, known[bug.name]) for bug in bugs]
    return HEAD + said + "\n".join(rows) + "\n"


def _row(bug: Mutant, by: Catch) -> str:
    seen = by.text.replace("|", "\\|")
    seen = seen if len(seen) <= TEXT_CHARS_MAX else seen[: TEXT_CHARS_MAX - 1] + "…"
    if by.seed >= 0:
        how, what = f"seed {by.seed}", f"{by.line}: {seen}"
    elif by.scenario:
        how, what = f"`{by.scenario}`", seen
    else:
        how, what = "no seed, no scenario", bug.survives
    return f"| **{bug.name}**: {bug.breaks} | `{bug.file}` | {how} | {what} | {by.tried} |"


TEXT_CHARS_MAX: Final = 160


def main() -> int:
    """Plant, hunt, tell; 1 when a bug survives."""
    said = argparse.ArgumentParser(description="Plant bugs and look what catches each.")
    said.add_argument("--only", nargs="+", default=[], help="names; all when left out")
    said.add_argument("--seeds", type=int, default=SEEDS, help="most seeds to play for a bug")
    said.add_argument("--jobs", type=int, default=1, help="bugs side by side")
    said.add_argument("--write", action="store_true", help="record it, and write the page")
    said.add_argument("--no-scenarios", action="store_true", help="play seeds alone")
    asked = said.parse_args()
    bugs, known = mutants(), caught()
    if unknown := set(asked.only) - {bug.name for bug in bugs}:
        said.error(f"no mutant {', '.join(sorted(unknown))}")
    chosen = [bug for bug in bugs if not asked.only or bug.name in asked.only]
    survived = 0
    work = partial(tried, seeds=asked.seeds, scenarios=not asked.no_scenarios)
    for bug, by in _each(chosen, work, asked.jobs):
        sys.stdout.write(f"{bug.name}: {by}\n")
        sys.stdout.flush()
        survived += by.seed < 0 and not by.scenario
        known[bug.name] = by
        if asked.write:
            CAUGHT.write_text(record(_ordered(bugs, known)), encoding="utf-8")
    if asked.write and all(bug.name in known for bug in bugs):
        PAGE.write_text(page(bugs, known), encoding="utf-8")
    return 1 if survived else 0


def _each(
    bugs: Sequence[Mutant], work: Callable[[Mutant], Catch], jobs: int
) -> Iterator[tuple[Mutant, Catch]]:
    with ThreadPoolExecutor(jobs) as pool:
        yield from zip(bugs, pool.map(work, bugs), strict=True)


def _ordered(bugs: Sequence[Mutant], known: Mapping[str, Catch]) -> dict[str, Catch]:
    return {bug.name: known[bug.name] for bug in bugs if bug.name in known}


if __name__ == "__main__":
    raise SystemExit(main())
