"""A policy's text: read, refused with file and line, and its schema."""

import tomllib

import pytest

import jsonschema_lite
from attestation.world import policy_text
from cutover.attestation.policy_file import PolicyError, json_schema, lint_policy, load_policy
from cutover.runbook.finding import Severity

GOOD = policy_text()


def faults(text):
    return [f for f in lint_policy(text, "p.toml") if f.severity is Severity.ERROR]


def test_a_good_policy_has_no_errors_and_a_test_root_is_a_warning():
    """The linter says what a rehearsal does that production must not."""
    (warning,) = lint_policy(GOOD, "p.toml")
    assert warning.severity is Severity.WARNING
    assert "test root" in warning.seen
    assert GOOD.splitlines()[warning.line - 1].startswith("unsafe_test_root_sha256")


def test_first_use_is_a_warning_at_its_line():
    """Values that nobody recomputed are told wherever the policy is looked at."""
    text = policy_text(source="first_use")
    found = [f for f in lint_policy(text, "p.toml") if "first use" in f.seen]
    assert text.splitlines()[found[0].line - 1] == 'source = "first_use"'
    assert found[0].where == "attestation.image[#1].source"


LINES = [line for line in GOOD.splitlines() if " = " in line]


@pytest.mark.parametrize("line", LINES)
def test_no_value_has_a_default(line):
    """Each line that is left out is an error, but for the test root and the whole wallet."""
    text = GOOD.replace(f"{line}\n", "", 1)
    if line.startswith("unsafe_test_root"):
        assert load_policy(text, "p.toml").test_root_sha256 is None
        return
    (fault,) = faults(text)
    assert fault.seen == "nothing"
    assert "a policy has no hidden defaults" in fault.expected


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ('evidence = "15m"', 'evidence = "15"', "attestation.limits.evidence"),
        ('nonce = "60s"', 'nonce = "1h"', "attestation.limits.nonce"),
        ('mr_config_id = "required"', 'mr_config_id = "maybe"', "attestation.app.mr_config_id"),
        ('source = "recomputed"', 'source = "trust me"', "attestation.image[#1].source"),
        ("services = ", "service = ", "attestation.app.service"),
        ('rtmr0 = "', 'rtmr0 = "A', "attestation.image[#1].rtmr0"),
        ('name = "kms"', 'name = "none"', "attestation.key_provider.name"),
        ('["near", "signing"]', '["near", "near"]', "attestation.wallet.purposes"),
    ],
)
def test_each_fault_is_named_with_its_line(old, new, where):
    """What was seen, what was expected, and where to change it."""
    text = GOOD.replace(old, new, 1)
    assert text != GOOD
    found = faults(text)
    assert any(f.where == where for f in found), found
    named = next(f for f in found if f.where == where)
    assert named.line == text[: text.index(new)].count("\n") + 1
    with pytest.raises(PolicyError, match=r"cutover attest lint p\.toml"):
        load_policy(text, "p.toml")


def test_registers_of_zeros_measure_nothing():
    """A zero register in the list would allow what was never measured."""
    text = policy_text(rtmr1="0" * 96)
    assert "zeros" in faults(text)[0].seen


def test_a_kms_without_a_key_is_no_pin():
    """Any key service would pass."""
    assert faults(policy_text(provider_id=""))[0].where == "attestation.key_provider.id"


def test_lists_that_allow_nothing_are_refused():
    """No compose hash, no image: nothing could ever pass."""
    assert faults(policy_text(compose_hashes="[]"))
    assert faults(policy_text(services="[]"))
    assert faults(GOOD[: GOOD.index("[[attestation.image]]")])
    assert faults(GOOD[: GOOD.index("[[attestation.image]]")] + "[attestation.image]\n")


@pytest.mark.parametrize("text", ["", "[attestation", "attestation = 3", "\x00", "[other]\na = 1"])
def test_what_is_no_policy_is_explained(text):
    """Whatever stands in the file."""
    assert faults(text)


def test_the_schema_accepts_what_loads():
    """Editors and the loader agree about the good text and about a misspelt key."""
    schema = json_schema()
    assert jsonschema_lite.faults(schema, tomllib.loads(GOOD)) == []
    bad = tomllib.loads(GOOD.replace("services", "service", 1))
    assert jsonschema_lite.faults(schema, bad)
