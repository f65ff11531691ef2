"""Conductor, gateway and workers die at their named moments; the run comes to the same end.

`make test` plays a few runs with several crashes each, `make soak` every point, at several of its
passings, in a run of its own.
"""

import pytest

from crash.compare import UNCRASHED, differences
from crash.matrix import PASSINGS, QUICK, WHOLE
from crash.outcome import outcome_of
from crash.play import Play
from cutover.crashpoint import POINTS


def played(folder, *crashes):
    with Play(folder, *crashes) as play:
        play.perform()
        return outcome_of(play)


def test_the_uncrashed_run_is_what_the_others_are_compared_with(tmp_path):
    """Nobody dies, every promise is kept, no precaution is needed, nothing is asked for twice."""
    seen = played(tmp_path)
    assert differences(seen, ()) == []
    assert tuple(seen.moves()) == UNCRASHED
    assert all(asked.status == 200 for asked in seen.asked)
    assert not any(told.again for told in seen.executed)


@pytest.mark.parametrize("crashes", QUICK, ids=lambda crashes: "+".join(map(str, crashes)))
def test_a_run_survives_its_crashes(tmp_path, crashes):
    """Several deaths in one run: what was acknowledged stands, and nothing is paid twice."""
    assert differences(played(tmp_path, *crashes), crashes) == []


@pytest.mark.soak
@pytest.mark.parametrize("crash", WHOLE, ids=str)
def test_a_run_survives_a_crash_at(tmp_path, crash):
    """One death, at one passing of one point."""
    assert differences(played(tmp_path, crash), (crash,)) == []


def test_the_matrix_has_every_point():
    """A point that nobody dies at proves nothing."""
    assert list(PASSINGS) == list(POINTS)
