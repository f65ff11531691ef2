"""The choice of a plane is sticky, monotone, two-sided, unbiased and the same everywhere."""

from uuid import UUID
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutover.routing.pick import bucket_of, pick
from cutover.routing.table import Route, RoutingTable
from cutover.runbook.intent import Intent

KEY = st.text(min_size=1, max_size=40).filter(lambda key: key.isprintable())
SALT = st.text(st.characters(codec="utf-8"), max_size=64)
SHARE = st.integers(0, 10_000)
MANY = 4_000
SHAPES = {
    "farcaster fid": [str(1_000 + number) for number in range(MANY)],
    "near account": [f"user{number}.near" for number in range(MANY)],
    "wallet": [f"0x{number * 0x9E3779B97F4A7C15 % 2**160:040x}" for number in range(MANY)],
    "uuid": [str(UUID(int=number * 0xD1342543DE82EF95 % 2**128)) for number in range(MANY)],
}


def table(share_bp, salt="run-1"):
    return RoutingTable(
        generation=1,
        term=1,
        run="run-1",
        salt=salt,
        fallback="hetzner",
        candidate="phala",
        active="hetzner",
        stage="any",
        routes={intent: Route(candidate_bp=share_bp) for intent in Intent},
    )


def moved(share_bp, keys, salt="run-1"):
    """Which of the conversations the candidate answers."""
    at = table(share_bp, salt)
    return {key for key in keys if pick(at, Intent.ANALYZE, key) == "phala"}


@given(SALT, KEY)
def test_bucket_is_the_common_formula(salt, key):
    """The bucket is CRC-32 of salt and key in one, modulo 10000."""
    assert bucket_of(salt, key) == crc32((salt + key).encode()) % 10_000


@pytest.mark.parametrize(
    ("salt", "key", "bucket"),
    [("", "123456789", 0xCBF43926 % 10_000), ("1234", "56789", 0xCBF43926 % 10_000), ("", "", 0)],
)
def test_bucket_of_the_published_check_value(salt, key, bucket):
    """CRC-32 is the one of zlib, PNG and Ethernet: its check value decides."""
    assert bucket_of(salt, key) == bucket


@given(SHARE, SALT, KEY, st.sampled_from(Intent))
def test_sticky(share, salt, key, intent):
    """The same inputs choose the same plane, from an equal table of a later generation too."""
    first = table(share, salt)
    later = RoutingTable(
        **{**{f: getattr(first, f) for f in first.__struct_fields__}, "generation": 9}
    )
    assert pick(first, intent, key) == pick(later, intent, key)


@given(SHARE, SHARE, SALT, KEY)
def test_monotone(one, other, salt, key):
    """Raising a share never sends a candidate's conversation back, lowering never moves one on."""
    low, high = sorted((one, other))
    if pick(table(low, salt), Intent.CREATE, key) == "phala":
        assert pick(table(high, salt), Intent.CREATE, key) == "phala"


@given(SHARE, SALT, KEY)
def test_the_bucket_decides(share, salt, key):
    """The candidate answers exactly the conversations whose bucket is below the share."""
    expected = "phala" if bucket_of(salt, key) < share else "hetzner"
    assert pick(table(share, salt), Intent.PAY, key) == expected


@given(SALT, KEY)
def test_the_edge_is_sharp(salt, key):
    """A conversation moves at the first share above its bucket, and not at its bucket."""
    bucket = bucket_of(salt, key)
    assert pick(table(bucket, salt), Intent.PAY, key) == "hetzner"
    assert pick(table(bucket + 1, salt), Intent.PAY, key) == "phala"


@given(st.integers(0, 9_999), SALT)
def test_who_has_no_key_stays(share, salt):
    """An empty key stays on the fallback at every share short of all."""
    assert pick(table(share, salt), Intent.ANALYZE, "") == "hetzner"


def test_who_has_no_key_goes_with_all():
    """At the whole share even an empty key goes: nobody is left behind on a retired plane."""
    assert pick(table(10_000), Intent.ANALYZE, "") == "phala"


@given(SALT, KEY)
def test_nobody_and_all(salt, key):
    """No share moves nobody, the whole share moves everybody."""
    assert pick(table(0, salt), Intent.ANALYZE, key) == "hetzner"
    assert pick(table(10_000, salt), Intent.ANALYZE, key) == "phala"


@given(KEY)
def test_each_intent_has_its_own_share(key):
    """An intent's share moves that intent alone."""
    mixed = table(0)
    mixed.routes[Intent.ANALYZE] = Route(candidate_bp=10_000)
    assert pick(mixed, Intent.ANALYZE, key) == "phala"
    assert pick(mixed, Intent.PAY, key) == "hetzner"


@pytest.mark.parametrize("share", [100, 1_000, 5_000, 9_000, 9_900])
@pytest.mark.parametrize("shape", SHAPES)
def test_unbiased(shape, share):
    """Of many ids of any shape the share moves, within 4 standard deviations; the rest stays."""
    part = share / 10_000
    band = 4 * (MANY * part * (1 - part)) ** 0.5
    count = len(moved(share, SHAPES[shape]))
    assert abs(count - MANY * part) <= band
    assert 0 < count < MANY


@pytest.mark.parametrize("share", [1_000, 5_000])
@pytest.mark.parametrize("shape", SHAPES)
def test_salts_choose_independently(shape, share):
    """Who moves under one salt says nothing about who moves under another."""
    part = (share / 10_000) ** 2
    band = 4.5 * (MANY * part * (1 - part)) ** 0.5
    salts = ["run-1", "run-2", "run-9", "2026-11"]
    chosen = [moved(share, SHAPES[shape], salt) for salt in salts]
    for place, one in enumerate(chosen):
        for other in chosen[:place]:
            assert abs(len(one & other) - MANY * part) <= band
