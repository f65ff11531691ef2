"""The smallest schedule that still fails, for failures whose cause is known."""

from hypothesis import given
from hypothesis import strategies as st

from cutover.simulator.faults import Fault, Kind
from cutover.simulator.shrink import SHORTEST_MS, TRIES_MAX, smallest

KINDS = (Kind.DISK_FULL, Kind.CHAIN_DOWN, Kind.REFERENCE_DOWN, Kind.TCB_RECOVERY)
SCHEDULES = st.lists(
    st.builds(Fault, st.sampled_from(KINDS), st.integers(0, 99), st.integers(1, 9000)), max_size=8
).map(tuple)


def fails_for(needed, least_ms):
    """It fails while a fault of each needed kind is there, and lasts long enough."""

    def fails(schedule):
        long = {fault.what for fault in schedule if fault.lasts_ms >= least_ms}
        return needed <= long

    return fails


@given(SCHEDULES, st.sets(st.sampled_from(KINDS)), st.integers(1, 4000))
def test_what_is_left_fails_and_nothing_more_can_be_left_out(schedule, needed, least_ms):
    """Without any one of its faults, or with any one half as long, it fails no more."""
    fails = fails_for(needed, least_ms)
    if not fails(schedule):
        return
    least = smallest(schedule, fails)
    assert fails(least)
    assert sorted(fault.what for fault in least) == sorted(needed)
    for number, fault in enumerate(least):
        rest = (*least[:number], *least[number + 1 :])
        assert not fails(rest)
        assert fault.lasts_ms // 2 < max(least_ms, SHORTEST_MS)
        assert any(
            fault.lasts_ms <= one.lasts_ms and (fault.what, fault.at_ms) == (one.what, one.at_ms)
            for one in schedule
        )


@given(SCHEDULES)
def test_the_number_of_tries_has_a_limit(schedule):
    """A try is a simulation; whatever is known when the limit is reached still fails."""
    tried = []

    def still(one):
        tried.append(one)
        return bool(one) or not schedule

    least = smallest(schedule, still)
    assert len(tried) <= TRIES_MAX
    assert still(least)


def test_a_schedule_too_large_to_be_tried_out_is_given_back_as_it_is():
    """At the limit it stops in the middle of a round, too."""
    storm = tuple(Fault(Kind.CHAIN_DOWN, at, 900) for at in range(2 * TRIES_MAX))
    tried = []

    def still(one):
        tried.append(one)
        return one == storm

    assert smallest(storm, still) == storm
    assert len(tried) == TRIES_MAX


def test_the_order_of_faults_is_kept():
    """A race that needs its order keeps it."""
    race = tuple(Fault(Kind.ORDER, 1000, detail=verb) for verb in ("hold", "retry", "abort"))
    least = smallest(
        race, lambda one: [f.detail for f in one if f.detail != "retry"] == ["hold", "abort"]
    )
    assert [fault.detail for fault in least] == ["hold", "abort"]


def test_a_failure_without_any_fault_needs_none():
    """Then the schedule is empty, and the seed alone is to blame."""
    assert smallest((Fault(Kind.CHAIN_DOWN, 1, 900),), lambda _: True) == ()
