"""What became of a transaction: only complete, final evidence counts."""

import copy

import pytest

from agent_runtime.errors import RailUnknown
from agent_runtime.near.outcome import Landed, Open, Reverted, judge
from agent_runtime.near.rpc import RpcError, error_of

GOOD = {
    "final_execution_status": "FINAL",
    "status": {"SuccessValue": "InNwbGl0LTEtMiI="},
    "transaction": {"hash": "HASH"},
    "transaction_outcome": {
        "block_hash": "BLOCK",
        "outcome": {"status": {"SuccessReceiptId": "r"}},
    },
    "receipts_outcome": [{"outcome": {"status": {"SuccessValue": ""}}}],
}
FAILURE = {
    "Failure": {
        "ActionError": {"index": 0, "kind": {"FunctionCallError": {"ExecutionError": "no"}}}
    }
}


def changed(**members):
    return {**copy.deepcopy(GOOD), **members}


def test_final_success_everywhere_has_landed():
    assert judge(GOOD, "HASH") == Landed(b'"split-1-2"', "BLOCK")


def test_a_failed_receipt_behind_a_good_status_is_a_failure():
    found = judge(changed(receipts_outcome=[{"outcome": {"status": FAILURE}}]), "HASH")
    assert found == Reverted("no")


@pytest.mark.parametrize(
    "result",
    [
        None,
        [],
        {},
        changed(final_execution_status="EXECUTED_OPTIMISTIC"),
        changed(transaction={"hash": "OTHER"}),
        changed(receipts_outcome=[]),
        changed(receipts_outcome=[{"outcome": {"status": "Unknown"}}]),
        changed(receipts_outcome=[{"outcome": {"status": {"Other": 1}}}]),
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
