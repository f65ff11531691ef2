"""Sending a transaction at most once (rails §2.4).

Rules
- One lock for the key: no two transactions of it are ever in the making together.
- Bytes and hash are on disk before the first byte leaves.
- While any transaction of the key is open, no new one is signed; the open one is resolved first.
- The same bytes may be sent again; a new nonce is never taken for something that is open.
- Refused on its *first* way out: nothing can move, that is the end. Refused later: the earlier
  copy may still be somewhere, so only the chain or a proof of death ends it.
"""

import asyncio
import base64
from collections.abc import Sequence

from agent_runtime.errors import RailError, RailUnknown, Refusal
from agent_runtime.log import logger
from agent_runtime.near import outcome
from agent_runtime.near.keys import Key
from agent_runtime.near.ledger import OPEN, Attempt, NewAttempt, State, TransactionLedger
from agent_runtime.near.rpc import Rpc, RpcError
from agent_runtime.near.transaction import Action, Draft, sign

SEND_SECONDS = 12.0
RESOLVE_SECONDS = 6.0
LOCK_SECONDS = 8.0
LOOK_SECONDS = 3.0
PAUSE_SECONDS = 0.25
VALIDITY_BLOCKS = 86_400


class Sender:
    """Signs and sends for one account and one key.

    Attributes:
        account: the NEAR account that acts.
    """

    def __init__(self, rpc: Rpc, ledger: TransactionLedger, account: str, key: Key) -> None:
        self._rpc = rpc
        self._ledger = ledger
        self.account = account
        self._key = key
        self._lock = asyncio.Lock()

    @property
    def public_key(self) -> str:
        """The public half, in NEAR's writing."""
        return self._key.text

    async def submit(self, owner: str, receiver: str, actions: Sequence[Action]) -> Attempt:
        """Sign, store, send and follow one transaction; the returned state may be UNKNOWN.

        Raises:
            Refusal: nothing was signed, because the key is busy or an earlier transaction of it
                is still open.
            RailError: nothing was signed, because the chain could not be read.
        """
        try:
            await asyncio.wait_for(self._lock.acquire(), LOCK_SECONDS)
        except TimeoutError as error:
            raise Refusal(
                "another transaction is on its way; nothing was sent, ask again"
            ) from error
        try:
            await self._clear_the_way()
            attempt = await self._prepare(owner, receiver, tuple(actions))
            return await self._send(attempt)
        finally:
            self._lock.release()

    async def settle(self, tx_hash: str) -> Attempt:
        """Look for the end of a stored transaction; never signs anything."""
        async with self._lock:
            return await self._resolve(self._ledger.get(tx_hash), RESOLVE_SECONDS)

    async def settle_all(self) -> list[Attempt]:
        """Look for the end of every open transaction; those still open afterwards."""
        async with self._lock:
            found = self._ledger.open(self.public_key)
            ends = [await self._resolve(attempt, RESOLVE_SECONDS) for attempt in found]
        return [attempt for attempt in ends if attempt.state in OPEN]

    async def _clear_the_way(self) -> None:
        for earlier in self._ledger.open(self.public_key):
            end = await self._resolve(earlier, LOOK_SECONDS)
            if end.state in OPEN:
                raise Refusal(
                    f"an earlier transaction ({end.tx_hash}) is still unresolved; nothing was sent"
                )

    async def _prepare(self, owner: str, receiver: str, actions: tuple[Action, ...]) -> Attempt:
        chain_nonce = await self._rpc.key_nonce(self.account, self.public_key)
        block = await self._rpc.final_block()
        nonce = max(chain_nonce, self._ledger.highest_nonce(self.public_key)) + 1
        signed = sign(Draft(self.account, receiver, nonce, block.hash, actions), self._key)
        purpose = ",".join(sorted({getattr(action, "method", "transfer") for action in actions}))
        new = NewAttempt(
            owner, purpose, self.account, self.public_key, nonce, block.hash, block.height
        )
        return self._ledger.store(new, signed)

    async def _send(self, attempt: Attempt) -> Attempt:
        self._ledger.mark(attempt.tx_hash, State.SENT)
        try:
            found = await self._broadcast(attempt, self._rpc.nodes[0], SEND_SECONDS)
        except RpcError as error:
            if error.name == "INVALID_TRANSACTION" and error.reason not in {"", "InvalidNonce"}:
                return await self._refused(attempt, error.said)
            found = outcome.Open(error.said)
        except RailUnknown as error:
            found = outcome.Open(error.said)
        settled = self._record(attempt, found)
        if settled.state in OPEN:
            return await self._resolve(settled, RESOLVE_SECONDS)
        return settled

    async def _refused(self, attempt: Attempt, said: str) -> Attempt:
        """End a refused transaction, unless some provider knows it after all.

        A balancer may have handed our one request to two nodes, and the second one refused it
        because the first had taken it.
        """
        for node in self._rpc.nodes:
            try:
                found = await self._status(attempt, node)
            except RpcError as error:
                if error.name == "UNKNOWN_TRANSACTION":
                    continue
                found = outcome.Open(error.said)
            except RailUnknown as error:
                found = outcome.Open(error.said)
            return self._record(attempt, found)
        return self._end(attempt, State.REFUSED, f"the node refused it: {said}")

    async def _broadcast(self, attempt: Attempt, node: str, seconds: float) -> outcome.Outcome:
        params = {"signed_tx_base64": base64.b64encode(attempt.raw).decode(), "wait_until": "FINAL"}
        result = await self._rpc.call(node, "send_tx", params, seconds)
        return outcome.judge(result, attempt.tx_hash)

    async def _resolve(self, attempt: Attempt, seconds: float) -> Attempt:
        """Ask every provider for the hash until it is final or the time is over."""
        if attempt.state not in OPEN:
            return attempt
        if attempt.state is State.SIGNED:  # SENT is stored before a byte leaves: none has
            return self._end(attempt, State.DEAD, "stopped before it was sent")
        try:
            async with asyncio.timeout(seconds):
                while attempt.state in OPEN:
                    attempt = await self._look(attempt)
                    if attempt.state in OPEN:
                        await asyncio.sleep(PAUSE_SECONDS)
        except TimeoutError:
            detail = attempt.detail or "no answer in time"
            return self._ledger.mark(attempt.tx_hash, State.UNKNOWN, detail)
        return attempt

    async def _look(self, attempt: Attempt) -> Attempt:
        absent = 0
        for node in self._rpc.nodes:
            try:
                found = await self._status(attempt, node)
            except RailError as error:
                absent += isinstance(error, RpcError) and error.name == "UNKNOWN_TRANSACTION"
                found = outcome.Open(error.said)
            attempt = self._record(attempt, found)
            if attempt.state not in OPEN:
                return attempt
        if absent == len(self._rpc.nodes):
            return await self._absent_everywhere(attempt)
        return attempt

    async def _status(self, attempt: Attempt, node: str) -> outcome.Outcome:
        params = {
            "tx_hash": attempt.tx_hash,
            "sender_account_id": self.account,
            "wait_until": "NONE",
        }
        return outcome.judge(
            await self._rpc.call(node, "tx", params, LOOK_SECONDS), attempt.tx_hash
        )

    async def _absent_everywhere(self, attempt: Attempt) -> Attempt:
        """No provider knows the hash: end it on proof, else send the same bytes again."""
        try:
            proof = await self._proof_of_death(attempt)
            if proof:
                return self._end(attempt, State.DEAD, proof)
            return self._record(
                attempt, await self._broadcast(attempt, self._rpc.nodes[0], LOOK_SECONDS)
            )
        except RailError as error:
            return self._record(attempt, outcome.Open(error.said))

    async def _proof_of_death(self, attempt: Attempt) -> str:
        """Why the transaction can never execute; empty without a proof.

        Every one of two or more providers must first be past it, and *then* not know its hash: in
        the other order it could have become final between the two questions.
        """
        if len(self._rpc.nodes) < 2:
            return ""
        proofs = [await self._past(attempt, node) for node in self._rpc.nodes]
        if not all(proofs):
            return ""
        absent = [await self._unknown_at(attempt, node) for node in self._rpc.nodes]
        return proofs[0] if all(absent) else ""

    async def _past(self, attempt: Attempt, node: str) -> str:
        """Why one provider could not take the transaction any more; empty if it could."""
        height = (await self._rpc.final_block(node)).height
        if height > attempt.block_height + VALIDITY_BLOCKS:
            return f"expired: signed at {attempt.block_height}, now final at {height}"
        nonce = await self._rpc.key_nonce(self.account, self.public_key, node)
        return f"overtaken: the key's final nonce is {nonce}" if nonce >= attempt.nonce else ""

    async def _unknown_at(self, attempt: Attempt, node: str) -> bool:
        try:
            await self._status(attempt, node)
        except RpcError as error:
            return error.name == "UNKNOWN_TRANSACTION"
        return False

    def _record(self, attempt: Attempt, found: outcome.Outcome) -> Attempt:
        match found:
            case outcome.Landed(_, block_hash):
                value = found.value.decode("utf-8", "replace")
                return self._end(attempt, State.LANDED, value, block_hash)
            case outcome.Reverted(reason):
                return self._end(attempt, State.REVERTED, reason)
            case outcome.Open(reason):
                return self._ledger.mark(attempt.tx_hash, State.UNKNOWN, reason)

    def _end(self, attempt: Attempt, state: State, detail: str, included_in: str = "") -> Attempt:
        logger().info("transaction_ended", tx=attempt.tx_hash, owner=attempt.owner, state=state)
        return self._ledger.mark(attempt.tx_hash, state, detail, included_in)
