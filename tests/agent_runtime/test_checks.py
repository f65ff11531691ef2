"""What counts as healthy: an answer that looks well and is not must be seen through."""

import pytest

from agent_runtime import checks

GRANT = {"success": True, "hasGrant": True, "tokenCount": 1_000_000, "address": "0xab"}


def test_a_good_grant_is_healthy_in_both_writings():
    assert checks.eigenai(GRANT) == ""
    nested = {"success": True, "hasGrant": True, "grant": {"remainingTokens": 5_000}}
    assert checks.eigenai(nested) == ""


@pytest.mark.parametrize(
    "change",
    [
        {"success": False},
        {"success": None},
        {"hasGrant": False},
        {"tokenCount": 0},
        {"tokenCount": "1000000"},
        {"tokenCount": None},
        {"mock": True},
        {"address": "0x" + "0" * 40},
        {"error": "down"},
    ],
)
def test_a_grant_that_only_looks_good_is_not(change):
    assert checks.eigenai({**GRANT, **change})


@pytest.mark.parametrize(
    "found",
    [
        None,
        [],
        "ok",
        {"success": False},
        {"ok": False},
        {"error": "no"},
        {"a": [{"mock": True}]},
        {"text": "This is a mock EigenAI response"},
        {"signature": "0xmocksignature"},
    ],
)
def test_a_refusal_or_a_mock_with_a_good_status_is_refused(found):
    assert checks.refused(found)


def test_a_payments_list_must_be_there():
    assert checks.hotpay({"payments": []}) == ""
    assert checks.hotpay({"data": []})


def test_a_provider_must_be_in_sync_and_on_the_right_chain():
    good = {"chain_id": "mainnet", "sync_info": {"syncing": False}}
    assert checks.near_status(good, "mainnet") == ""
    assert checks.near_status(good, "testnet")
    assert checks.near_status({**good, "sync_info": {"syncing": True}}, "mainnet")
    assert checks.near_status({"chain_id": "mainnet"}, "mainnet")


def test_another_repository_than_asked_for_is_not_ours():
    assert checks.github({"full_name": "Near/SDK"}, "near/sdk") == ""
    assert checks.github({"full_name": "near/other"}, "near/sdk")
    assert checks.github({}, "near/sdk")
