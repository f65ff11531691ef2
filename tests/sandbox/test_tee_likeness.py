"""What is made here has the shape of real evidence: same fields, same extensions, same layout."""

import json
from pathlib import Path

import dcap_qvl
import pytest
from cryptography import x509

from sandbox.tee.boot import Boot
from sandbox.tee.collateral import Maker
from sandbox.tee.machine import Machine
from sandbox.tee.settings import Collateral, EvaluationSet

REAL = Path(__file__).parents[1] / "fixtures" / "attestation"
NOW = 1_790_000_000
MACHINE = Machine(b"likeness", nonce="0")


def real_quote():
    return bytes.fromhex((REAL / "near-mpc/2026-08/quote.hex").read_text().strip())


def real_collateral():
    return json.loads((REAL / "near-mpc/2026-08/collateral_with_pck_chain.json").read_text())


def made_collateral():
    behind = EvaluationSet(status="OutOfDate", advisories=("INTEL-SA-01312",))
    return Maker(MACHINE.platform, Collateral(standard=behind), NOW).quote_collateral()


def shape(value):
    """The keys and types of a JSON value; of a list, all that its elements have."""
    if isinstance(value, dict):
        return {name: shape(part) for name, part in value.items()}
    if isinstance(value, list):
        return merged([shape(part) for part in value])
    return type(value).__name__


def merged(shapes):
    if not shapes or not isinstance(shapes[0], dict):
        return shapes[:1]
    names = {name for one in shapes for name in one}
    return {name: next(one[name] for one in shapes if name in one) for name in sorted(names)}


def certificates(pem):
    return x509.load_pem_x509_certificates(pem.encode())


def form(certificate):
    """Everything of a certificate but its names, keys, dates and numbers."""
    found = [(one.oid.dotted_string, one.critical) for one in certificate.extensions]
    basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    curve = certificate.public_key().curve.name
    return sorted(found), basic, usage, curve, certificate.signature_hash_algorithm.name


def tags(der):
    """The tree of tags of a DER value."""
    found, at = [], 0
    while at < len(der):
        tag, size, at = der[at], der[at + 1], at + 2
        if size & 0x80:
            length = size & 0x7F
            size, at = int.from_bytes(der[at : at + length]), at + length
        body, at = der[at : at + size], at + size
        found.append((tag, tags(body) if tag & 0x20 else body.hex() if tag == 6 else None))
    return found


def test_a_quote_has_the_header_the_length_and_the_sections_of_a_real_one():
    made, real = MACHINE.evidence(bytes(64)).quote, real_quote()
    assert len(made) == len(real)
    assert made[:28] == real[:28]
    for at in (120, 128):  # attributes and XFAM
        assert made[48 + at : 56 + at] == real[48 + at : 56 + at]
    start = 636 + 128
    assert made[start : start + 2] == real[start : start + 2] == b"\x06\x00"
    report = start + 6
    for at, size in ((16, 48), (128, 32), (256, 4)):  # attributes, signer, product and version
        here = slice(report + at, report + at + size)
        assert made[here] == real[here], at
    after = report + 384 + 64
    assert made[after : after + 2] == real[after : after + 2] == b"\x20\x00"
    assert made[after + 34 : after + 36] == real[after + 34 : after + 36] == b"\x05\x00"


def test_the_chain_of_a_quote_has_the_form_of_a_real_one():
    made = dcap_qvl.parse_quote(MACHINE.evidence(b"").quote)
    real = dcap_qvl.parse_quote(real_quote())
    chains = [certificates(bytes(one.cert_chain_pem_bytes()).decode()) for one in (made, real)]
    assert [form(one) for one in chains[0]] == [form(one) for one in chains[1]]
    oid = x509.ObjectIdentifier("1.2.840.113741.1.13.1")
    sgx = [chain[0].extensions.get_extension_for_oid(oid).value.value for chain in chains]
    assert tags(sgx[0]) == tags(sgx[1])


@pytest.mark.parametrize("chain", ["tcb_info_issuer_chain", "qe_identity_issuer_chain",
                                   "pck_crl_issuer_chain"])  # fmt: skip
def test_the_chains_of_collateral_have_the_form_of_real_ones(chain):
    made, real = (certificates(c[chain]) for c in (made_collateral(), real_collateral()))
    assert [form(one) for one in made] == [form(one) for one in real]


@pytest.mark.parametrize("name", ["root_ca_crl", "pck_crl"])
def test_revocation_lists_have_the_extensions_of_real_ones(name):
    lists = [
        x509.load_der_x509_crl(bytes.fromhex(one[name]))
        for one in (made_collateral(), real_collateral())
    ]
    found = [[(e.oid, e.critical) for e in one.extensions] for one in lists]
    assert sorted(found[0], key=str) == sorted(found[1], key=str)


def test_collateral_has_the_fields_of_real_collateral():
    made, real = made_collateral(), real_collateral()
    assert set(made) == set(real) - {"pck_certificate_chain"}
    for document in ("tcb_info", "qe_identity"):
        here, there = shape(json.loads(made[document])), shape(json.loads(real[document]))
        assert list(here) == list(there), document
        assert here["tcbLevels"].keys() <= there["tcbLevels"].keys()
        assert set(here["tcbLevels"]["tcb"]) == set(there["tcbLevels"]["tcb"])
    info = [json.loads(one["tcb_info"]) for one in (made, real)]
    modules = [shape(one["tdxModuleIdentities"]) for one in info]
    assert set(modules[0]) == set(modules[1])


@pytest.mark.parametrize(
    ("style", "fixture"),
    [
        ("0.5", "near-mpc/2026-08/event_log.json"),
        ("0.6", "dstack/getquote_0.6_kms.event_log.json"),
        ("0.6-v2", "synthetic/v2_ok.event_log.json"),
    ],
)
def test_a_log_is_written_as_real_agents_of_that_age_write_it(style, fixture):
    real = json.loads((REAL / fixture).read_text())
    made = Machine(b"likeness", Boot(style=style)).log_entries()

    def runtime(entries):
        return [entry for entry in entries if entry["imr"] == 3]

    assert {frozenset(entry) for entry in runtime(made)} == {frozenset(e) for e in runtime(real)}
    assert {e["digest"] == "" for e in runtime(made)} == {e["digest"] == "" for e in runtime(real)}
    both = {e["event"] for e in runtime(made)} & {e["event"] for e in runtime(real)}
    order = [[e["event"] for e in runtime(x) if e["event"] in both] for x in (made, real)]
    assert order[0] == order[1]
    assert both >= {"app-id", "compose-hash", "instance-id", "key-provider", "system-ready"}
