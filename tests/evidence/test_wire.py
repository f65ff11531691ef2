"""A node's report becomes an observation; its key proofs are compared and never passed on."""

import msgspec
import pytest

from cutover.evidence.outcome import Conversations, Count, Outcome
from cutover.evidence.wire import (
    GRANT_MS_MAX,
    REFUSED_CHARS_MAX,
    REPORT_BYTES_MAX,
    Grant,
    NodeReport,
    key_proof,
    parse_report,
)
from cutover.runbook.intent import Intent

KEYS = {"hetzner": "key-of-hetzner-000", "phala": "key-of-phala-00000"}


def report(**changes):
    proofs = {plane: key_proof(key, "b1") for plane, key in KEYS.items()}
    values = {
        "node": "node-1", "boot": "b1", "term": 1, "generation": 2, "refused_generation": 0,
        "refused": "", "in_flight": 3, "lost": 0,
        "counts": (Count(2, Intent.PAY, "phala", Outcome.OK, 5),), "conversations": (),
        "key_proofs": proofs,
    }  # fmt: skip
    return msgspec.json.encode(NodeReport(**{**values, **changes}))


def test_a_report_is_read_whole():
    """What the node said is what is observed."""
    seen = parse_report(report(), KEYS)
    assert (seen.node, seen.boot, seen.term, seen.generation) == ("node-1", "b1", 1, 2)
    assert seen.counts == (Count(2, Intent.PAY, "phala", Outcome.OK, 5),)
    assert seen.keys_match is True


def test_no_key_and_no_proof_leaves_the_edge():
    """Neither a key nor a proof of one is in the observation, so none is journaled."""
    seen = msgspec.json.encode(parse_report(report(), KEYS)).decode()
    assert all(key not in seen and key_proof(key, "b1") not in seen for key in KEYS.values())


@pytest.mark.parametrize(
    "proofs",
    [
        {},
        {"hetzner": key_proof(KEYS["hetzner"], "b1")},
        {"hetzner": key_proof(KEYS["hetzner"], "b1"), "phala": key_proof("another", "b1")},
        {plane: key_proof(key, "b0") for plane, key in KEYS.items()},
        {"hetzner": key_proof(KEYS["phala"], "b1"), "phala": key_proof(KEYS["hetzner"], "b1")},
    ],
)
def test_a_missing_wrong_or_borrowed_proof_does_not_match(proofs):
    """Every plane's key must be proved, for this boot."""
    assert parse_report(report(key_proofs=proofs), KEYS).keys_match is False


def test_nothing_to_compare_with_matches_nothing():
    """Without keys of our own no node has proved anything."""
    assert parse_report(report(counts=()), {}).keys_match is False


def test_a_report_over_the_limit_is_refused_before_it_is_parsed():
    """Size first."""
    with pytest.raises(msgspec.ValidationError, match="bytes, at most"):
        parse_report(b"{" + b" " * REPORT_BYTES_MAX, KEYS)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"node": 1}', b"not json"])
def test_what_is_no_report_is_refused(body):
    """A body of another shape is an error, never an empty report."""
    with pytest.raises(msgspec.DecodeError):
        parse_report(body, KEYS)


def cell(**changes):
    values = {
        "generation": 2,
        "intent": Intent.PAY,
        "plane": "phala",
        "outcome": Outcome.OK,
        "n": 5,
    }
    return (Count(**{**values, **changes}),)


@pytest.mark.parametrize(
    "changes",
    [
        {"counts": cell(plane="a|b")}, {"counts": cell(plane="other")}, {"counts": cell(n=-1)},
        {"counts": cell(n=2**53 + 1)}, {"counts": cell(generation=-1)},
        {"counts": cell(generation=10**9 + 1)},
        {"conversations": (Conversations(1, Intent.PAY, "a|b", 1),)},
        {"conversations": (Conversations(1, Intent.PAY, "phala", -1),)},
        {"node": ""}, {"node": "n" * 65}, {"node": "a b"}, {"node": "n\n"}, {"node": "n" * 500_000},
        {"boot": ""}, {"boot": "0" * 33}, {"boot": "B1"}, {"lost": -1}, {"lost": 2**53 + 1},
        {"in_flight": -1}, {"in_flight": 2**60}, {"term": -1}, {"term": 10**9 + 1},
        {"generation": 10**9 + 1}, {"refused_generation": -1},
    ],
)  # fmt: skip
def test_what_no_node_can_say_is_no_report(changes):
    """A value out of its range is refused at the edge, and the refusal is short."""
    with pytest.raises(msgspec.ValidationError) as seen:
        parse_report(report(**changes), KEYS)
    assert len(str(seen.value)) < 300


def test_a_number_that_no_reader_holds_is_no_report():
    """2^70 is a 400 as well, whatever the parser makes of it."""
    for number in (2**70, 10**4_000):
        body = report().replace(b'"n":5', b'"n":' + str(number).encode())
        with pytest.raises(msgspec.ValidationError) as seen:
            parse_report(body, KEYS)
        assert len(str(seen.value)) <= 300


def test_half_a_letter_is_no_report():
    """What could not be written into the journal is refused before it comes there."""
    body = report(refused="zz").replace(b"zz", b"\\ud800")
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        parse_report(body, KEYS)


def test_a_long_refusal_is_cut():
    """Its first words are enough; a node cannot fill the journal with them."""
    assert parse_report(report(refused="x" * 900_000), KEYS).refused == "x" * REFUSED_CHARS_MAX


def test_the_largest_numbers_are_still_a_report():
    """The bounds themselves are admitted."""
    edge = cell(n=2**53, generation=10**9)
    seen = parse_report(report(counts=edge, node="n" * 64, boot="f" * 32, lost=2**53), KEYS)
    assert seen.counts == edge


def test_payments_in_flight_are_told_and_bounded():
    """An older node says nothing of them, which reads as none; a negative number is refused."""
    assert parse_report(report(money_in_flight=4), KEYS).money_in_flight == 4
    body = msgspec.json.decode(report())
    del body["money_in_flight"]
    assert parse_report(msgspec.json.encode(body), KEYS).money_in_flight == 0
    with pytest.raises(msgspec.ValidationError, match="money_in_flight"):
        parse_report(report(money_in_flight=-1), KEYS)


@pytest.mark.parametrize("money_ms", [0, 1, GRANT_MS_MAX])
def test_a_grant_within_its_bounds_is_one(money_ms):
    """Nothing and a whole day are the edges."""
    grant = Grant("run-1", 1, money_ms)
    assert grant.checked() is grant


@pytest.mark.parametrize(
    ("term", "money_ms"), [(1, -1), (1, GRANT_MS_MAX + 1), (0, 5), (-1, 5), (10**9 + 1, 5)]
)
def test_a_grant_beyond_its_bounds_is_none(term, money_ms):
    """No conductor says so."""
    with pytest.raises(msgspec.ValidationError, match="expected"):
        Grant("run-1", term, money_ms).checked()
