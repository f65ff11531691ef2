"""The odds of a spurious rollback are exact."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cutover.runbook.load import load_text
from cutover.runbook.odds import (
    FLAKES,
    armed_canary_runs,
    odds_of_streak,
    odds_table,
    spurious_rollback_odds,
)
from runbook.texts import changed, shipped

PHASED = shipped("phased")


def brute_force(total, streak, chance):
    """The sum over all 2^total histories."""
    odds = 0.0
    for history in itertools.product("fp", repeat=total):
        failed = history.count("f")
        if "f" * streak in "".join(history):
            odds += chance**failed * (1 - chance) ** (total - failed)
    return odds


def closed_form(total, streak, chance):
    """De Moivre's sum for the probability of a run of hits in independent tries."""

    def beta(n):
        return sum(
            (-1) ** k * math.comb(n - k * streak, k) * (chance**streak * (1 - chance)) ** k
            for k in range(n // (streak + 1) + 1)
        )

    never = beta(total) - chance**streak * beta(total - streak) if total >= streak else 1.0
    return 1 - never


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 11), st.integers(1, 4), st.sampled_from([0.0, 0.05, 0.3, 0.5, 0.9, 1.0]))
def test_the_recurrence_agrees_with_every_history_counted(total, streak, chance):
    assert odds_of_streak(total, streak, chance) == pytest.approx(
        brute_force(total, streak, chance)
    )


@given(st.integers(1, 60), st.integers(1, 5), st.floats(0.001, 0.3))
def test_the_recurrence_agrees_with_de_moivre(total, streak, chance):
    assert odds_of_streak(total, streak, chance) == pytest.approx(
        closed_form(total, streak, chance), abs=1e-9
    )


@given(st.integers(0, 500), st.floats(0, 1))
def test_one_failure_is_a_streak_of_one(total, chance):
    """The closed form everyone knows."""
    assert odds_of_streak(total, 1, chance) == pytest.approx(1 - (1 - chance) ** total)


@pytest.mark.parametrize(("total", "streak", "chance"), [(-1, 2, 0.1), (5, 0, 0.1), (5, 2, 1.1)])
def test_nonsense_is_refused(total, streak, chance):
    with pytest.raises(ValueError, match="expected total"):
        odds_of_streak(total, streak, chance)


def test_only_armed_stages_count():
    """2 h + 26 h + 7 d of five-minute rounds in the phased runbook; shadow cannot roll back."""
    phased = load_text(PHASED, "phased.toml")
    assert armed_canary_runs(phased) == (2 + 26 + 7 * 24) * 12
    assert spurious_rollback_odds(phased, 0.01) == odds_of_streak(2352, 2, 0.01)


def test_a_stage_takes_at_least_its_canary_runs():
    """Where runs need more time than the soak says, they count."""
    text = changed(PHASED, '"7d", canary_runs = 0', '"7d", canary_runs = 3000')
    assert armed_canary_runs(load_text(text, "x")) == (2 + 26) * 12 + 3000


def test_the_strictest_canary_rule_decides():
    """A second rule that needs more failures changes nothing."""
    rule = PHASED[PHASED.index('[[rollback]]\nname = "canary-failed"') :].split("\n\n")[0]
    lax = rule.replace('"canary-failed"', '"canary-failed-more"').replace("runs = 2 ", "runs = 5 ")
    both = changed(PHASED, rule, f"{lax}\n\n{rule}")
    assert spurious_rollback_odds(load_text(both, "x"), 0.01) == odds_of_streak(2352, 2, 0.01)


def test_the_table_is_of_the_shown_flake_rates():
    """0.1 %, 1 % and 5 %, odds rising."""
    table = odds_table(load_text(PHASED, "phased.toml"))
    assert tuple(flake for flake, _ in table) == FLAKES == (0.001, 0.01, 0.05)
    assert [round(odds, 4) for _, odds in table] == sorted(round(odds, 4) for _, odds in table)
    assert table[1][1] == pytest.approx(0.2075, abs=5e-4)
