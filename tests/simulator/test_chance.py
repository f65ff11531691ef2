"""Random schedules: the same for the same seed, of every kind, and nothing that undoes another."""

from collections import Counter
from itertools import pairwise

import pytest

from cutover.simulator.accidents import check_places
from cutover.simulator.chance import FAULTS_MAX, FAULTS_MEAN, ORDERS, WEIGHTS, random_schedule
from cutover.simulator.faults import VERBS, WORDS, Kind, document, read
from cutover.simulator.world.world import NODES

PLANES = ("hetzner", "phala")
HORIZON_MS = 40_000
SEEDS = range(1000)


@pytest.fixture(scope="module")
def schedules():
    return [random_schedule(seed, HORIZON_MS, NODES, PLANES) for seed in SEEDS]


def test_the_same_seed_gives_the_same_schedule(schedules):
    """And another seed another one, as a rule."""
    assert [random_schedule(seed, HORIZON_MS, NODES, PLANES) for seed in range(200)] == schedules[
        :200
    ]
    assert len(set(schedules)) > 0.8 * len(SEEDS)


def test_every_kind_occurs_as_often_as_its_weight_says(schedules):
    """Within a factor of two; some schedules are empty, none is a flood."""
    seen = Counter(fault.what for schedule in schedules for fault in schedule)
    total, weights = sum(seen.values()), sum(WEIGHTS.values())
    assert set(WEIGHTS) == set(Kind)
    for kind, weight in WEIGHTS.items():
        assert 0.5 < seen[kind] / total / (weight / weights) < 2, kind
    assert 0.7 * FAULTS_MEAN < total / len(SEEDS) < 1.3 * FAULTS_MEAN
    assert min(map(len, schedules)) == 0
    assert max(map(len, schedules)) <= FAULTS_MAX


def test_every_place_and_order_occurs(schedules):
    """Conductor, both nodes, both planes, and every order that is drawn."""
    everything = [fault for schedule in schedules for fault in schedule]
    places = {one for fault in everything for one in fault.where.split("~")}
    assert places == {"", "conductor", *NODES, *PLANES, "*"}
    orders = {fault.detail for fault in everything if fault.what is Kind.ORDER}
    assert orders == set(ORDERS) <= set(VERBS)


def test_no_two_of_one_kind_overlap_in_one_place(schedules):
    """The end of one would undo the other."""
    for schedule in schedules:
        by_place = {}
        for fault in schedule:
            by_place.setdefault((fault.what, fault.where), []).append(fault)
        for same in by_place.values():
            assert all(one.at_ms + one.lasts_ms < two.at_ms for one, two in pairwise(same))


def test_faults_are_in_order_before_the_horizon_and_last_as_their_word_says(schedules):
    """What a schedule says can be played as it stands."""
    for schedule in schedules:
        assert all(one.at_ms <= two.at_ms for one, two in pairwise(schedule))
        for fault in schedule:
            assert 0 <= fault.at_ms < HORIZON_MS
            assert bool(fault.lasts_ms) == WORDS[fault.what].lasts


def test_every_random_schedule_is_a_file_that_reads_back(schedules):
    """A failing seed can always be kept; its places are places of the world."""
    places = ["conductor", "standby", *NODES, *PLANES, "*"]
    for seed, schedule in enumerate(schedules):
        assert read(document(schedule, seed, "says"), "x") == (schedule, seed)
        check_places(schedule, places, "x")
