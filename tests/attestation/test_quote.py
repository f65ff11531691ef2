"""The bytes of a quote, and what its own registers forbid before any signature is looked at."""

import json

import pytest

from attestation.world import fixture
from cutover.attestation.eventlog import parse_event_log
from cutover.attestation.quote import judge_format, parse_quote
from cutover.attestation.strict import MalformedError

V4 = fixture("near-mpc/2026-08/quote.hex")
V5 = fixture("dcap-qvl/tdx_quote_v5_no_tcb_level.bin")


def patched(raw, at, value):
    return raw[:at] + value + raw[at + len(value) :]


def codes(raw):
    return [reason.code for reason in judge_format(parse_quote(raw))]


def test_real_quotes_of_both_versions_have_their_form():
    """Version 4 signs 632 bytes, version 5 with a 1.5 report 702."""
    assert (codes(V4), parse_quote(V4).signed_size) == (["tdx"], 632)
    assert (codes(V5), parse_quote(V5).signed_size) == (["tdx"], 702)
    assert parse_quote(V5).report.mr_service_td == bytes(48)


@pytest.mark.parametrize(
    ("raw", "at", "value", "code"),
    [
        (V4, 48 + 120, b"\x01", "debug"),
        (V4, 48 + 123, b"\x00", "sept_ve"),
        (V4, 48 + 64, b"\x01", "seam_signer"),
        (V5, 54 + 64, b"\x01", "seam_signer"),
        (V5, 54 + 600, b"\x01", "service_td"),
    ],
)
def test_each_forbidden_bit_has_its_reason(raw, at, value, code):
    """Debug, no SEPT_VE_DISABLE, a foreign TDX module, a service TD."""
    assert codes(patched(raw, at, value)) == [code]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", "48 bytes"),
        (V4[:47], "48 bytes"),
        (V4[:631], "at least 632"),
        (V5[:701], "at least 702"),
        (fixture("dcap-qvl/sgx_quote.bin"), "TDX quote"),
        (patched(V4, 0, b"\x06"), "version 4 or 5"),
        (patched(V4, 2, b"\x03"), "ECDSA"),
        (patched(V4, 12, b"\x00"), "quoting enclave"),
        (patched(V5, 48, b"\x04"), "TD report"),
        (patched(V5, 50, b"\x00"), "TD report"),
    ],
)
def test_anything_else_is_no_quote(raw, expected):
    """Too short, another TEE, another version, key or body."""
    with pytest.raises(MalformedError) as refused:
        parse_quote(raw)
    assert expected in refused.value.expected


def test_where_a_name_ends_is_nobody_s_choice():
    """Version 1 joins name and payload with a colon, so a name with one has two readings."""
    entry = {"imr": 3, "event_type": 134217729, "digest": "", "event_payload": ""}
    assert parse_event_log(json.dumps([{**entry, "event": "a"}]))
    with pytest.raises(MalformedError, match="colon"):
        parse_event_log(json.dumps([{**entry, "event": "a:b"}]))
