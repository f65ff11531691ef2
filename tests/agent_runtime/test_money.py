"""Integers of money: exact, complete, and never a float."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime import amounts
from agent_runtime.allocation import ONE_PERCENT, WHOLE, divide, percent_text
from agent_runtime.errors import Refusal

WEIGHTS = st.lists(st.integers(1, 10**9), min_size=1, max_size=40)


@given(WEIGHTS)
def test_shares_sum_to_the_whole_and_nobody_gets_nothing(weights):
    parts = divide(WHOLE, weights, minimum=1)
    assert sum(parts) == WHOLE
    assert min(parts) >= 1


@given(WEIGHTS, st.integers(0, 10**9))
def test_a_bigger_weight_never_gets_less(weights, extra):
    parts = divide(len(weights) + extra, weights, minimum=1)
    assert sum(parts) == len(weights) + extra
    ranked = sorted(zip(weights, parts, strict=True))
    assert all(b[1] >= a[1] for a, b in itertools.pairwise(ranked) if b[0] > a[0])


@given(WEIGHTS)
def test_a_share_is_less_than_one_unit_from_proportion(weights):
    parts = divide(WHOLE, weights)
    whole = sum(weights)
    assert all(
        abs(part * whole - WHOLE * weight) < whole
        for part, weight in zip(parts, weights, strict=True)
    )


@pytest.mark.parametrize("weights", [[], [1, 0], [3, -1]])
def test_dividing_refuses_empty_and_non_positive_weights(weights):
    with pytest.raises(ValueError, match="above zero"):
        divide(100, weights)


def test_too_little_to_go_round_is_refused():
    with pytest.raises(ValueError, match="cannot give 3 parts 1 each"):
        divide(2, [1, 1, 1], minimum=1)


@given(st.integers(0, 10**24 - 1), st.integers(0, 24))
def test_an_amount_survives_writing_and_reading(units, decimals):
    assert amounts.to_units(amounts.to_text(units, decimals), decimals) == units


@pytest.mark.parametrize("text", ["", "-1", "1e3", "1.", ".5", "1,5", "\u0663", "1.2345678"])
def test_an_amount_that_is_no_plain_decimal_of_the_token_is_refused(text):
    with pytest.raises(Refusal):
        amounts.to_units(text, 6)


@pytest.mark.parametrize(
    ("units", "text"),
    [
        (WHOLE, "100"),
        (5 * 10**22, "50"),
        (ONE_PERCENT * 100 // 3, "33.33"),
        (10**17, "0.0001"),
        (1, "0.000000000000000000001"),
    ],
)
def test_a_percentage_is_never_rounded_to_nothing(units, text):
    assert percent_text(units) == text
