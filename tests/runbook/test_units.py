"""Durations and shares survive being written and read."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutover.runbook.units import (
    LONGEST_MS,
    UNIT_MS,
    format_duration,
    format_share,
    parse_duration,
    parse_share,
)


@pytest.mark.parametrize(
    ("text", "ms"),
    [("250ms", 250), ("5s", 5_000), ("2m", 120_000), ("24h", 86_400_000), ("7d", 604_800_000)],
)
def test_a_duration_is_its_number_times_its_unit(text, ms):
    assert parse_duration(text) == ms


@given(st.integers(1, LONGEST_MS))
def test_a_formatted_duration_reads_back(ms):
    """Formatting loses no millisecond, and formatting again changes nothing."""
    text = format_duration(ms)
    assert parse_duration(text) == ms
    assert format_duration(parse_duration(text)) == text


@given(st.integers(1, 365), st.sampled_from(sorted(UNIT_MS)))
def test_every_whole_number_of_a_unit_parses(number, unit):
    assert parse_duration(f"{number}{unit}") == number * UNIT_MS[unit]


@pytest.mark.parametrize(
    "seen",
    [
        "", "5", "s", "5 s", " 5s", "5s ", "5S", "-5s", "+5s", "1.5s", "1m30s", "5s\n", "\u0665s",
        "5sec", "0s", "0ms", "366d", "9999999999s", 5, 5.0, True, None, ["5s"],
    ],
)  # fmt: skip
def test_anything_else_is_no_duration(seen):
    with pytest.raises(ValueError, match=r"^a duration"):
        parse_duration(seen)


@given(st.integers(0, 10_000))
def test_a_share_keeps_every_basis_point(bp):
    """Percent with two decimals, exact as decimal and as the float nearest to it."""
    percent = Decimal(bp) / 100
    assert parse_share(percent) == bp
    assert parse_share(float(percent)) == bp
    assert Decimal(format_share(bp).removesuffix(" %")) == percent


@pytest.mark.parametrize(
    "seen",
    [
        *(-1, 100.01, 101, 0.001, 33.333, "10", None, True, float("nan"), float("inf")),
        *map(Decimal, ("NaN", "sNaN", "Infinity", "1e9999", "1e-9999", "1e-9999999")),
    ],
)
def test_anything_else_is_no_share(seen):
    with pytest.raises(ValueError, match="a share in percent"):
        parse_share(seen)
