"""What became of a transaction: only complete, final evidence counts."""

import copy

import pytest

from agent_runtime.errors import RailUnknown
from agent_runtime.near.outcome import Landed, Open, Receipt, Reverted, judge
from agent_runtime.near.rpc import RpcError, error_of


def receipt(status):
    outcome = {"executor_id": "usdc.near", "logs": ["a line"], "status": status}
    return {"id": "r", "block_hash": "LATER", "outcome": outcome}


TOLD = {
    "hash": "HASH",
    "signer_id": "a.near",
    "public_key": "ed25519:K",
    "nonce": 7,
    "receiver_id": "usdc.near",
}
GOOD = {
    "final_execution_status": "FINAL",
    "status": {"SuccessValue": "InNwbGl0LTEtMiI="},
    "transaction": TOLD,
    "transaction_outcome": {
        "block_hash": "BLOCK",
        "outcome": {"status": {"SuccessReceiptId": "r"}},
    },
    "receipts_outcome": [receipt({"SuccessValue": ""})],
}
FAILURE = {
    "Failure": {
        "ActionError": {"index": 0, "kind": {"FunctionCallError": {"ExecutionError": "no"}}}
    }
}


def changed(**members):
    return {**copy.deepcopy(GOOD), **members}


def test_final_success_everywhere_has_landed():
    found = judge(GOOD, "HASH")
    assert isinstance(found, Landed)
    report = found.report
    assert (found.value, report.block_hash) == (b'"split-1-2"', "BLOCK")
    assert (report.signer, report.public_key, report.nonce) == ("a.near", "ed25519:K", 7)
    assert report.receipts == (Receipt("r", "LATER", "usdc.near", ok=True, logs=("a line",)),)


def test_a_failed_receipt_behind_a_good_status_is_a_failure():
    found = judge(changed(receipts_outcome=[receipt(FAILURE)]), "HASH")
    assert isinstance(found, Reverted)
    assert (found.reason, [one.ok for one in found.report.receipts]) == ("no", [False])


@pytest.mark.parametrize(
    "result",
    [
        None,
        [],
        {},
        changed(final_execution_status="EXECUTED_OPTIMISTIC"),
        changed(transaction={**TOLD, "hash": "OTHER"}),
        changed(transaction={"hash": "HASH"}),
        changed(receipts_outcome=[{"outcome": {"status": {"SuccessValue": ""}}}]),
        changed(receipts_outcome=[]),
        changed(receipts_outcome=[receipt("Unknown")]),
        changed(receipts_outcome=[receipt({"Other": 1})]),
        changed(status={"SuccessReceiptId": "r"}),
        changed(status={"SuccessValue": "!"}),
        {name: value for name, value in GOOD.items() if name != "transaction_outcome"},
    ],
)
def test_anything_less_than_complete_final_evidence_stays_open(result):
    assert isinstance(judge(result, "HASH"), Open)


def test_the_reason_of_a_refused_transaction_is_found_in_the_legacy_data():
    error = error_of(
        {
            "name": "HANDLER_ERROR",
            "cause": {"name": "INVALID_TRANSACTION"},
            "data": {"TxExecutionError": {"InvalidTxError": {"InvalidNonce": {"tx_nonce": 1}}}},
        }
    )
    assert isinstance(error, RpcError)
    assert (error.name, error.reason) == ("INVALID_TRANSACTION", "InvalidNonce")


@pytest.mark.parametrize(
    "error",
    [
        "text",
        {},
        {"name": "HANDLER_ERROR", "cause": {"name": "TIMEOUT_ERROR"}},
        {"name": "INTERNAL_ERROR", "cause": {"name": "SOMETHING"}},
    ],
)
def test_a_timeout_or_a_shapeless_error_is_unknown_not_a_no(error):
    assert isinstance(error_of(error), RailUnknown)
