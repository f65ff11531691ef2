"""Conductor, gateway and workers die at their named moments; the run comes to the same end.

`make test` plays a few runs with several crashes each, `make soak` every point, at several of its
passings, in a run of its own.
"""

from dataclasses import replace

import pytest
from msgspec import structs

from crash.compare import UNCRASHED, differences
from crash.matrix import PASSINGS, QUICK, WHOLE
from crash.outcome import outcome_of
from crash.play import Play
from cutover.crashpoint import POINTS
from cutover.decision.kinds import OpenStage
from cutover.evidence.observation import Started


def played(folder, *crashes):
    with Play(folder, *crashes) as play:
        play.perform()
        return outcome_of(play)


def broken(seen):
    """The uncrashed outcome, falsified in one way a promise; each with the promise's name."""
    pay = next(told for told in seen.executed if told.key.startswith("live-") and "pay" in told.key)
    first, last = seen.asked[0], seen.asked[-1]
    opened = next(e for e in seen.entries if isinstance(e.fact, OpenStage))
    begun = next(e for e in seen.entries if isinstance(e.fact, Started))
    twice = next(told for told in seen.executed if told.key == first.key)
    unheard = replace(first, status=None, code="ReadError")
    yield "crashed", replace(seen, died=("worker",))
    yield "same_moves", replace(seen, entries=tuple(e for e in seen.entries if e is not opened))
    yield "same_moves", replace(seen, run=structs.replace(seen.run, closed=("phala",)))
    yield "starts", replace(seen, entries=(begun, *seen.entries))
    yield "starts", replace(seen, entries=seen.entries[:-1])
    yield "answered", replace(seen, asked=(unheard, *seen.asked[1:]))
    yield "answered", replace(seen, asked=(replace(first, status=502), *seen.asked[1:]))
    yield "executed_once", replace(seen, executed=(*seen.executed, twice))
    yield "executed_once", replace(seen, asked=(*seen.asked, replace(last, key="client-x")))
    yield "executed_once", replace(seen, executed=(*seen.executed, pay))
    key = next(
        t.key for t in seen.executed if t.plane == "phala" and t.text == "pay 0.01 USDC to a/b"
    )
    cut = tuple(replace(a, status=None) if a.key == key else a for a in seen.asked)
    yield "owned_up", replace(seen, asked=cut)
    other = replace(pay, key="live-other")
    yield "paid_as_journaled", replace(seen, executed=(*seen.executed, other))
    yield "sound", replace(seen, verified=("archive verify: no",))
    yield "sound", replace(seen, divergence="entry 7: no")
    yield "in_force", replace(seen, served="1")
    yield "in_force", replace(seen, kept=structs.replace(seen.kept, generation=1))


def test_the_uncrashed_run_is_what_the_others_are_compared_with(tmp_path):
    """Nobody dies, every promise is kept, nothing is asked for twice; a broken promise is told."""
    seen = played(tmp_path)
    assert differences(seen, ()) == []
    for promise, false in broken(seen):
        found = differences(false, ())
        assert any(wrong.startswith(f"{promise}: ") for wrong in found), (promise, found)
    assert tuple(seen.moves()) == UNCRASHED
    assert all(asked.status == 200 for asked in seen.asked)
    assert not any(told.again for told in seen.executed)


@pytest.mark.long
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
