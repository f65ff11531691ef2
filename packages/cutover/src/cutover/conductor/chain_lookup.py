"""Looks a NEAR transaction up by its hash: final and good, failed, or not to be told.

`EXPERIMENTAL_tx_status` with `wait_until: NONE` answers at once. A top-level success can hide a
failed receipt, so every receipt is looked at. Unknown at one provider is no proof of absence.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx

from cutover.conductor.plane_client import fetch
from cutover.evidence.planes import Answer

DEADLINE_SECONDS = 5.0
TRIES = 4


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
            for provider in self._providers:
                verdict = _judge(reference, await self._ask(provider, reference))
                if verdict[0] is not None:
                    return verdict
            await asyncio.sleep(0.25 * (attempt + 1))
        return verdict

    async def _ask(self, provider: str, reference: str) -> Answer:
        params = {"tx_hash": reference, "sender_account_id": self._sender, "wait_until": "NONE"}
        body = {"jsonrpc": "2.0", "id": "cutover", "method": "EXPERIMENTAL_tx_status"}
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                return await fetch(self._client, "POST", provider, json={**body, "params": params})
        except TimeoutError:
            return Answer(None, error="no answer from the chain in time")
        except httpx.HTTPError as error:
            return Answer(None, error=f"{type(error).__name__}: {error}")


def _judge(reference: str, answer: Answer) -> tuple[bool | None, str]:
    result = answer.field("result")
    if not isinstance(result, dict):
        cause = answer.field("error", "cause", "name") or answer.summary()
        return None, f"{reference} not found: {cause}"
    if result.get("final_execution_status") != "FINAL":
        return None, f"{reference} is {result.get('final_execution_status')}, FINAL is needed"
    outcomes = [result.get("status"), *_receipts(result)]
    if any(not isinstance(o, dict) or "Failure" in o for o in outcomes):
        return False, f"{reference} is final and failed"
    said = answer.field("result", "transaction", "hash")
    if said not in (None, reference):
        return None, f"asked for {reference}, the provider answered about {said}"
    signer = answer.field("result", "transaction", "signer_id")
    return True, f"final on chain, signed by {signer}"


def _receipts(result: dict[str, Any]) -> list[Any]:
    receipts = result.get("receipts_outcome") or []
    return [r.get("outcome", {}).get("status") if isinstance(r, dict) else None for r in receipts]
