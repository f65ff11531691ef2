"""That no provider has a transaction: look-ups tied to how far the node is that answers them.

An address is not a node. Behind it a balancer may mix some that are current with some that lag, so
that of two questions one meets a node that is past the transaction and the other a node that never
saw it, and "unknown" is taken for "never executed". The answer to a hash carries no height, so no
look-up can be tied to a node by what it says; it is tied by where the chain is, and by repetition.

The argument. Let F be a final block after which the transaction cannot execute, which a node told
in one answer with the key (`death`). If it did execute, then in F or before, and every node whose
final block is F or later has it, as far as it remembers.

1. The margin. Hashes are asked for once the provider has shown a final block `MARGIN_BLOCKS` past
   F. From then on every node that lags less than that has F, whichever of them answers: for such
   nodes it is no matter of luck. F is fixed when it is first seen, and named by its hash, whose
   height is asked for anew in every look, for heights may be told wrongly and differently.
2. The mixture. A node that lags more, or stands still, is found by asking: `HASHES` look-ups among
   `HEADS` questions for the final block in a random order. Each of these has to be past the margin,
   and one that is not ends the look. The next one waits as many blocks more as that one was behind
   the others, by when it has F too; for one further behind than `BEHIND_MAX`, or that tells other
   heights, F is fixed anew. So a look that failed is not simply repeated until it succeeds. A death
   would be false only if each of the look-ups met a node that is behind and each of the others one
   that is not: with a share p behind, p^5 (1-p)^7, at most 1 in 3,400, for each provider, and every
   provider would have to be so. Two nodes that take turns cannot do it at all, for there are more
   questions of the one sort.
3. Whatever else is answered, an error included, shows nothing: the transaction stays unknown.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from agent_runtime.errors import RailError
from agent_runtime.near import outcome
from agent_runtime.near.ledger import Attempt
from agent_runtime.near.rpc import Block, Rpc, RpcError

MARGIN_BLOCKS = 120
BEHIND_MAX = 1_200
HASHES, HEADS = 5, 7

Ask = Callable[[Attempt, str], Awaitable[outcome.Outcome]]


@dataclass(frozen=True)
class Found:
    """A witness, `node`, knows it after all."""

    outcome: outcome.Outcome
    node: str


@dataclass(frozen=True)
class Unproven:
    """It was not found, which shows nothing yet; `reason` says why."""

    reason: str


@dataclass(frozen=True)
class _Closed:
    """When a transaction could no longer execute, as one provider told it.

    Attributes:
        block: final; none after it can hold the transaction.
        behind: by how many blocks some node of the provider was seen to be behind another.
    """

    block: Block
    behind: int = 0


class Absence:
    """Looks for transactions that cannot execute any more; remembers since which block."""

    def __init__(self, rpc: Rpc, ask: Ask) -> None:
        self._rpc = rpc
        self._ask = ask
        self._closed: dict[tuple[str, str], _Closed] = {}

    async def look(self, attempt: Attempt, closed: Mapping[str, Block]) -> Found | Unproven | None:
        """Ask every witness; None if none of them has the transaction, and all would.

        Args:
            attempt: what is looked for.
            closed: for each witness a final block, told by itself, after which it cannot execute.
        """
        looks = (self._look_at(attempt, node, block) for node, block in closed.items())
        answers = await asyncio.gather(*looks)
        found = next((one for one in answers if isinstance(one, Found)), None)
        doubt = next((one for one in answers if isinstance(one, Unproven)), None)
        if found or not doubt:
            self._forget(attempt)
        return found or doubt

    def _forget(self, attempt: Attempt) -> None:
        self._closed = {key: at for key, at in self._closed.items() if key[0] != attempt.tx_hash}

    async def _look_at(self, attempt: Attempt, node: str, block: Block) -> Found | Unproven | None:
        key = (attempt.tx_hash, node)
        closed = self._closed.setdefault(key, _Closed(block))
        try:
            height, head = await self._height_of(closed.block, node), await self._head(node)
            if height is None:
                if head >= closed.block.height + MARGIN_BLOCKS:
                    self._closed.pop(key, None)  # forgotten, or never one of this chain
                return Unproven(f"a provider does not know final block {closed.block.hash} (yet)")
            past = height + MARGIN_BLOCKS
            if head < past + closed.behind:
                return Unproven(f"final at {head}, proven not before {past + closed.behind}")
            found = await self._ask_mixed(attempt, node, past)
        except RailError as error:
            return Unproven(error.said)
        if isinstance(found, int):
            behind = max(closed.behind, head - found)
            if behind > BEHIND_MAX:
                self._closed.pop(key, None)
            else:
                self._closed[key] = replace(closed, behind=behind)
            return Unproven(
                f"a provider mixes nodes that are final at {head} and at {found}: those behind have"
                " to catch up; if they do not, replace it in NEAR_NODE_URL"
            )
        return found

    async def _ask_mixed(self, attempt: Attempt, node: str, past: int) -> Found | int | None:
        """Ask in a random order; a height, if some node is only there and not `past` the margin."""
        for is_hash in _order():
            if is_hash:
                try:
                    return Found(await self._ask(attempt, node), node)
                except RpcError as error:
                    if error.name != "UNKNOWN_TRANSACTION":
                        raise
            elif (head := await self._head(node)) < past:
                return head
        return None

    async def _head(self, node: str) -> int:
        return (await self._rpc.final_block(node)).height

    async def _height_of(self, block: Block, node: str) -> int | None:
        try:
            return await self._rpc.height_of(block.hash, node)
        except RpcError as error:
            if error.name != "UNKNOWN_BLOCK":
                raise
            return None


def _order() -> list[bool]:
    """Which of the questions are for the hash, so that no regular turn of nodes fits it."""
    asked = [True] * HASHES + [False] * HEADS
    random.SystemRandom().shuffle(asked)
    return asked
