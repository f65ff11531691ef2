"""Carries out the four post-cutover checks, for real, through the gateway as a client would."""

import asyncio
import hashlib
import hmac
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec

from cutover.conductor.config import GatewayAccess
from cutover.conductor.plane_client import ask
from cutover.conductor.ports import Chain
from cutover.decision.keys import receipt_key
from cutover.decision.run import Run
from cutover.errors import CutoverError
from cutover.evidence.answers import read_live
from cutover.evidence.observation import LiveIntent, PostCheckSeen
from cutover.evidence.planes import Answer
from cutover.runbook.document import Runbook
from cutover.runbook.gate import PostCheckName
from cutover.runbook.intent import Intent

DEADLINE_MS = 60_000
STALE_SECONDS = 3_600
TOLERATED = "tolerated: this is a rehearsal"


class PostChecks:
    """The checks of a finished rollout.

    Args:
        runbook: names of the planes; whether this is a rehearsal.
        run: gives the state now.
        access: how a client reaches the gateway; None when not configured.
        client: shared connections.
        chain: where a receipt's transaction is looked up; None when not configured.
        pay: the text of a tiny payment.
        archive: writes and verifies the archive; returns its path and head.
        wall_ms: the wall clock, for webhook timestamps.
    """

    def __init__(
        self,
        runbook: Runbook,
        run: Callable[[], Run],
        access: GatewayAccess | None,
        client: httpx.AsyncClient,
        chain: Chain | None,
        pay: str,
        archive: Callable[[], tuple[Path, str]],
        wall_ms: Callable[[], int],
    ) -> None:
        self._runbook = runbook
        self._run = run
        self._access = access
        self._client = client
        self._chain = chain
        self._pay = pay
        self._archive = archive
        self._wall_ms = wall_ms

    async def carry_out(self, name: PostCheckName) -> PostCheckSeen:
        """Carry out one check."""
        if name is PostCheckName.ARCHIVE:
            return await self._archived()
        if self._access is None:
            reason = "no gateway is configured: add a [gateway] section with its key"
            return PostCheckSeen(name, False, (reason,), {})
        match name:
            case PostCheckName.UPSTREAM_AND_KEYS:
                return await self._upstream(self._access)
            case PostCheckName.WEBHOOK_SIGNATURES:
                return await self._webhooks(self._access)
            case PostCheckName.RECEIPT_TRANSACTION:
                return await self._receipt(self._access)

    async def _ask(self, method: str, url: str, **request: Any) -> Answer:
        return await ask(self._client, method, url, DEADLINE_MS, **request)

    async def _upstream(self, access: GatewayAccess) -> PostCheckSeen:
        """The web route's answer names the active plane, and every node proved its keys."""
        candidate, nodes = self._runbook.candidate, self._run().serving()
        headers = {"x-agent-api-key": access.client_key}
        body = {"text": "help", "userId": "cutover-postcheck"}
        agent = await self._ask("POST", f"{access.url}/api/agent", headers=headers, json=body)
        direct = {"text": "help", "author": "cutover-postcheck", "type": "web"}
        stamped = await self._ask("POST", f"{access.url}/process", headers=headers, json=direct)
        routed, own = agent.field("execution", "plane"), stamped.field("plane")
        unproved = [name for name, node in nodes.items() if node.keys_match is not True]
        reasons = [
            f"/api/agent was answered by {routed!r} at {agent.field('execution', 'upstream')}"
        ]
        reasons.append(f"the plane stamps itself {own!r}" if own else "the plane stamps no answer")
        reasons.append(
            f"keys not proved by {', '.join(unproved)}"
            if unproved
            else "every node proved its keys"
            if nodes
            else "no node has reported, so none proved its keys"
        )
        ok = routed == candidate and own in (None, candidate) and not unproved and bool(nodes)
        if own is None:
            ok = ok and self._runbook.rehearsal
            reasons.append(TOLERATED if self._runbook.rehearsal else "a stamp is needed")
        return _seen(PostCheckName.UPSTREAM_AND_KEYS, ok, reasons, {"plane": str(routed)})

    async def _webhooks(self, access: GatewayAccess) -> PostCheckSeen:
        """A valid signature is taken; a wrong, a stale and a repeated one are not."""
        now, url = self._wall_ms() // 1000, f"{access.url}/webhook/pingpay"
        run = self._run()
        event = f"whevt_cutover_{run.id}_{self._wall_ms()}"
        body = msgspec.json.encode({"id": event, "type": "payment.success", "data": {}})
        secret = access.webhook_secret
        deliveries = {
            "wrong": (now, "0" * 64, 401),
            "stale": (now - STALE_SECONDS, _sign(secret, now - STALE_SECONDS, body), 401),
            "valid": (now, _sign(secret, now, body), 200),
            "replay": (now, _sign(secret, now, body), 401),
        }
        needed = {"wrong", "valid"} if self._runbook.rehearsal else set(deliveries)
        if not secret:
            deliveries = {"wrong": deliveries["wrong"]}
        results: dict[str, str] = {}
        ok = bool(secret) or self._runbook.rehearsal
        for kind, (at, signature, expected) in deliveries.items():
            headers = _webhook_headers(event, at, signature)
            answer = await self._ask("POST", url, headers=headers, content=body)
            results[kind] = f"{answer.status}, expected {expected}"
            ok = ok and (answer.status == expected or kind not in needed)
        reasons = [f"{kind} signature: {result}" for kind, result in results.items()]
        lax = any(
            not r.startswith(r.rpartition(" ")[2]) for k, r in results.items() if k not in needed
        )
        if ok and (lax or not secret):
            reasons.append(TOLERATED)
        if not secret:
            reasons.append(
                "a valid delivery was not tried: no gateway.webhook_secret is configured"
            )
        return _seen(PostCheckName.WEBHOOK_SIGNATURES, ok, reasons, results)

    async def _receipt(self, access: GatewayAccess) -> PostCheckSeen:
        """A payment through the gateway names a transaction that the chain knows."""
        headers = {"x-agent-api-key": access.client_key}
        headers["idempotency-key"] = receipt_key(self._run())
        body = {"text": self._pay, "author": "cutover-postcheck", "type": "web"}
        answer = await self._ask("POST", f"{access.url}/process", headers=headers, json=body)
        found = read_live(self._runbook.candidate, Intent.PAY, answer)
        if not found.ok:
            return _receipt(found, ok=False, definite=found.definite)
        if self._chain is None:
            said = "reported only: no near_rpc is configured"
            return _receipt(found, said, ok=self._runbook.rehearsal, definite=False)
        oldest_ms = self._wall_ms() - self._runbook.live_intent_gate().max_age_ms
        good, text = await self._chain.transaction(found.evidence["transaction"], oldest_ms)
        return _receipt(found, text, ok=good is True, definite=good is not None)

    async def _archived(self) -> PostCheckSeen:
        """Canary and incident logs are in a sealed archive that verifies."""
        try:
            path, head = await asyncio.to_thread(self._archive)
        except (CutoverError, OSError) as error:
            return _seen(PostCheckName.ARCHIVE, False, [str(error)], {})
        reasons = [f"{path.name} written and verified, journal head {head[:16]}"]
        return _seen(PostCheckName.ARCHIVE, True, reasons, {"file": path.name, "head": head})


def _seen(
    name: PostCheckName, ok: bool, reasons: list[str] | tuple[str, ...], evidence: dict[str, str]
) -> PostCheckSeen:
    return PostCheckSeen(name, ok, tuple(reasons), evidence)


def _receipt(found: LiveIntent, *more: str, ok: bool, definite: bool) -> PostCheckSeen:
    name, reasons = PostCheckName.RECEIPT_TRANSACTION, (*found.reasons, *more)
    return PostCheckSeen(name, ok, reasons, found.evidence, definite)


def _sign(secret: str, at: int, body: bytes) -> str:
    return hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()


def _webhook_headers(event: str, at: int, signature: str) -> dict[str, str]:
    return {
        "content-type": "application/json",
        "x-ping-event-id": event,
        "x-ping-timestamp": str(at),
        "x-ping-signature": signature,
    }
