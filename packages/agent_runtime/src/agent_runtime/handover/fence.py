"""Fencing a key: taking the other plane's signer key off the account (rails §2.4, step 8).

From the block of that on, nothing the key ever signed can execute; nobody has to trust the machine
that holds it.

Rules
- The signed bytes are on disk before they leave, and a second call asks about the first one's
  before it signs anything (`near.sender`).
- Fenced is what every provider says at its final block, and no fewer than two of them.
- A key that signed what this ledger does not know of is left alone: import its ledger first.
"""

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import base58

from agent_runtime.errors import Busy, RailError
from agent_runtime.handover.bonds import Bonds
from agent_runtime.handover.errors import HandoverRefusal, HandoverUnknown
from agent_runtime.near.evidence import provider_name, to_json
from agent_runtime.near.keys import Key
from agent_runtime.near.ledger import OPEN, Attempt, State, TransactionLedger
from agent_runtime.near.rpc import Rpc, RpcError
from agent_runtime.near.sender import Sender
from agent_runtime.near.transaction import DeleteKey, Draft, encode

WITNESS_SECONDS = 20.0
PAUSE_SECONDS = 0.25
WITNESSES_MIN = 2
NONCES_PER_BLOCK = 10**6


@dataclass(frozen=True)
class Standing:
    """What the providers say of a key.

    Attributes:
        nonces: its final nonce by provider; None where it is not on the account.
    """

    nonces: Mapping[str, int | None]

    @property
    def gone(self) -> bool:
        """Every provider says that it is off the account."""
        return all(nonce is None for nonce in self.nonces.values())

    @property
    def nonce(self) -> int:
        """The highest final nonce that any provider knows."""
        return max((nonce for nonce in self.nonces.values() if nonce is not None), default=0)


class KeyFence:
    """Fences one key of an account with another key of it; nobody else may use the ledger."""

    def __init__(
        self, rpc: Rpc, ledger: TransactionLedger, bonds: Bonds, account: str, key: Key
    ) -> None:
        self._rpc = rpc
        self._ledger = ledger
        self._bonds = bonds
        self._account = account
        self._key = key
        self._sender = Sender(rpc, ledger, account, key)
        self._nodes = tuple(dict.fromkeys((*rpc.nodes, *rpc.archival)))

    async def rehearse(self, target: str, *, unseen_too: bool) -> dict[str, Any]:
        """What `fence` would do now; nothing is stored, signed or sent.

        Raises:
            HandoverRefusal: `fence` would refuse.
            RailError: the chain could not be read.
        """
        public = self._checked(target)
        proof = self._bonds.proof(target, self._account)
        if proof is not None:
            free = self._completed(target, proof) and not proof["releases"]
            would = "free what is bound to it" if free else "nothing: it is fenced"
            return {"would": would, "proof": proof}
        standing = await self._standing(target)
        earlier = [one for one in self._made(target) if one.state in OPEN]
        if standing.gone:
            self._check_known(target)
            return {"would": "record that it is off the account", "public_key": target}
        self._check_seen(target, standing, unseen_too=unseen_too)
        if earlier:
            return {"would": "ask what became of the one sent", "tx_hash": earlier[-1].tx_hash}
        return await self._would_send(target, public)

    async def fence(self, target: str, *, unseen_too: bool) -> dict[str, Any]:
        """Take a key off the account, wait for finality, and record the proof; the proof.

        Args:
            target: `ed25519:...`, the key of the other plane.
            unseen_too: fence it although it signed what this ledger does not know of. What is
                bound to it then stays bound, until its ledger was imported and this is called
                once more.

        Raises:
            HandoverRefusal: it is not this key that should go; nothing was sent.
            HandoverUnknown: it was sent, and its end is not known; call again.
            RailError: the chain could not be read; nothing was sent.
        """
        public = self._checked(target)
        proof = self._bonds.proof(target, self._account)
        if proof is not None:
            if not proof["releases"] and self._completed(target, proof):
                proof = {**proof, "releases": True}
                self._bonds.release(target, self._account, proof)
            return proof
        sent = await self._settled(target)
        standing = await self._standing(target)
        if standing.gone:
            self._check_known(target)
        elif sent is None or sent.state is not State.LANDED:
            all_seen = self._check_seen(target, standing, unseen_too=unseen_too)
            await self._check_power()
            sent = await self._send(target, public, all_seen=all_seen)
        await self._wait_until_gone(target)
        return self._record(target, sent, standing)

    def _checked(self, target: str) -> bytes:
        kind, _, body = target.partition(":")
        try:
            public = base58.b58decode(body)
        except ValueError:
            public = b""
        if kind != "ed25519" or len(public) != 32:
            raise HandoverRefusal("--key is no public key; give ed25519:<base58 of 32 bytes>")
        if public == self._key.public:
            raise HandoverRefusal(
                "this is the key that would sign, the one in NEAR_PRIVATE_KEY; give the other"
                " plane's key"
            )
        if len(self._nodes) < WITNESSES_MIN:
            raise HandoverRefusal(
                "one provider's word fences nothing; add another to NEAR_NODE_URL or"
                " NEAR_ARCHIVAL_URL"
            )
        return public

    async def _standing(self, target: str) -> Standing:
        told = await asyncio.gather(*(self._nonce_at(node, target) for node in self._nodes))
        return Standing(dict(zip(self._nodes, told, strict=True)))

    async def _nonce_at(self, node: str, target: str) -> int | None:
        try:
            return await self._rpc.key_nonce(self._account, target, node)
        except RpcError as error:
            if error.name == "UNKNOWN_ACCESS_KEY":
                return None
            raise

    def _check_known(self, target: str) -> None:
        """A key that is neither on the account nor named here is more likely a slip."""
        named = self._ledger.highest_nonce(target) or self._bonds.count(target)
        if not named and not self._made(target):
            raise HandoverRefusal(
                f"{target} is not on {self._account}, and this ledger does not know it; check it,"
                " or import the other plane's ledger first"
            )

    def _check_seen(self, target: str, standing: Standing, *, unseen_too: bool) -> bool:
        """Whether this ledger knows all that the key has executed."""
        known = self._ledger.highest_nonce(target)
        never_used = not known and standing.nonce % NONCES_PER_BLOCK == 0
        if standing.nonce <= known or never_used:
            return True
        if unseen_too:
            return False
        raise HandoverRefusal(
            f"{target} has executed nonce {standing.nonce}, and this ledger knows it up to"
            f" {known}: import the other plane's ledger first; or say --unseen-signatures, and"
            " what is bound to it waits until that ledger was imported and this was run again"
        )

    def _completed(self, target: str, proof: Mapping[str, Any]) -> bool:
        """Whether a ledger that came after the fence knows all that the key had executed."""
        before = proof["nonce_before"]
        known = self._ledger.highest_nonce(target)
        return before is not None and self._bonds.was_imported(target) and known >= before

    async def _check_power(self) -> None:
        """The key that signs stays, and must be able to: so an account never loses its last."""
        found = await self._rpc.read(
            "query",
            {
                "request_type": "view_access_key",
                "finality": "final",
                "account_id": self._account,
                "public_key": self._key.text,
            },
        )
        if found.get("permission") != "FullAccess":
            raise HandoverRefusal(
                f"{self._key.text} has no full access to {self._account}: it cannot take a key off,"
                " and without it the other one may be the last; sign with a full-access key"
            )

    async def _would_send(self, target: str, public: bytes) -> dict[str, Any]:
        await self._check_power()
        chain_nonce = await self._rpc.key_nonce(self._account, self._key.text)
        block = await self._rpc.final_block()
        nonce = max(chain_nonce, self._ledger.highest_nonce(self._key.text)) + 1
        draft = Draft(self._account, self._account, nonce, block.hash, (DeleteKey(public),))
        return {
            "would": "send",
            "signer": self._account,
            "signer_key": self._key.text,
            "receiver": self._account,
            "action": "DeleteKey",
            "public_key": target,
            "nonce": nonce,
            "block_hash": block.hash,
            "block_height": block.height,
            "unsigned": base64.b64encode(encode(draft, self._key.public)).decode(),
            "providers": [provider_name(node) for node in self._nodes],
        }

    async def _settled(self, target: str) -> Attempt | None:
        """The newest fence of this key that was signed here, after one more look at it."""
        earlier = self._made(target)
        if not earlier:
            return None
        newest = await self._sender.settle(earlier[-1].tx_hash)
        if newest.state in OPEN:
            raise HandoverUnknown(
                f"transaction {newest.tx_hash} was sent and is not known to be final"
                f" ({newest.detail}); run this again"
            )
        return newest

    def _made(self, target: str) -> list[Attempt]:
        """The fences of this key that were signed here, oldest first."""
        both = (*self._ledger.of(_owner(target)), *self._ledger.of(_unseen_owner(target)))
        return sorted(both, key=lambda one: one.nonce)

    async def _send(self, target: str, public: bytes, *, all_seen: bool) -> Attempt:
        # What was not seen must be remembered before anything leaves: once the key is off the
        # account, nobody can ask for its nonce any more.
        owner = _owner(target) if all_seen else _unseen_owner(target)
        try:
            sent = await self._sender.submit(owner, self._account, [DeleteKey(public)])
        except Busy as error:
            raise HandoverRefusal(f"{error}") from error
        if sent.state in OPEN:
            raise HandoverUnknown(
                f"transaction {sent.tx_hash} was sent and is not known to be final"
                f" ({sent.detail}); run this again"
            )
        if sent.state is not State.LANDED and not (await self._standing(target)).gone:
            raise HandoverRefusal(
                f"transaction {sent.tx_hash} came to nothing ({sent.state}: {sent.detail}); the key"
                " is still on the account, run this again"
            )
        return sent

    async def _wait_until_gone(self, target: str) -> None:
        try:
            async with asyncio.timeout(WITNESS_SECONDS):
                while not (await self._standing(target)).gone:  # noqa: ASYNC110 - a chain has no event
                    await asyncio.sleep(PAUSE_SECONDS)
        except TimeoutError as error:
            raise HandoverUnknown(
                "not every provider says yet that the key is off the account; run this again"
            ) from error
        except RailError as error:
            raise HandoverUnknown(
                f"a provider does not say whether the key is off the account ({error}); run this"
                " again"
            ) from error

    def _record(self, target: str, sent: Attempt | None, before: Standing) -> dict[str, Any]:
        releases = not self._ledger.of(_unseen_owner(target))
        landed = sent is not None and sent.state is State.LANDED
        seen = self._ledger.evidence(sent.tx_hash) if sent is not None and landed else None
        proof = {
            "public_key": target,
            "account": self._account,
            "tx_hash": sent.tx_hash if sent is not None and landed else "",
            "nonce_before": None if before.gone else before.nonce,
            "releases": releases,
            "providers": [provider_name(node) for node in self._nodes],
            "evidence": None if seen is None else to_json(seen),
        }
        self._bonds.record(target, self._account, proof, releases=releases)
        return proof


def _owner(target: str) -> str:
    return f"key:{target}"


def _unseen_owner(target: str) -> str:
    return f"key-unseen:{target}"
