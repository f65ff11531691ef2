"""Proof of death: the only door to a new attempt of something that was signed (rails §2.4).

Rules
- Two or more providers must agree, every one that is configured, and each is asked in this order:
  first whether it is past the transaction, *then* for its hash. The other way round it could become
  final between the two questions.
- A witness must still be able to remember. Nodes forget transactions after some epochs; from then
  on "unknown" means nothing, and only an archival provider counts, once it has shown that it
  remembers the very block that the transaction names.
"""

from dataclasses import dataclass
from typing import TypeAlias

from agent_runtime.errors import RailError
from agent_runtime.near import outcome
from agent_runtime.near.ledger import Attempt
from agent_runtime.near.rpc import Rpc, RpcError

LOOK_SECONDS = 3.0
VALIDITY_BLOCKS = 86_400
EPOCH_BLOCKS = 43_200
# A node keeps five epochs unless told otherwise, and never fewer than three; it forgets at the end
# of an epoch, so this stays a fifth of an epoch and more below the least that any node keeps.
REMEMBERED_BLOCKS = 3 * EPOCH_BLOCKS - 9_600


@dataclass(frozen=True)
class Dead:
    """It can never execute.

    Attributes:
        proof: why, in words.
    """

    proof: str


@dataclass(frozen=True)
class Found:
    """A witness, `node`, knows it after all."""

    outcome: outcome.Outcome
    node: str


@dataclass(frozen=True)
class Alive:
    """It may still execute: sending the same bytes again makes sense."""


@dataclass(frozen=True)
class Undecided:
    """It cannot execute any more, and nobody can say whether it did.

    Attributes:
        reason: what is missing, and what to configure.
    """

    reason: str


Finding: TypeAlias = Dead | Found | Alive | Undecided


@dataclass(frozen=True)
class _Past:
    """What one provider says: why it could not take the transaction, and its final height."""

    proof: str
    height: int


class Witnesses:
    """The providers, asked about the death of transactions of one account and key."""

    def __init__(self, rpc: Rpc, account: str, public_key: str) -> None:
        self._rpc = rpc
        self._account = account
        self._public_key = public_key

    async def status(
        self, attempt: Attempt, node: str, level: str = "NONE", seconds: float = 0.0
    ) -> outcome.Outcome:
        """What one provider says of a transaction.

        Raises:
            RpcError: it gave a NEAR error, `UNKNOWN_TRANSACTION` for instance.
            RailUnknown: it did not answer usably.
        """
        params = {
            "tx_hash": attempt.tx_hash,
            "sender_account_id": self._account,
            "wait_until": level,
        }
        found = await self._rpc.call(node, "tx", params, seconds or LOOK_SECONDS)
        return outcome.judge(found, attempt.tx_hash)

    async def examine(self, attempt: Attempt, fenced_by: str = "") -> Finding:
        """Whether a transaction that no provider knows is dead.

        Args:
            attempt: open.
            fenced_by: the hash of its fence, if that is final.

        Raises:
            RailError: a witness did not say what it was asked.
        """
        nodes, archival = self._rpc.nodes, self._rpc.archival
        pasts = [await self._past(attempt, node, fenced_by) for node in (*nodes, *archival)]
        if not all(past.proof for past in pasts):
            return Alive()
        if len({*nodes, *archival}) < 2:
            return Undecided(
                f"{pasts[0].proof}; one provider's word ends nothing, add another to NEAR_NODE_URL"
            )
        height = max(past.height for past in pasts)
        if height > attempt.block_height + REMEMBERED_BLOCKS and not archival:
            return Undecided(
                f"signed at block {attempt.block_height}, now final at {height}: providers may have"
                " forgotten it, and only an archival one can say; set NEAR_ARCHIVAL_URL"
            )
        for node in archival:
            if not await self._remembers(attempt, node):
                return Undecided(
                    f"an archival provider does not know block {attempt.block_hash}, which the"
                    " transaction names; correct NEAR_ARCHIVAL_URL"
                )
        return await self._ask_for_hash(attempt, pasts[0].proof)

    async def _ask_for_hash(self, attempt: Attempt, proof: str) -> Finding:
        for node in (*self._rpc.nodes, *self._rpc.archival):
            try:
                return Found(await self.status(attempt, node), node)
            except RpcError as error:
                if error.name != "UNKNOWN_TRANSACTION":
                    raise
        return Dead(proof)

    async def _past(self, attempt: Attempt, node: str, fenced_by: str) -> _Past:
        height = (await self._rpc.final_block(node)).height
        if height > attempt.block_height + VALIDITY_BLOCKS:
            proof = f"expired: signed at {attempt.block_height}, now final at {height}"
            return _Past(proof, height)
        try:
            nonce = await self._rpc.key_nonce(self._account, self._public_key, node)
        except RpcError as error:
            if error.name == "UNKNOWN_ACCESS_KEY" and height > attempt.block_height:
                return _Past("its key was taken off the account", height)
            raise
        if nonce > attempt.nonce:
            return _Past(f"overtaken: the key's final nonce is {nonce}", height)
        # A final nonce equal to ours proves nothing: our own bytes may be what used it. Unless we
        # know what did.
        if nonce == attempt.nonce and fenced_by:
            return _Past(f"fenced: transaction {fenced_by} took its nonce", height)
        return _Past("", height)

    async def _remembers(self, attempt: Attempt, node: str) -> bool:
        """Whether a provider knows the block that the transaction names, at our height."""
        try:
            return await self._rpc.height_of(attempt.block_hash, node) == attempt.block_height
        except RailError as error:
            if isinstance(error, RpcError) and error.name == "UNKNOWN_BLOCK":
                return False
            raise
