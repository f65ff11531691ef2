"""A table is whole or not put in force; what is wrong with it is named."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutover.errors import TableError
from cutover.routing.table import REFUSAL_CHARS_MAX, SALT_CHARS_MAX, Route, RoutingTable
from cutover.runbook.intent import Intent

GOOD = RoutingTable(
    generation=7,
    term=2,
    run="run-1",
    salt="salt",
    fallback="hetzner",
    candidate="phala",
    active="hetzner",
    stage="10% canary",
    routes={intent: Route(candidate_bp=0) for intent in Intent},
)


def having(**changes):
    return msgspec.structs.replace(GOOD, **changes)


def routing(intent, route):
    return having(routes={**GOOD.routes, intent: route})


def test_good_table_is_returned():
    """A table without fault is given back as it is."""
    assert GOOD.checked() is GOOD


@pytest.mark.parametrize(
    ("table", "named"),
    [
        (having(generation=0), "generation 0: generation and term start at 1"),
        (having(generation=-3), "generation -3: generation and term start at 1"),
        (having(term=0), "seen term 0"),
        (having(active="aws"), "active plane 'aws' is not one of two planes"),
        (having(active=""), "active plane '' is not one"),
        (having(candidate="hetzner"), r"not one of two planes \['hetzner'\]"),
        (having(salt="s" * (SALT_CHARS_MAX + 1)), "salt of 65 characters, at most 64"),
        (having(routes={}), "no route for analyze, create, pay, .*; a table is whole"),
        (
            having(routes={i: r for i, r in GOOD.routes.items() if i is not Intent.PAY}),
            "no route for pay; a table is whole",
        ),
        (
            routing(Intent.PAY, Route(candidate_bp=-1)),
            r"pay has candidate_bp -1, expected 0..10000",
        ),
        (routing(Intent.HELP, Route(candidate_bp=10_001)), "help has candidate_bp 10001"),
        (
            routing(Intent.PAY, Route(candidate_bp=0, refuse_on=("aws",), refusal="no")),
            r"pay is refused on unknown planes \('aws',\)",
        ),
        (
            routing(Intent.PAY, Route(candidate_bp=0, refuse_on=("phala",))),
            "pay needs a refusal text of 1..300 characters",
        ),
        (
            routing(Intent.PAY, Route(candidate_bp=0, refusal="x" * (REFUSAL_CHARS_MAX + 1))),
            "pay needs a refusal text of 1..300 characters",
        ),
        (having(candidate_spki="a" * 63), "candidate_spki of 63 characters, expected none"),
        (having(candidate_spki="a" * 64 + "\n"), "candidate_spki of 65 characters"),
        (having(candidate_spki="A" * 64), "64 lower-case hex digits"),
        (having(candidate_spki="g" * 64), "64 lower-case hex digits"),
    ],
)
def test_fault_is_named(table, named):
    """Each fault refuses the table, with the generation and what was seen."""
    with pytest.raises(TableError, match=named) as refused:
        table.checked()
    assert f"routing table generation {table.generation}: " in str(refused.value)


@pytest.mark.parametrize("spki", [None, "", "0123456789abcdef" * 4])
def test_a_key_is_named_or_awaited_or_not_asked_for(spki):
    assert having(candidate_spki=spki).checked().candidate_spki == spki


@pytest.mark.parametrize("share", [0, 1, 9_999, 10_000])
def test_shares_at_the_ends_are_good(share):
    """Both ends of the scale are shares."""
    assert routing(Intent.PAY, Route(candidate_bp=share)).checked()


def test_refusal_on_both_planes_is_good():
    """An intent may be refused everywhere, with a text at the limit."""
    both = Route(candidate_bp=0, refuse_on=("hetzner", "phala"), refusal="x" * REFUSAL_CHARS_MAX)
    assert routing(Intent.PAY, both).checked()


def test_either_plane_may_be_active():
    """What has no intent may go to either plane."""
    assert having(active="phala").checked()


@given(st.dictionaries(st.sampled_from(Intent), st.integers(-5, 10_005)))
def test_checked_means_whole_and_in_range(shares):
    """A table passes exactly if it has a share within the scale for every intent."""
    table = having(routes={intent: Route(candidate_bp=share) for intent, share in shares.items()})
    fit = set(shares) == set(Intent) and all(0 <= share <= 10_000 for share in shares.values())
    if fit:
        assert table.checked() is table
    else:
        with pytest.raises(TableError):
            table.checked()


def test_a_table_survives_the_wire():
    """Encoded and decoded, a table is equal: it travels and rests on disk as JSON."""
    wire = msgspec.json.encode(GOOD)
    assert msgspec.json.decode(wire, type=RoutingTable) == GOOD


@pytest.mark.parametrize("leased", [True, False])
def test_a_table_is_the_same_after_the_wire(leased):
    """Leased or not: a node's disk and the conductor's answer hold it whole."""
    table = having(leased=leased)
    assert msgspec.json.decode(msgspec.json.encode(table), type=RoutingTable) == table


def test_a_table_that_does_not_say_so_is_leased():
    """One that was kept by an older node never lets payments go on alone."""
    told = msgspec.to_builtins(GOOD)
    del told["leased"]
    assert msgspec.convert(told, RoutingTable).leased is True
