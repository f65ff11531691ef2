"""Proof of death: the only door to a new attempt of something that was signed (rails §2.4).

Here is what proves it, and what is made of providers' words: pure. `witnesses` asks for them.

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

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from agent_runtime.near.absence import Found
from agent_runtime.near.ledger import Attempt
from agent_runtime.near.rpc import KeyAt

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
class Word:
    """What one provider says, all of it in its own heights.

    Attributes:
        key: at its final block.
        named: height of the block that the transaction names; None if it does not know that block.
    """

    node: str
    key: KeyAt
    named: int | None


@dataclass(frozen=True)
class Past:
    """Why the transaction cannot execute after a provider's final block.

    Attributes:
        unused: nor has it executed before, for its nonce was never used.
    """

    proof: str
    unused: bool = False


def past(attempt: Attempt, word: Word, named: int | None) -> Past | None:
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
        return Past("its key was taken off the account") if added else None
    if nonce > attempt.nonce:
        return Past(f"overtaken: the key's final nonce is {nonce}")
    if not expired:
        # A final nonce equal to ours proves nothing: our own bytes may be what used it.
        return None
    return Past(f"expired: {age}", unused=nonce < attempt.nonce)


def doubt(attempt: Attempt, words: Sequence[Word], archival: Collection[str]) -> str:
    """Why "unknown" may mean "forgotten"; empty if it does not.

    Args:
        attempt: the transaction.
        words: of all providers.
        archival: those of them that are to remember everything.
    """
    keepers = [word for word in words if word.node in archival]
    if any(word.named is None for word in keepers):
        return (
            f"an archival provider does not know block {attempt.block_hash}, which the"
            " transaction names; correct NEAR_ARCHIVAL_URL"
        )
    old = [
        word
        for word in words
        if word.named is None or word.key.block.height > word.named + REMEMBERED_BLOCKS
    ]
    if keepers or not old:
        return ""
    return (
        f"signed at block {attempt.block_hash} ({attempt.block_height}), now final at"
        f" {old[0].key.block.height}: providers may have forgotten it, and only an archival one"
        " can say; set NEAR_ARCHIVAL_URL"
    )
