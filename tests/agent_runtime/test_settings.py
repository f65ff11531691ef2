"""The environment: read once, every fault named, no secret shown, the README true."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from agent_runtime.errors import SettingsError
from agent_runtime.settings import Settings, variable_of
from agent_runtime.wiring import build

README = Path(__file__).parents[2] / "packages" / "agent_runtime" / "README.md"
SECRET = "hunter2-hunter2"


def faults_of(**environ):
    with pytest.raises(SettingsError) as caught:
        Settings.from_environ(environ)
    return caught.value.faults


def test_an_empty_variable_is_an_absent_one():
    names = [variable_of(item).name for item in fields(Settings)]
    assert Settings.from_environ(dict.fromkeys(names, " ")) == Settings.from_environ({})


def test_production_without_a_key_is_refused():
    (fault,) = faults_of(AGENT_MODE="production")
    assert fault.startswith("AGENT_SERVER_API_KEY: unset")


def test_every_wrong_variable_is_named_at_once_and_no_value_is_shown():
    faults = faults_of(
        AGENT_MODE="production",
        PORT=SECRET,
        NEAR_PRIVATE_KEY="ed25519:" + SECRET,
        NEAR_ACCOUNT_ID="a.near",
        GITHUB_PRIVATE_KEY=SECRET,
        GITHUB_APP_ID="1",
        EIGENAI_WALLET_PRIVATE_KEY=SECRET,
        EIGENAI_OPERATORS="0x12",
        NEAR_FT_CONTRACTS="USDC",
        AGENT_MAX_PAYOUT_AMOUNT="0.0",
        TEST_ANALYZE_REPO="nothing",
    )
    named = [fault.partition(":")[0] for fault in faults]
    assert sorted(named) == sorted(
        [
            "PORT",
            "NEAR_PRIVATE_KEY",
            "GITHUB_PRIVATE_KEY",
            "EIGENAI_WALLET_PRIVATE_KEY",
            "EIGENAI_OPERATORS",
            "NEAR_FT_CONTRACTS",
            "AGENT_MAX_PAYOUT_AMOUNT",
            "TEST_ANALYZE_REPO",
            "AGENT_SERVER_API_KEY",
        ]
    )
    assert SECRET not in " ".join(faults)


def test_a_token_without_a_contract_cannot_be_allowed():
    (fault,) = faults_of(AGENT_ALLOWED_TOKENS="NEAR,DOGE")
    assert fault == "AGENT_ALLOWED_TOKENS: DOGE has no contract; add it to NEAR_FT_CONTRACTS"


def test_half_a_signer_is_refused():
    assert faults_of(NEAR_ACCOUNT_ID="a.near")[0].startswith("NEAR_ACCOUNT_ID and")


def test_a_grant_address_of_another_key_is_refused(tmp_path):
    environ = {
        "EIGENAI_WALLET_PRIVATE_KEY": "11" * 32,
        "EIGENAI_WALLET_ADDRESS": "0x" + "22" * 20,
        "PAYMENTS_DB": str(tmp_path / "p.db"),
    }
    with pytest.raises(SettingsError, match="EIGENAI_WALLET_ADDRESS: not the address of"):
        build(Settings.from_environ(environ))


def test_secrets_are_not_in_the_repr():
    settings = Settings.from_environ({"AGENT_SERVER_API_KEY": SECRET, "HOT_PAY_JWT": SECRET})
    assert settings.api_key == SECRET
    assert SECRET not in repr(settings)


def test_placeholder_means_unset_for_the_collecting_rails():
    settings = Settings.from_environ(
        {"HOT_PAY_JWT": "placeholder", "PING_PAY_API_KEY": "Placeholder"}
    )
    assert (settings.hot_jwt, settings.ping_key) == ("", "")


def test_repositories_default_to_the_one_before():
    settings = Settings.from_environ({"TEST_CREATE_REPO": "https://github.com/a/b.git"})
    assert (settings.analyze_repo, settings.create_repo, settings.pay_repo) == (
        "near/near-sdk-rs",
        "a/b",
        "a/b",
    )
    assert settings.canary_repos == ("a/b",)


def test_the_readme_lists_every_variable_with_its_default_and_meaning():
    rows = re.findall(
        r"^\| `([A-Z0-9_]+)` \| (.*?) \| (.*?) \|$", README.read_text("utf-8"), re.MULTILINE
    )
    expected = [
        (v.name, f"`{v.default}`" if v.default else "", v.meaning)
        for v in (variable_of(item) for item in fields(Settings))
    ]
    assert rows == expected
