"""Looks a NEAR transaction up by its hash: final and good, failed, or not to be told.

`EXPERIMENTAL_tx_status` with `wait_until: NONE` answers at once. A top-level success can hide a
failed receipt, so every receipt is looked at. Unknown at one provider is no proof of absence.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import httpx

from cutover.conductor.plane_client import ask
from cutover.evidence.planes import Answer

DEADLINE_MS = 5_000
TRIES: Final = 4
PAUSE_SECONDS: Final = 0.25
"""Before the second look; each further pause is longer by as much."""


class NearChain:
    """One or more RPC providers of one chain.

    Args:
        providers: base addresses, asked in order.
        client: shared connections.
        sender: account whose shard is asked when a provider needs it.
    """

    def __init__(self, providers: Sequence[str], client: httpx.AsyncClient, sender: str) -> None:
        self._providers = providers
        self._client = client
        self._sender = sender

    async def transaction(self, reference: str) -> tuple[bool | None, str]:
        """Whether the transaction is final and all its receipts succeeded."""
        verdict: tuple[bool | None, str] = (None, "no provider asked")
        for attempt in range(TRIES):
            await asyncio.sleep(PAUSE_SECONDS * attempt)
            for provider in self._providers:
                verdict = _judge(reference, await self._ask(provider, reference))
                if verdict[0] is not None:
                    return verdict
        return verdict

    async def _ask(self, provider: str, reference: str) -> Answer:
        params = {"tx_hash": reference, "sender_account_id": self._sender, "wait_until": "NONE"}
        body = {"jsonrpc": "2.0", "id": "cutover", "method": "EXPERIMENTAL_tx_status"}
        request = {**body, "params": params}
        return await ask(self._client, "POST", provider, DEADLINE_MS, json=request)


def _judge(reference: str, answer: Answer) -> tuple[bool | None, str]:
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
