"""Looks a NEAR transaction up by its hash: final and good, failed, or not to be told.

`EXPERIMENTAL_tx_status` with `wait_until: NONE` answers at once. A top-level success can hide a
failed receipt, so every receipt is looked at. A good transaction of long ago proves nothing about
a payment of now: its block must be young enough, and its signer the one that pays. Unknown at one
provider is no proof of absence.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import httpx

from cutover.conductor.plane_client import ask
from cutover.decision.words import span
from cutover.evidence.planes import Answer

DEADLINE_MS = 5_000
TRIES: Final = 4
PAUSE_SECONDS: Final = 0.25
"""Before the second look; each further pause is longer by as much."""

SKEW_MS: Final = 120_000
"""How far the chain's clock and ours may be apart."""

Verdict = tuple[bool | None, str]


class NearChain:
    """One or more RPC providers of one chain.

    Args:
        providers: base addresses, asked in order.
        client: shared connections.
        sender: account that signs payments; its shard is asked, and it must be the signer.
    """

    def __init__(self, providers: Sequence[str], client: httpx.AsyncClient, sender: str) -> None:
        self._providers = providers
        self._client = client
        self._sender = sender

    async def transaction(self, reference: str, not_before_ms: int) -> Verdict:
        """Whether the transaction is final and young, and all its receipts succeeded.

        Args:
            reference: its hash.
            not_before_ms: wall clock, milliseconds; the block may be SKEW_MS older than that.
        """
        verdict: Verdict = (None, "no provider asked")
        for attempt in range(TRIES):
            await asyncio.sleep(PAUSE_SECONDS * attempt)
            for provider in self._providers:
                verdict = await self._look(provider, reference, not_before_ms)
                if verdict[0] is not None:
                    return verdict
        return verdict

    async def _look(self, provider: str, reference: str, not_before_ms: int) -> Verdict:
        params = {"tx_hash": reference, "sender_account_id": self._sender, "wait_until": "NONE"}
        answer = await self._ask(provider, "EXPERIMENTAL_tx_status", params)
        verdict = _judge(reference, answer, self._sender)
        if verdict[0] is not True:
            return verdict
        block = answer.field("result", "transaction_outcome", "block_hash")
        header = await self._ask(provider, "block", {"block_id": block})
        return _aged(verdict, reference, header, not_before_ms)

    async def _ask(self, provider: str, method: str, params: dict[str, Any]) -> Answer:
        request = {"jsonrpc": "2.0", "id": "cutover", "method": method, "params": params}
        return await ask(self._client, "POST", provider, DEADLINE_MS, json=request)


def _aged(good: Verdict, reference: str, block: Answer, not_before_ms: int) -> Verdict:
    """The verdict, if the block that holds the transaction is young enough."""
    stamp = str(block.field("result", "header", "timestamp_nanosec") or "")
    if block.status != 200 or not (stamp.isascii() and stamp.isdigit()):
        return None, f"{reference} is final, but the time of its block is not told"
    made_ms = int(stamp) // 1_000_000
    if made_ms < not_before_ms - SKEW_MS:
        return False, f"{reference} is {span(not_before_ms - made_ms)} older than the payment"
    return good


def _judge(reference: str, answer: Answer, sender: str) -> Verdict:
    """Good and bad are recognised by what they say; anything else cannot be told."""
    result = answer.field("result")
    if answer.status != 200 or not isinstance(result, dict):
        cause = answer.field("error", "cause", "name") or answer.summary()
        return None, f"{reference} not found: {cause}"
    said = answer.field("result", "transaction", "hash")
    if said != reference:
        return None, f"asked for {reference}, the provider answered about {said}"
    if result.get("final_execution_status") != "FINAL":
        return None, f"{reference} is {result.get('final_execution_status')}, FINAL is needed"
    outcomes = [result.get("status"), *_receipts(result)]
    if any(isinstance(outcome, dict) and "Failure" in outcome for outcome in outcomes):
        return False, f"{reference} is final and failed"
    if len(outcomes) < 2 or not all(map(_succeeded, outcomes)):
        return None, f"{reference} is final, but its provider does not say how all of it ended"
    signer = answer.field("result", "transaction", "signer_id")
    if signer != sender:
        return (
            False,
            f"{reference} is signed by {signer}, expected {sender} (conductor.near_sender)",
        )
    return True, f"final on chain, signed by {signer}"


def _succeeded(outcome: object) -> bool:
    return isinstance(outcome, dict) and bool(outcome.keys() & {"SuccessValue", "SuccessReceiptId"})


def _receipts(result: dict[str, Any]) -> list[Any]:
    receipts = result.get("receipts_outcome")
    if not isinstance(receipts, list):
        return []
    return [_status(receipt) for receipt in receipts]


def _status(receipt: object) -> object:
    outcome = receipt.get("outcome") if isinstance(receipt, dict) else None
    return outcome.get("status") if isinstance(outcome, dict) else None
