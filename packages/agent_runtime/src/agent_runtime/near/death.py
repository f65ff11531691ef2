"""Proof of death: the only door to a new attempt of something that was signed (rails §2.4).

Nobody is believed alone: two providers or more, and every one that is configured, must say it.

Rules
- A fence that two providers call final is proof by itself: a nonce executes once, it has, and not
  for us. Such a word cannot be a mistake of a node that is behind or has forgotten.
- Heights are compared within one provider only. Each is asked itself for the height of the block
  that the transaction names, by its hash, so that one that tells other heights than the rest, or
  told a wrong one at the signing, neither hurries a death nor hinders one.
- A key and the final block at which it was read come in one answer, so from one node. If its final
  nonce is below ours at a block past the validity period, the transaction has not executed and no
  longer can: no hash is asked for, and nobody's memory matters.
- If its nonce was used, by whomever, the hash has to be unknown everywhere, and of every node that
  may have answered it must be shown that it would know it (`absence` says how).
- For that a witness must still be able to remember. Nodes forget transactions after some epochs;
  from then on "unknown" means nothing, and only an archival provider counts, once it has shown that
  it remembers the very block that the transaction names.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from agent_runtime.errors import RailError
from agent_runtime.near import outcome
from agent_runtime.near.absence import Absence, Found, Unproven
from agent_runtime.near.ledger import Attempt
from agent_runtime.near.rpc import KeyAt, Rpc, RpcError

LOOK_SECONDS = 3.0
WITNESSES_MIN = 2
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
class Alive:
    """It may still execute: sending the same bytes again makes sense."""


@dataclass(frozen=True)
class Undecided:
    """It cannot execute any more, and nobody can say, or not yet, whether it did.

    Attributes:
        reason: what is missing, and what to configure.
    """

    reason: str


Finding: TypeAlias = Dead | Found | Alive | Undecided


@dataclass(frozen=True)
class _Word:
    """What one provider says, all of it in its own heights.

    Attributes:
        key: at its final block.
        named: height of the block that the transaction names; None if it does not know that block.
    """

    node: str
    key: KeyAt
    named: int | None


@dataclass(frozen=True)
class _Past:
    """Why the transaction cannot execute after a provider's final block.

    Attributes:
        unused: nor has it executed before, for its nonce was never used.
    """

    proof: str
    unused: bool = False


class Witnesses:
    """The providers, asked about the death of transactions of one account and key."""

    def __init__(self, rpc: Rpc, account: str, public_key: str) -> None:
        self._rpc = rpc
        self._account = account
        self._public_key = public_key
        self._absence = Absence(rpc, self.status)

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

    async def examine(self, attempt: Attempt, fence: Attempt | None = None) -> Finding:
        """Whether a transaction that no provider knows is dead.

        Args:
            attempt: open.
            fence: its fence, if that ended on the chain.

        Raises:
            RailError: a witness did not say what it was asked.
        """
        if fence is not None and await self._is_final(fence):
            return Dead(f"fenced: transaction {fence.tx_hash} took its nonce")
        words = [await self._ask(attempt, node) for node in self._everyone]
        heights = [word.named for word in words if word.named is not None]
        pasts = [_past(attempt, word, max(heights, default=None)) for word in words]
        known = [past for past in pasts if past is not None]
        if len(known) < len(words):
            return Alive()
        proof = known[0].proof
        if len(words) < WITNESSES_MIN:
            return Undecided(
                f"{proof}; one provider's word ends nothing, add another to NEAR_NODE_URL"
            )
        if all(past.unused for past in known):
            return Dead(proof)
        if doubt := self._doubt(attempt, words):
            return Undecided(doubt)
        match await self._absence.look(attempt, {word.node: word.key.block for word in words}):
            case Unproven(reason):
                return Undecided(f"{proof}; {reason}")
            case Found() as found:
                return found
            case None:
                return Dead(proof)

    @property
    def _everyone(self) -> tuple[str, ...]:
        """Each provider once, also one that is listed twice."""
        return tuple(dict.fromkeys((*self._rpc.nodes, *self._rpc.archival)))

    async def _ask(self, attempt: Attempt, node: str) -> _Word:
        key = await self._rpc.key_at(self._account, self._public_key, node)
        try:
            named = await self._rpc.height_of(attempt.block_hash, node)
        except RpcError as error:
            if error.name != "UNKNOWN_BLOCK":
                raise
            named = None
        return _Word(node, key, named)

    async def _is_final(self, fence: Attempt) -> bool:
        """Whether two providers, at the least, know a transaction of ours as final."""
        seen = 0
        for node in self._everyone:
            try:
                found = await self.status(fence, node)
            except RailError:
                continue  # no witness; the others are asked
            if isinstance(found, outcome.Landed | outcome.Reverted):
                seen += self.is_ours(fence, found.report)
        return seen >= WITNESSES_MIN

    def is_ours(self, attempt: Attempt, report: outcome.Report) -> bool:
        """Whether an outcome names the signer, the key and the nonce of a stored transaction."""
        told = (report.signer, report.public_key, report.nonce)
        return told == (self._account, self._public_key, attempt.nonce)

    def _doubt(self, attempt: Attempt, words: Sequence[_Word]) -> str:
        """Why "unknown" may mean "forgotten"; empty if it does not."""
        archival = [word for word in words if word.node in self._rpc.archival]
        if any(word.named is None for word in archival):
            return (
                f"an archival provider does not know block {attempt.block_hash}, which the"
                " transaction names; correct NEAR_ARCHIVAL_URL"
            )
        old = [
            word
            for word in words
            if word.named is None or word.key.block.height > word.named + REMEMBERED_BLOCKS
        ]
        if archival or not old:
            return ""
        return (
            f"signed at block {attempt.block_hash} ({attempt.block_height}), now final at"
            f" {old[0].key.block.height}: providers may have forgotten it, and only an archival one"
            " can say; set NEAR_ARCHIVAL_URL"
        )


def _past(attempt: Attempt, word: _Word, named: int | None) -> _Past | None:
    """Why it cannot execute any more, as one provider tells; None if it still can.

    Args:
        attempt: the transaction.
        word: the provider's.
        named: height of the block that the transaction names, by those who know it; a provider
            that has forgotten that block is measured against theirs.
    """
    nonce, height = word.key.nonce, word.key.block.height
    named = named if word.named is None else word.named
    expired = named is not None and height > named + VALIDITY_BLOCKS
    age = f"signed at {named}, now final at {height}"
    if nonce is None:
        added = named is not None and height > named  # not one that has not seen it added yet
        return _Past("its key was taken off the account") if added else None
    if nonce > attempt.nonce:
        return _Past(f"overtaken: the key's final nonce is {nonce}")
    if not expired:
        # A final nonce equal to ours proves nothing: our own bytes may be what used it.
        return None
    return _Past(f"expired: {age}", unused=nonce < attempt.nonce)
