"""Planted bugs are caught: see docs/reference/mutants.md for all, and mutate.py for how."""

import dataclasses

import pytest

from simulator import mutate

BUGS = mutate.mutants()
CAUGHT = mutate.caught()
FAST = (
    "effect-before-journal",
    "answers-not-asked-for",
    "live-intent-of-an-earlier-stage",
    "rollback-keeps-its-share",
    "term-not-raised",
)
"""Of different lines, each caught soon."""


def _named(bugs):
    return [pytest.param(bug, id=bug.name) for bug in bugs]


@pytest.mark.parametrize("bug", _named(BUGS))
def test_a_bug_can_be_planted_once(bug):
    """Its old text is in the code exactly once, and what comes of it can be compiled."""
    text = (mutate.PACKAGE / bug.file).read_text(encoding="utf-8")
    planted = bug.planted(text)
    assert planted != text
    compile(planted, bug.file, "exec")


def test_bugs_have_names_of_their_own():
    """Or one would stand for two in the table."""
    assert len({bug.name for bug in BUGS}) == len(BUGS) >= 20


@pytest.mark.parametrize(
    ("old", "new"), [("not there", "x"), ("in", "x"), ("import asyncio", "import asyncio")]
)
def test_a_bug_that_is_not_planted_is_an_error(old, new):
    """A text that is missing, or there twice, or stays: no mutant vanishes silently."""
    bug = dataclasses.replace(BUGS[0], file="conductor/loop.py", old=old, new=new)
    with pytest.raises(mutate.MutantError, match="occurs"), mutate.mutated(bug):
        pass


def test_every_bug_is_in_the_record_and_no_other():
    """The table is about the bugs there are."""
    assert list(CAUGHT) == [bug.name for bug in BUGS]


def test_a_bug_that_nothing_here_catches_says_what_does():
    """Every other one is caught by a seed or by a scenario."""
    survivors = {n for n, by in CAUGHT.items() if by.seed < 0 and not by.scenario}
    assert survivors == {bug.name for bug in BUGS if bug.survives}


def test_at_least_fifteen_bugs_are_caught_by_a_seed():
    """The swarm is worth its time."""
    assert sum(1 for by in CAUGHT.values() if by.seed >= 0) >= 15


def test_the_page_is_what_is_recorded():
    """docs/reference/mutants.md is written from the record."""
    assert mutate.PAGE.read_text(encoding="utf-8") == mutate.page(BUGS, CAUGHT)


@pytest.mark.parametrize("bug", _named(bug for bug in BUGS if bug.name in FAST))
def test_what_caught_a_bug_catches_it_now(bug):
    """A few, in every run of the tests."""
    assert mutate.again(bug, CAUGHT[bug.name])


@pytest.mark.soak
@pytest.mark.parametrize(
    "bug", _named(bug for bug in BUGS if bug.name not in FAST and not bug.survives)
)
def test_what_caught_a_bug_catches_it_still(bug):
    """All others, in the slow matrix."""
    assert mutate.again(bug, CAUGHT[bug.name])
