"""Random faults over many seeds: no line is crossed, and every run comes to an end.

`make test` plays 200 seeds in eight parts, `make soak` 10,000 on every core.
"""

import os
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from cutover.simulator.faults import Fault, Kind, read
from cutover.simulator.play import Verdict, simulate
from cutover.simulator.swarm import Job, play_seed, shrunk, swarm
from simulator.paths import ROOT, SWIFT, swift

JOB = Job(SWIFT.read_text("utf-8"), "swift.toml")
PARTS, SEEDS_A_PART = 8, 25
EARLY = replace(JOB, until="canary")
SOAKED_SEEDS = range(1_000_000, 1_010_000)
"""None of those that `make test` plays."""

TOLD_EVERY = 250


def found(tally):
    """What a failure says: each seed with its line, and how to see it again."""
    return "\n".join(
        f"line {one.line}: {one.text}\n  cutover simulate runbooks/swift.toml --seed {one.seed}"
        for one in tally.failed
    )


@pytest.mark.long
@pytest.mark.parametrize("part", range(PARTS))
def test_no_line_is_crossed(part):
    """25 seeds each with faults of its own, one after another."""
    seeds = range(part * SEEDS_A_PART, (part + 1) * SEEDS_A_PART)
    tally = swarm(JOB, seeds, 1)
    assert tally.runs == SEEDS_A_PART
    assert sum(tally.faults.values()) > SEEDS_A_PART
    assert tally.requests > 150 * SEEDS_A_PART
    assert not tally.failed, found(tally)


@pytest.mark.soak
def test_no_line_is_crossed_in_ten_thousand_seeds(capsys):
    """On every core; what was played stands in build/swarm.json."""

    def told(tally):
        if tally.runs % TOLD_EVERY == 0:
            with capsys.disabled():
                sys.stdout.write(
                    f"{tally.runs} of {len(SOAKED_SEEDS)} seeds, {len(tally.failed)} failed\n"
                )

    tally = swarm(JOB, SOAKED_SEEDS, os.cpu_count() or 1, told)
    out = Path(ROOT / "build/swarm.json")
    out.parent.mkdir(exist_ok=True)
    out.write_bytes(msgspec.json.format(msgspec.json.encode(tally), indent=1))
    hours = tally.simulated_ms / 3_600_000
    lines = [f"{tally.runs} simulations, {hours:.0f} h of simulated time, ended {tally.phases}"]
    lines += [f"{times:7} {kind}" for kind, times in tally.faults.items()]
    with capsys.disabled():
        sys.stdout.write("\n".join(lines) + "\n")
    assert tally.runs == len(SOAKED_SEEDS)
    assert set(tally.faults) == set(Kind)
    assert not tally.failed, found(tally)


def test_processes_side_by_side_find_what_one_finds():
    """The tally does not depend on who was first."""
    seeds = range(4)
    told = []
    assert swarm(EARLY, seeds, 2, lambda tally: told.append(tally.runs)) == swarm(EARLY, seeds, 1)
    assert told == [1, 2, 3, 4]


def test_a_seed_of_a_swarm_is_the_seed_alone():
    """What a swarm finds is found again by its seed and its schedule."""
    verdict, kinds = play_seed(EARLY, 3)
    schedule = JOB.faults(3, swift())
    assert kinds == tuple(fault.what for fault in schedule)
    assert simulate(swift(), 3, schedule, habits=JOB.habits(3), until="canary") == verdict


def test_a_failing_seed_is_shrunk_to_a_file_that_fails_in_the_same_way(monkeypatch):
    """Of four faults the one that matters is left, and the file reads back."""
    needed = Fault(Kind.RESET, 3000, 0, "conductor~phala")
    storm = (
        Fault(Kind.DISK_FULL, 1000, 500), needed, Fault(Kind.CHAIN_DOWN, 3500, 800),
        Fault(Kind.TORN_WRITE, 4000),
    )  # fmt: skip
    played = []

    def pretend(runbook, seed, schedule, **_):
        del runbook
        played.append(schedule)
        return (
            Verdict(seed, line=7, text='lost "it"\nthere') if needed in schedule else Verdict(seed)
        )

    monkeypatch.setattr("cutover.simulator.swarm.simulate", pretend)
    job = Job(JOB.text, JOB.source, schedule=storm)
    text = shrunk(job, pretend(None, 5, storm))
    assert read(text, "least.toml") == ((needed,), 5)
    assert "line 7" in text
    assert len(played) < 12
