"""A verified gate needs what can open it, and a test root needs two who name it."""

import pytest

from attestation.world import policy_text, root
from conductor.doubles import DEMO_TEXT, PHASED
from cutover.attestation.collateral import root_sha256
from cutover.errors import ConfigurationError
from cutover.fit import attesting_of, check_fit
from cutover.runbook.load import load_text
from cutover.settings import load_settings

VERIFIED = load_text(
    DEMO_TEXT.replace('evidence = "reported"', 'evidence = "verified"'), "demo.toml"
)
REPORTED = load_text(
    DEMO_TEXT.replace('\nevidence = "verified"', '\nevidence = "reported"'), "demo.toml"
)
CONFIG = """\
[planes.hetzner]
url = "http://127.0.0.1:3001"
key = "key-of-hetzner"

[planes.phala]
url = "https://127.0.0.1:3002"
key = "key-of-phala"

[attestation]
policy = "policy.toml"
"""
ROOTED = CONFIG + 'unsafe_test_root = "root.der"\n'


def configured(folder, text=ROOTED, policy=None, der=None):
    (folder / "cutover.toml").write_text(text)
    (folder / "policy.toml").write_text(policy or policy_text())
    (folder / "root.der").write_bytes(root() if der is None else der)
    return load_settings(folder / "cutover.toml", {})


def refusal(folder, runbook=VERIFIED, **changes):
    with pytest.raises(ConfigurationError) as caught:
        check_fit(runbook, configured(folder, **changes))
    return str(caught.value).replace(f"{folder}/", "")


def test_what_fits_is_read_whole(tmp_path):
    """Policy, services in their order, Intel's root where no other is named."""
    found = attesting_of(VERIFIED, configured(tmp_path))
    assert (found.policy.plane, found.root, found.marks()) == ("phala", root(), ("TEST ROOT",))
    assert found.root_name() == f"TEST ROOT {root_sha256(root())}"
    assert found.text == policy_text()
    settings = configured(tmp_path, CONFIG, policy_text(production=True, source="first_use"))
    found = attesting_of(VERIFIED, settings)
    assert (found.root, found.root_name()) == (None, "Intel's root")
    assert found.marks() == ("TRUST ON FIRST USE",)
    assert [bool(one.root_crl_url) for one in found.services] == [False, True]


PLAIN = ROOTED.replace("https://127", "http://127")
NO_TABLE = CONFIG[: CONFIG.index("[attestation]")]
GONE = ROOTED.replace("policy.toml", "none.toml")


@pytest.mark.parametrize(
    ("changes", "place", "words"),
    [
        ({"text": NO_TABLE}, "cutover.toml:1: attestation: no such table", "cutover attest pin"),
        ({"text": PLAIN}, "cutover.toml:6: planes.phala.url: http, expected https", "attested key"),
        ({"text": GONE}, "cutover.toml:10: attestation.policy: none.toml cannot be read", ""),
        (
            {"policy": policy_text().replace('plane = "phala"', 'plane = "other"')},
            "cutover.toml:10: attestation.policy: a policy for the plane 'other'",
            "expected 'phala', the runbook's candidate",
        ),
        (
            {"policy": "[attestation]\n"},
            "policy.toml:1: error: attestation.plane",
            "cutover attest lint",
        ),
        ({"policy": "plane ="}, "policy.toml:1: error: ", "valid TOML"),
        (
            {"text": CONFIG},
            "cutover.toml:10: attestation.policy: the policy trusts the test root",
            "unsafe_test_root is not set",
        ),
        (
            {"policy": policy_text(production=True)},
            "cutover.toml:11: attestation.unsafe_test_root: this root is",
            "names none",
        ),
        (
            {"policy": policy_text(unsafe_test_root_sha256="0" * 64)},
            "cutover.toml:11: attestation.unsafe_test_root: this root is",
            f"names {'0' * 64}",
        ),
        (
            {"der": b"no certificate"},
            "cutover.toml:11: attestation.unsafe_test_root: root.der cannot be used",
            "a certificate in DER",
        ),
        (
            {"text": ROOTED.replace("root.der", "none.der")},
            "cutover.toml:11: attestation.unsafe_test_root: none.der cannot be used",
            "",
        ),
    ],
)
def test_what_could_never_open_the_gate_is_refused_by_line(tmp_path, changes, place, words):
    """What was seen, what was expected and what to do, where it stands."""
    said = refusal(tmp_path, **changes)
    assert said.startswith(place), said
    assert words in said


def test_where_a_report_is_believed_the_table_is_not_read(tmp_path):
    """It is allowed, for the runbook that comes next."""
    settings = configured(tmp_path, GONE.replace("https://127", "http://127"))
    check_fit(REPORTED, settings)
    assert attesting_of(REPORTED, settings) is None


def test_production_asks_for_it_too(tmp_path):
    """The phased runbook is refused without the table."""
    live = '[live]\nanalyze = "a"\ncreate = "b"\npay = "c"\n'
    assert "no such table" in refusal(tmp_path, PHASED, text=NO_TABLE + live)
