"""Looks the planes' NEAR keys up on the chain: there, and with the right to pay.

A payment attaches a deposit, which only a full-access key may sign (rails §2.4). Every provider is
asked; where they disagree it cannot be told.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import httpx

from cutover.conductor.plane_client import ask
from cutover.conductor.preconditions.finding import Finding, amounts_to, fails, holds, unknown
from cutover.evidence.planes import Answer

DEADLINE_MS: Final = 5_000
_ABSENT: Final = ("UNKNOWN_ACCESS_KEY", "UNKNOWN_ACCOUNT")


class NearKeys:
    """One or more RPC providers of one chain.

    Args:
        providers: base addresses.
        client: shared connections.
    """

    def __init__(self, providers: Sequence[str], client: httpx.AsyncClient) -> None:
        self._providers = providers
        self._client = client

    async def may_pay(self, account: str, public_key: str) -> Finding:
        """Whether a key is on the account and may sign payments."""
        params = {
            "request_type": "view_access_key",
            "finality": "final",
            "account_id": account,
            "public_key": public_key,
        }
        request = {"jsonrpc": "2.0", "id": "cutover", "method": "query", "params": params}
        answers = await asyncio.gather(
            *(ask(self._client, "POST", at, DEADLINE_MS, json=request) for at in self._providers)
        )
        return judge_keys(account, public_key, answers)


def judge_keys(account: str, public_key: str, answers: Sequence[Answer]) -> Finding:
    """What all providers together say of a key."""
    name = f"{public_key[:20]}… of {account}"
    told = [found for found in (_told(name, answer) for answer in answers) if found.ok is not None]
    if not told:
        return unknown(f"no provider tells whether {name} is on the chain")
    if len({found.ok for found in told}) > 1:
        return unknown(f"the providers disagree about {name}; ask again, or another one")
    verdict = amounts_to(told)
    return next(found for found in told if found.ok is verdict)


def _told(name: str, answer: Answer) -> Finding:
    cause = answer.field("error", "cause", "name")
    if cause in _ABSENT:
        return fails(f"{name} is not on the chain ({cause})")
    permission = answer.field("result", "permission")
    if permission == "FullAccess":
        return holds(f"{name} is on the chain and may pay")
    if isinstance(permission, dict) and "FunctionCall" in permission:
        return fails(f"{name} may only call a function, and cannot pay: give it full access")
    return unknown(f"{name}: {answer.status or answer.error}")
