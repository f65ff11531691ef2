"""A seed gives the same trace here as on the machine where it was recorded."""

import json

from simulator.paths import DIGESTS
from simulator.record import SEEDS, digests

ADVICE = """
the traces are not those that were recorded by {python} on {machine}. If behaviour was changed on
purpose: record anew (.venv/bin/python tests/simulator/record.py) and look at what changed. If it
was not, something depends on this machine: compare two traces (cutover simulate --trace FILE)."""


def test_every_recorded_seed_gives_the_recorded_trace():
    """To the byte: the digest is of every line."""
    recorded = json.loads(DIGESTS.read_text("utf-8"))
    assert dict(digests()) == recorded["seeds"], ADVICE.format(**recorded)


def test_the_recorded_seeds_are_worth_comparing():
    """They end in no line crossed, on one node and on two, under many kinds of faults."""
    seeds = json.loads(DIGESTS.read_text("utf-8"))["seeds"]
    assert set(seeds) == set(map(str, SEEDS))
    assert len({kind for one in seeds.values() for kind in one["faults"]}) >= 10
    assert all(one["phase"] in ("complete", "aborted") for one in seeds.values())
