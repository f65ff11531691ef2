"""A node's report becomes an observation; its key proofs are compared and never passed on."""

import msgspec
import pytest

from cutover.evidence.outcome import Count, Outcome
from cutover.evidence.wire import REPORT_BYTES_MAX, NodeReport, key_proof, parse_report
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
    assert parse_report(report(), {}).keys_match is False


def test_a_report_over_the_limit_is_refused_before_it_is_parsed():
    """Size first."""
    with pytest.raises(msgspec.ValidationError, match="bytes, at most"):
        parse_report(b"{" + b" " * REPORT_BYTES_MAX, KEYS)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"node": 1}', b"not json"])
def test_what_is_no_report_is_refused(body):
    """A body of another shape is an error, never an empty report."""
    with pytest.raises(msgspec.DecodeError):
        parse_report(body, KEYS)
