"""What became of a transaction, judged from a provider's answer (rails §2.1).

Pure. Success needs finality, the very hash we asked for, a good top-level status *and* a good
status on every receipt: a top-level success can hide a receipt that failed later. What moved is
another question, which only the events answer (`evidence`).
"""

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Receipt:
    """One receipt that ran.

    Attributes:
        executor: the account it ran on, whose contract wrote the logs.
        ok: it took effect; the logs of one that did not tell of nothing that happened.
    """

    id: str
    block_hash: str
    executor: str
    ok: bool
    logs: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """All that a final outcome tells of a transaction.

    Attributes:
        block_hash: base58 of the block that holds it.
        digest: SHA-256, in hex, of the provider's result in canonical JSON.
    """

    tx_hash: str
    signer: str
    public_key: str
    nonce: int
    receiver: str
    block_hash: str
    receipts: tuple[Receipt, ...]
    digest: str


@dataclass(frozen=True)
class Landed:
    """Final, and everything succeeded.

    Attributes:
        value: what the call returned.
    """

    value: bytes
    report: Report


@dataclass(frozen=True)
class Reverted:
    """Final, and some receipt failed; whether others had an effect is for the report to tell."""

    reason: str
    report: Report


@dataclass(frozen=True)
class Open:
    """Not final, or not what was asked for: nothing may be concluded of its effect.

    Attributes:
        reason: what the answer said instead.
        included: True if it says that the transaction stands in a block, so that its nonce is
            used and a higher one can no longer overtake it.
    """

    reason: str
    included: bool = False


Outcome: TypeAlias = Landed | Reverted | Open

IN_A_BLOCK = frozenset({"INCLUDED", "EXECUTED_OPTIMISTIC", "INCLUDED_FINAL", "EXECUTED", "FINAL"})


def judge(result: Any, tx_hash: str) -> Outcome:
    """Judge the result of `send_tx` or `tx` for one hash; anything malformed is `Open`."""
    if not isinstance(result, dict):
        return Open("the answer has no outcome")
    level = result.get("final_execution_status")
    if level != "FINAL":
        included = level in IN_A_BLOCK and _is_about(result, tx_hash)
        return Open(f"execution status {level!r}, not final", included)
    try:
        return _judge_final(result, tx_hash)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return Open(f"the outcome is malformed ({type(error).__name__})")


def _is_about(result: dict[str, Any], tx_hash: str) -> bool:
    """Whether an answer below FINAL is about this hash; nodes may leave the transaction out."""
    shown = result.get("transaction", {"hash": tx_hash})
    return isinstance(shown, dict) and shown.get("hash") == tx_hash


def _judge_final(result: dict[str, Any], tx_hash: str) -> Outcome:
    if result["transaction"]["hash"] != tx_hash:
        return Open("the answer is about another transaction")
    statuses = [
        result["status"],
        result["transaction_outcome"]["outcome"]["status"],
        *(receipt["outcome"]["status"] for receipt in result["receipts_outcome"]),
    ]
    if not result["receipts_outcome"]:
        return Open("the outcome names no receipt")
    report = _report(result)
    for status in statuses:
        if "Failure" in status:
            return Reverted(_reason(status["Failure"]), report)
        if not {"SuccessValue", "SuccessReceiptId"} & status.keys():
            return Open("a receipt is neither a success nor a failure")
    return Landed(_value(result["status"]), report)


def _report(result: dict[str, Any]) -> Report:
    told, canonical = result["transaction"], json.dumps(result, sort_keys=True)
    return Report(
        told["hash"],
        str(told["signer_id"]),
        str(told["public_key"]),
        int(told["nonce"]),
        str(told["receiver_id"]),
        str(result["transaction_outcome"]["block_hash"]),
        tuple(_receipt(receipt) for receipt in result["receipts_outcome"]),
        hashlib.sha256(canonical.encode()).hexdigest(),
    )


def _receipt(told: dict[str, Any]) -> Receipt:
    outcome = told["outcome"]
    ok = "Failure" not in outcome["status"]
    logs = tuple(str(line) for line in outcome["logs"])
    return Receipt(str(told["id"]), str(told["block_hash"]), str(outcome["executor_id"]), ok, logs)


def _value(status: dict[str, Any]) -> bytes:
    try:
        return base64.b64decode(status["SuccessValue"], validate=True)
    except binascii.Error as error:
        raise ValueError("SuccessValue is not base64") from error


def _reason(failure: Any) -> str:
    """The innermost words of a Failure, short enough for a user."""
    words = failure
    while isinstance(words, dict) and words:
        kind = words.get("kind")
        words = kind if kind is not None else next(iter(words.values()))
    return str(words)[:180]
