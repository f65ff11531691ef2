"""Nothing that is signed or hashed can be changed, not by a bit."""

import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attestation.world import Plane, asked, collateral, judge, policy, real
from cutover.attestation import dcap
from cutover.attestation.bundle import Asked
from cutover.attestation.quote import parse_quote
from cutover.attestation.strict import MalformedError
from cutover.attestation.verifier import verify

# A bent certificate may have a serial number that the reader only warns of, until it refuses it.
pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")
SIGNED = 632
BUNDLE, COLLATERAL, MOMENT = real()
OFFLINE = Asked(MOMENT, live=False)
GOOD = Plane().bundle()
PAPERS, POLICY = collateral(), policy()


def flipped(raw, position, mask):
    bent = bytearray(raw)
    bent[position] ^= mask
    return bytes(bent)


def refused(raw):
    try:
        dcap.verify(parse_quote(raw), COLLATERAL, None, MOMENT)
    except (MalformedError, dcap.RejectedError):
        return True
    return False


def test_any_of_the_first_632_bytes_of_a_real_quote_is_protected():
    """Every position, one bit of it, refused by reader or signature."""
    assert not refused(BUNDLE.quote)
    kept = [p for p in range(SIGNED) if not refused(flipped(BUNDLE.quote, p, 1 << p % 8))]
    assert kept == []


@settings(max_examples=60, deadline=None)
@given(st.integers(0, SIGNED - 1), st.integers(1, 255))
def test_any_change_of_a_signed_byte_is_invalid(position, mask):
    """The whole verdict, not only the signature, with every reason in place."""
    bent = dataclasses.replace(BUNDLE, quote=flipped(BUNDLE.quote, position, mask))
    found = verify(bent, COLLATERAL, None, OFFLINE)
    assert found.verdict == "invalid"
    assert found.identity == ""


@settings(max_examples=60, deadline=None)
@given(st.integers(SIGNED, len(BUNDLE.quote) - 1), st.integers(1, 255))
def test_a_malleated_tail_is_the_same_evidence(position, mask):
    """Behind the signed part bytes may change and verify; then it is no new evidence."""
    bent = dataclasses.replace(BUNDLE, quote=flipped(BUNDLE.quote, position, mask))
    found = verify(bent, COLLATERAL, None, OFFLINE)
    assert found.evidence_id == verify(BUNDLE, COLLATERAL, None, OFFLINE).evidence_id
    if found.verdict == "verified":
        assert found.measurements == verify(BUNDLE, COLLATERAL, None, OFFLINE).measurements


def test_bytes_behind_a_quote_are_no_new_quote():
    """Trailing bytes are ignored and do not change its name."""
    longer = dataclasses.replace(BUNDLE, quote=BUNDLE.quote + b"tail")
    found = verify(longer, COLLATERAL, None, OFFLINE)
    assert found.verdict == "verified"
    assert found.evidence_id == verify(BUNDLE, COLLATERAL, None, OFFLINE).evidence_id


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_any_change_of_what_a_log_says_is_refused(data):
    """Names, payloads, digests, registers, order, length: a log says one thing."""
    entries = json.loads(BUNDLE.event_log)
    at = data.draw(st.sampled_from([n for n, e in enumerate(entries) if e["imr"] == 3]))
    change = data.draw(st.sampled_from(["name", "payload", "imr", "type", "drop", "twice", "swap"]))
    match change:
        case "name":
            entries[at]["event"] += data.draw(st.text(min_size=1, max_size=3))
        case "payload":
            entries[at]["event_payload"] += data.draw(st.sampled_from(["00", "3a", "ff"]))
        case "imr":
            entries[at]["imr"] = data.draw(st.sampled_from([0, 1, 2, 4, -1, True, "3"]))
        case "type":
            entries[at]["event_type"] = data.draw(
                st.integers(0, 2**32).filter(lambda n: n != 134217729)
            )
        case "drop":
            del entries[at]
        case "twice":
            entries.insert(at, entries[at])
        case "swap":
            other = at - 1 if entries[at - 1]["imr"] == 3 else at + 1
            entries[at], entries[other] = entries[other], entries[at]
    bent = dataclasses.replace(BUNDLE, event_log=json.dumps(entries).encode())
    found = verify(bent, COLLATERAL, None, OFFLINE)
    assert found.verdict == "invalid"


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_changed_byte_of_compose_or_statement_is_refused(data):
    """Every byte of both is hashed into the quote."""
    part = data.draw(st.sampled_from(["app_compose", "statement"]))
    raw = getattr(GOOD, part)
    position = data.draw(st.integers(0, len(raw) - 1))
    bent = flipped(raw, position, data.draw(st.integers(1, 255)))
    found = verify(dataclasses.replace(GOOD, **{part: bent}), PAPERS, POLICY, asked())
    assert found.verdict == "invalid"


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_change_of_the_keys_part_verifies_only_if_it_says_the_same(data):
    """Keys, chains and signatures: nothing in them can be exchanged."""
    position = data.draw(st.integers(0, len(GOOD.keys) - 1))
    bent = flipped(GOOD.keys, position, data.draw(st.integers(1, 255)))
    found = verify(dataclasses.replace(GOOD, keys=bent), PAPERS, POLICY, asked())
    if found.verdict == "verified":
        # The recovery bits of a signature have spellings that recover the same key.
        assert found.wallet_keys == verify(GOOD, PAPERS, POLICY, asked()).wallet_keys


@pytest.mark.parametrize("part", ["quote", "event_log", "app_compose", "statement", "keys"])
def test_parts_of_two_planes_do_not_mix(part):
    """Evidence of one machine beside the words of another."""
    from attestation.world import SEED
    from sandbox.tee.machine import Machine

    boot = Machine(SEED).boot.model_copy(update={"app": "another", "disk": "another"})
    other = Plane(Machine(SEED, boot, nonce="o")).bundle()
    if getattr(other, part) != getattr(GOOD, part):
        assert judge(**{part: getattr(other, part)}).verdict == "invalid"
