"""No input crashes a parser, and none that was not made by the machine is accepted."""

import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attestation.world import Plane, asked, collateral, fixture, judge, policy, policy_text, root
from cutover.attestation.bundle import Bundle, parse_bundle
from cutover.attestation.collateral import parse_collateral, root_sha256
from cutover.attestation.collateral_proof import prove
from cutover.attestation.dcap import platform_of
from cutover.attestation.eventlog import parse_event_log, read_facts
from cutover.attestation.keychain import parse_keys
from cutover.attestation.policy_file import lint_policy
from cutover.attestation.quote import parse_quote
from cutover.attestation.record import decode
from cutover.attestation.statement import parse_statement
from cutover.attestation.strict import MalformedError, canonical_json, hex_bytes, read_json
from cutover.attestation.verifier import verify
from cutover.attestation.yaml_tree import read_yaml

# A bent certificate may have a serial number that the reader only warns of, until it refuses it.
pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")
PAPERS, POLICY = collateral(), policy()
GOOD = Plane().bundle()
ANSWER = Plane().answer()
FAST = settings(max_examples=120, deadline=None)

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4)
    ),
    max_leaves=12,
)
PARSERS = (
    parse_quote,
    parse_event_log,
    parse_statement,
    parse_bundle,
    parse_collateral,
    decode,
    lambda raw: read_json(raw, "fuzz"),
    lambda raw: parse_keys(read_json(raw, "keys")),
    lambda raw: read_yaml(raw.decode("utf-8", "surrogateescape")),
)


def survives(parser, raw):
    """A parser gives a value or says what is malformed; anything else is a crash."""
    try:
        parser(raw)
    except MalformedError as refusal:
        told = refusal
    else:
        return
    assert told.seen
    assert told.expected
    assert len(str(told)) < 1000


@FAST
@given(st.binary(max_size=2000))
def test_arbitrary_bytes_crash_no_parser(raw):
    """Every parser is total on bytes."""
    for parser in PARSERS:
        survives(parser, raw)


@FAST
@given(values)
def test_arbitrary_json_crashes_no_parser(value):
    """Every parser is total on JSON of any shape."""
    raw = json.dumps(value).encode()
    for parser in PARSERS:
        survives(parser, raw)


def mutated(draw, raw):
    """A few edits of real bytes: flips, cuts, copies, insertions."""
    bent = bytearray(raw)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(bent) - 1)))
        match draw(st.sampled_from(["flip", "cut", "copy", "insert"])):
            case "flip" if bent:
                bent[at] ^= draw(st.integers(1, 255))
            case "cut":
                del bent[at : at + draw(st.integers(1, 40))]
            case "copy":
                bent[at:at] = bent[at : at + draw(st.integers(1, 40))]
            case _:
                bent[at:at] = draw(st.binary(min_size=1, max_size=8))
    return bytes(bent)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_edited_evidence_never_crashes_and_never_passes_as_something_else(data):
    """Whatever is edited, the verdict is not verified, or it is about the very same facts."""
    part = data.draw(st.sampled_from(["quote", "event_log", "app_compose", "statement", "keys"]))
    raw = mutated(data.draw, getattr(GOOD, part))
    found = verify(dataclasses.replace(GOOD, **{part: raw}), PAPERS, POLICY, asked())
    if found.verdict == "verified":
        whole = verify(GOOD, PAPERS, POLICY, asked())
        assert (found.identity, found.evidence_id) == (whole.identity, whole.evidence_id)


@FAST
@given(st.data())
def test_edited_answers_and_collateral_crash_nothing(data):
    """The wire's object and the services' documents, bent."""
    survives(parse_bundle, mutated(data.draw, json.dumps(ANSWER).encode()))
    survives(parse_collateral, mutated(data.draw, fixture("near-mpc/2026-08/collateral.json")))


@FAST
@given(st.dictionaries(st.sampled_from(list(ANSWER)), values))
def test_an_answer_with_any_values_crashes_nothing(changes):
    """Known names with unexpected values, up to the verdict."""
    try:
        bundle = parse_bundle(json.dumps({**ANSWER, **changes}).encode())
    except MalformedError:
        return
    found = verify(bundle, PAPERS, POLICY, asked())
    told = {name for name in changes if name not in {"v", "vm_config"}}
    same = all(changes[name] == ANSWER[name] for name in told)
    assert (found.verdict == "verified") is same


entries_of_any_kind = st.fixed_dictionaries(
    {
        "imr": st.integers(-1, 4),
        "event_type": st.sampled_from([0x08000001, 1]),
        "digest": st.sampled_from(["", "00" * 48, "zz"]),
        "event": st.text(max_size=8),
        "event_payload": st.sampled_from(["", "00" * 20, "00" * 32, "7b7d", "0"]),
    },
    optional={"version": st.integers(0, 3), "preimage": st.text(max_size=4)},
)


@FAST
@given(st.lists(entries_of_any_kind, max_size=12))
def test_arbitrary_logs_crash_nothing(entries):
    """Reading and claims are total on entries of any kind."""
    raw = json.dumps(entries).encode()
    try:
        read_facts(parse_event_log(raw), None)
    except MalformedError:
        return
    raise AssertionError(entries)  # no such list has the four trusted names in their places


def test_no_byte_of_the_certificates_crashes_the_reader():
    """Certificates are parsed where they are used, so each place of use must expect bad ones."""
    for at in range(632, len(GOOD.quote)):
        raw = bytearray(GOOD.quote)
        raw[at] ^= 1 << at % 7
        survives(lambda bent: platform_of(parse_quote(bent)), bytes(raw))


def test_no_byte_of_a_set_s_certificates_crashes_the_proof():
    """Every sixth character of chains and lists, bent, is refused or makes no difference."""
    parts = json.loads(PAPERS.text)
    name = root_sha256(root())
    for part in ("tcb_info_issuer_chain", "pck_crl_issuer_chain", "pck_crl", "root_ca_crl"):
        for at in range(0, len(parts[part]), 6):
            other = "b" if parts[part][at] != "b" else "c"
            bent = parts[part][:at] + other + parts[part][at + 1 :]
            text = json.dumps({**parts, part: bent})
            survives(lambda raw: prove(parse_collateral(raw), name), text)


@FAST
@given(st.data())
def test_edited_policies_are_read_or_explained(data):
    """The linter is total on edits of a good policy."""
    text = mutated(data.draw, policy_text().encode()).decode("utf-8", "replace")
    for finding in lint_policy(text, "p.toml"):
        assert finding.line >= 1
        assert finding.expected


@FAST
@given(st.text(max_size=200))
def test_arbitrary_yaml_crashes_nothing(text):
    """YAML is read as text, lists and tables, or refused."""
    survives(read_yaml, text)


@FAST
@given(values.filter(lambda v: "nan" not in repr(v) and "inf" not in repr(v)))
def test_canonical_json_is_its_own_canonical_form(value):
    """Writing what was read gives the same bytes."""
    raw = canonical_json(value)
    assert canonical_json(read_json(raw, "x")) == raw


@FAST
@given(st.text(max_size=40))
def test_hex_is_lower_case_and_even(text):
    """What is read as hex writes back as the same text."""
    try:
        assert hex_bytes(text, "x").hex() == text
    except MalformedError:
        assert (
            not text or text != text.lower() or len(text) % 2 or set(text) - set("0123456789abcdef")
        )


def test_a_hostile_depth_is_refused_not_survived_by_luck():
    """Deep JSON and YAML end in a message, in every parser."""
    for raw in (b"[" * 100_000, b'{"a":' * 50_000, b"- " * 30_000, b"{a: " * 30_000):
        for parser in PARSERS:
            survives(parser, raw)
    assert judge(app_compose=b"[" * 100_000).verdict == "invalid"
    assert judge(keys=b"[" * 10_000).verdict == "invalid"


def test_a_hundred_megabytes_are_refused_by_their_size():
    """No parser sees them."""
    huge = b" " * 100_000_000
    found = verify(Bundle(huge, huge, huge, huge, huge), PAPERS, POLICY, asked())
    assert found.verdict == "invalid"
    survives(parse_bundle, huge)
    survives(parse_collateral, huge)
