"""The fence: a harmless transaction that takes the nonce of one that will not land (rails §2.4).

A nonce executes once. So of a transaction and its fence, a transfer of nothing to ourselves under
the same nonce, at most one can: once the fence is final, what it fences is dead, and if the fence
is refused for its nonce, something else has used it and must be looked for. Either way nobody waits
a day for the bytes to expire while they block their key.

Rules
- Bytes on disk before they leave, one fence for each transaction, the same bytes every time.
- It goes to each provider in turn: one that does not pass transactions on must not be the only one.
- A fence that two providers call final is the proof of death (`death`), whatever became of its
  receipt: its nonce is used.
"""

import asyncio
import itertools
import time

from agent_runtime.errors import RailError
from agent_runtime.log import logger
from agent_runtime.near import outcome
from agent_runtime.near.endings import Sight
from agent_runtime.near.keys import Key
from agent_runtime.near.ledger import OPEN, Attempt, NewAttempt, State, TransactionLedger
from agent_runtime.near.resolver import Resolver
from agent_runtime.near.rpc import Block, Rpc
from agent_runtime.near.transaction import Draft, Transfer, sign

FENCE_AFTER_SECONDS = 60.0
FENCE_SECONDS = 6.0


class Fencer:
    """Fences transactions of one account and key; the caller holds the lock of the key."""

    def __init__(
        self, rpc: Rpc, ledger: TransactionLedger, resolver: Resolver, account: str, key: Key
    ) -> None:
        self._rpc = rpc
        self._ledger = ledger
        self._resolver = resolver
        self._account = account
        self._key = key
        self._next_node = itertools.cycle(rpc.nodes)

    def is_due(self, sight: Sight) -> bool:
        """Whether it is time: known to nobody, two witnesses for the proof, and no use in waiting.

        That is so once it has been open for long, or is refused by everybody.
        """
        if not (sight.open and sight.absent) or len({*self._rpc.nodes, *self._rpc.archival}) < 2:
            return False
        old = time.time() - sight.attempt.created_at >= FENCE_AFTER_SECONDS
        return old or sight.refused or self._ledger.fence_of(sight.attempt.tx_hash) is not None

    async def fence(self, attempt: Attempt) -> None:
        """Send the fence of a transaction, unless it has ended.

        Raises:
            RailError: there is none yet, and no final block could be read to sign one.
        """
        fence = self._ledger.fence_of(attempt.tx_hash)
        if fence is None:
            fence = self._store(attempt, await self._rpc.final_block())
            logger().warning("transaction_fenced", tx=attempt.tx_hash, fence=fence.tx_hash)
        if fence.state in OPEN:
            await self._send(self._ledger.mark(fence.tx_hash, State.SENT))

    async def _send(self, fence: Attempt) -> None:
        """Send it to each provider in turn, until one calls it final or the time is over."""
        loop = asyncio.get_running_loop()
        until = loop.time() + FENCE_SECONDS
        for left in range(len(self._rpc.nodes), 0, -1):
            node = next(self._next_node)
            seconds = (until - loop.time()) / left  # one that is silent leaves the others theirs
            try:
                found = await self._resolver.broadcast(fence, "FINAL", max(0.0, seconds), node)
            except RailError as error:
                found = outcome.Open(error.said)
            fence = self._resolver.endings.record(fence, found, node).attempt
            if fence.state not in OPEN:
                return

    def _store(self, attempt: Attempt, block: Block) -> Attempt:
        draft = Draft(self._account, self._account, attempt.nonce, block.hash, (Transfer(0),))
        new = NewAttempt(
            attempt.owner,
            "fence",
            self._account,
            self._key.text,
            attempt.nonce,
            block.hash,
            block.height,
            self._account,
            attempt.leg,
            attempt.tx_hash,
        )
        return self._ledger.store(new, sign(draft, self._key))
