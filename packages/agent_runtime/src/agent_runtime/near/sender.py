"""Sending transactions of one key: each at most once, several on their way (rails §2.4).

Theory of operation. A nonce is good only while no higher one of the key has executed. So the lock
of the key is held from the nonce until the transaction stands in a block (or its end is known);
waiting for finality, which takes several blocks, happens outside the lock, side by side.

Rules
- Bytes and hash are on disk before the first byte leaves, in the order of their nonces.
- While the fate of a transaction that is not known to be in a block is open, no new one is signed;
  the open one is resolved first. So is one that was in a block and then could not be followed.
- A new nonce is never taken for something that is open.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from agent_runtime.errors import Busy, RailError
from agent_runtime.log import logger
from agent_runtime.near import outcome
from agent_runtime.near.endings import Sight
from agent_runtime.near.fence import Fencer
from agent_runtime.near.keys import Key
from agent_runtime.near.ledger import Attempt, NewAttempt, State, TransactionLedger
from agent_runtime.near.resolver import Resolver
from agent_runtime.near.rpc import Block, Rpc, RpcError
from agent_runtime.near.transaction import Action, Call, Draft, sign

SEND_SECONDS = 12.0
RESOLVE_SECONDS = 6.0
LOCK_SECONDS = 8.0
CLEAR_SECONDS = 3.0
BLOCK_FRESH_SECONDS = 5.0
FOLLOWED_MAX = 16
HEIGHT_SECONDS = 1.0
SETTLE_SECONDS = 10.0
SETTLED_AT_ONCE = 8


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
        self._public_key = key.text
        self._resolver = Resolver(rpc, ledger, account, self._public_key)
        self._resolvers = {(account, self._public_key): self._resolver}
        self._fencer = Fencer(rpc, ledger, self._resolver, account, key)
        self._lock = asyncio.Lock()
        self._slots = asyncio.Semaphore(FOLLOWED_MAX)
        self._followed: set[str] = set()
        self._block: tuple[float, Block] | None = None

    async def submit(
        self, owner: str, receiver: str, actions: Sequence[Action], leg: int = 1
    ) -> Attempt:
        """Sign, store, send and follow one transaction; the returned state may be UNKNOWN.

        Raises:
            Busy: nothing was signed, because others are before it or an earlier transaction of
                the key is still open.
            RailError: nothing was signed, because the chain could not be read, or the key may not
                do this.
        """
        money = any(not isinstance(action, Call) or action.deposit for action in actions)
        chain_nonce, _ = await asyncio.gather(
            self._rpc.key_nonce(self.account, self._public_key, full=money), self._recent_block()
        )
        deadline = asyncio.get_running_loop().time() + LOCK_SECONDS
        async with _turn(self._slots, deadline):
            async with _turn(self._lock, deadline):
                await self._clear_the_way()
                block = await self._recent_block()  # the one before may have been refused meanwhile
                draft = self._draft(receiver, tuple(actions), chain_nonce, block)
                attempt = self._store(owner, leg, draft, block.height)
                sent_at = asyncio.get_running_loop().time()
                sight = await self._send(attempt)
                if sight.refused and self._fencer.is_due(sight):  # waiting would be of no use
                    sight = await self._fence(sight.attempt)
                if not (sight.open and sight.included):
                    await self._add_height(sight.attempt.tx_hash)
                    return sight.attempt
                self._followed.add(attempt.tx_hash)  # before the next one may look
            try:
                followed = await self._follow(sight.attempt, sent_at)
                await self._add_height(followed.tx_hash)
                return followed
            finally:
                self._followed.discard(attempt.tx_hash)

    async def settle(self, tx_hash: str) -> Attempt:
        """Look for the end of a stored transaction; never signs anything."""
        async with self._lock:
            attempt = self._ledger.get(tx_hash)
            resolver = self._resolver_of(*self._ledger.signed_by(tx_hash))
            found = (await resolver.resolve(attempt, RESOLVE_SECONDS)).attempt
            await self._add_height(tx_hash)
            return found

    async def settle_all(self) -> list[Attempt]:
        """Look for the end of every open transaction, side by side; those still open afterwards.

        Takes `SETTLE_SECONDS` at most, however many are open. A transaction that a request is
        following right now is left to that request.
        """
        async with self._lock:
            try:
                async with asyncio.timeout(SETTLE_SECONDS):
                    await self._settle_round()
            except TimeoutError:
                logger().warning("settling_cut_short", seconds=SETTLE_SECONDS)
            return self._all_unfollowed()

    async def _settle_round(self) -> None:
        places = asyncio.Semaphore(SETTLED_AT_ONCE)

        async def look(attempt: Attempt) -> Sight:
            resolver = self._resolver_of(*self._ledger.signed_by(attempt.tx_hash))
            async with places:
                return await resolver.resolve(attempt, RESOLVE_SECONDS)

        found = await asyncio.gather(*(look(attempt) for attempt in self._all_unfollowed()))
        for sight in found:
            ours = self._ledger.signed_by(sight.attempt.tx_hash) == (self.account, self._public_key)
            if ours and self._fencer.is_due(sight):  # only the key that signed can fence
                await self._fence(sight.attempt)
        for seen in self._ledger.without_height():
            await self._add_height(seen.report.tx_hash)

    async def _fence(self, attempt: Attempt) -> Sight:
        """Take the nonce of a transaction away, and look what that makes of it.

        Also where the fence is not final: it may have come too late.
        """
        try:
            await self._fencer.fence(attempt)
        except RailError as error:
            logger().info("fence_not_made", tx=attempt.tx_hash, said=error.said)
        return await self._resolver.resolve(attempt, CLEAR_SECONDS)

    async def _add_height(self, tx_hash: str) -> None:
        """Add the height of its block to fresh evidence; later, if nobody tells now."""
        seen = self._ledger.evidence(tx_hash)
        if seen is None or seen.block_height is not None:
            return
        try:
            async with asyncio.timeout(HEIGHT_SECONDS):
                height = await self._rpc.height_of(seen.report.block_hash)
        except (RailError, TimeoutError) as error:
            logger().info("block_height_not_told", tx=tx_hash, said=str(error) or "timed out")
        else:
            self._ledger.add_height(seen, height)

    def _unfollowed(self) -> list[Attempt]:
        found = self._ledger.open(self._public_key)
        return [attempt for attempt in found if attempt.tx_hash not in self._followed]

    def _all_unfollowed(self) -> list[Attempt]:
        """Those of earlier keys too: a key that was replaced may have left something open."""
        found = [one for key in self._ledger.open_keys() for one in self._ledger.open(key)]
        return [attempt for attempt in found if attempt.tx_hash not in self._followed]

    def _resolver_of(self, account: str, public_key: str) -> Resolver:
        """The one of a key, always the same: what it saw counts until the transaction has ended."""
        signer = (account, public_key)
        if signer not in self._resolvers:
            self._resolvers[signer] = Resolver(self._rpc, self._ledger, account, public_key)
        return self._resolvers[signer]

    async def _clear_the_way(self) -> None:
        for earlier in self._unfollowed():
            sight = await self._resolver.resolve(earlier, CLEAR_SECONDS)
            if sight.open:
                raise Busy(
                    f"an earlier transaction ({earlier.tx_hash}) is still unresolved;"
                    " nothing was sent, ask again"
                )

    async def _recent_block(self) -> Block:
        """A final block of the last seconds; its height is stored with what names it."""
        now = asyncio.get_running_loop().time()
        if self._block is None or now - self._block[0] > BLOCK_FRESH_SECONDS:
            self._block = (now, await self._rpc.final_block())
        return self._block[1]

    def _drop_block(self, block_hash: str) -> None:
        """Forget a block that a node called too old, or does not know: no other may name it."""
        if self._block is not None and self._block[1].hash == block_hash:
            self._block = None

    def _draft(
        self, receiver: str, actions: tuple[Action, ...], chain_nonce: int, block: Block
    ) -> Draft:
        """What is signed next; the caller holds the lock until it is stored."""
        nonce = max(chain_nonce, self._ledger.highest_nonce(self._public_key)) + 1
        return Draft(self.account, receiver, nonce, block.hash, actions)

    def _store(self, owner: str, leg: int, draft: Draft, height: int) -> Attempt:
        purpose = ",".join(
            sorted({getattr(one, "method", type(one).__name__.lower()) for one in draft.actions})
        )
        new = NewAttempt(
            owner,
            purpose,
            draft.signer,
            self._public_key,
            draft.nonce,
            draft.block_hash,
            height,
            draft.receiver,
            leg,
        )
        return self._ledger.store(new, sign(draft, self._key))

    async def _send(self, attempt: Attempt) -> Sight:
        """Send until it stands in a block, has ended, or the time to find that out is over."""
        attempt = self._ledger.mark(attempt.tx_hash, State.SENT)
        try:
            found = await self._resolver.broadcast(attempt, "INCLUDED", SEND_SECONDS)
        except RailError as error:
            if isinstance(error, RpcError) and error.reason == "Expired":
                self._drop_block(attempt.block_hash)
            found = outcome.Open(error.said)
        if isinstance(found, outcome.Open) and found.included:
            return Sight(attempt, included=True)
        sight = self._resolver.endings.record(attempt, found, self._rpc.nodes[0])
        return await self._resolver.resolve(sight.attempt, RESOLVE_SECONDS, until_included=True)

    async def _follow(self, attempt: Attempt, sent_at: float) -> Attempt:
        """Wait for finality, beside others of the same key, in the time that is left for it."""
        loop, until = asyncio.get_running_loop(), sent_at + SEND_SECONDS
        sight = await self._resolver.follow(attempt, max(1.0, until - loop.time()))
        left = max(1.0, until + RESOLVE_SECONDS - loop.time())
        return (await self._resolver.resolve(sight.attempt, min(left, RESOLVE_SECONDS))).attempt


@asynccontextmanager
async def _turn(guard: asyncio.Lock | asyncio.Semaphore, deadline: float) -> AsyncIterator[None]:
    """Hold the guard.

    Raises:
        Busy: it was not free before the deadline.
    """
    try:
        async with asyncio.timeout_at(deadline):
            await guard.acquire()
    except TimeoutError as error:
        raise Busy("others are before it; nothing was sent, ask again") from error
    try:
        yield
    finally:
        guard.release()
