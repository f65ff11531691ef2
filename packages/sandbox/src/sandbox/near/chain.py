"""The chain: blocks, the pool, at-most-once nonces, receipts one block later, lagging finality.

Theory of operation. A submitted transaction is checked against the head and pooled. The next block
checks it again (what became invalid in between is dropped without a word, as nodes do), takes cost
and nonce from the signer, and makes a receipt; the block after that runs the receipt, a failed one
sends its deposits back one block later still. A block is final when `finality_lag` newer ones
stand on it; the store answers questions about the past from its undo layers. What is not final can
be taken back (`reorganise`): its transactions are gone, and may or may not come in again later.
"""

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from sandbox.near import state
from sandbox.near.borsh import SignedTransaction, Transfer
from sandbox.near.contract import Contract
from sandbox.near.execute import SYSTEM, Executor
from sandbox.near.keys import encode
from sandbox.near.record import Block, Moment, Outcome, Receipt, Record
from sandbox.near.store import HISTORY, Store
from sandbox.near.validity import InvalidTxError, check, gas_burnt, total_deposit
from sandbox.near.view import Balanced, View

FIRST_HEIGHT: Final = 180_000_000
BLOCKS_MAX: Final = 100_000
RECORDS_MAX: Final = 200_000
ADVANCE_MAX: Final = 200_000
T = TypeVar("T")
_LIFE_BLOCKS: Final = 3
"""After how many blocks, its own included, a transaction has run with all that follows from it."""


class Chain:
    """One chain in memory. Blocks come from `produce`, or from `run` at a steady pace.

    Args:
        contracts: the deployed contracts by account.
        finality_lag: how many blocks the final one is behind the head (1 or more).

    Attributes:
        views: how each named provider differs from the chain; a provider without one does not.
    """

    def __init__(self, contracts: Mapping[str, Contract], *, finality_lag: int = 2) -> None:
        self.store = Store(finality_lag)
        self.contracts = contracts
        self.records: dict[str, Record] = {}
        self.poisoned: set[str] = set()
        self.views: dict[str, View | Balanced] = {}
        self._executor = Executor(self.store, contracts)
        self._lag = finality_lag
        self._pool: dict[str, SignedTransaction] = {}
        self._due: list[tuple[Record, Receipt]] = []
        self._gone: list[tuple[int, SignedTransaction]] = []
        self._blocks: dict[int, Block] = {}
        self._heights: dict[bytes, int] = {}
        self._newest: deque[Block] = deque(maxlen=finality_lag + HISTORY)
        self._taken_back = 0
        self._next_height = FIRST_HEIGHT - finality_lag
        self._tick = asyncio.Event()
        for _ in range(finality_lag + 1):
            self._add_block()

    @property
    def head(self) -> Block:
        """The newest block."""
        return self._newest[-1]

    @property
    def final(self) -> Block:
        """The newest block that cannot be undone."""
        return self.block_back(self.final_back)

    @property
    def final_back(self) -> int:
        """How many blocks the final one is behind the newest: fewer after some were taken back."""
        return self._lag - self._taken_back

    @property
    def now(self) -> Moment:
        """How far the chain has come."""
        return Moment(self.head.height, self.final.height)

    def block_back(self, count: int) -> Block:
        """Return the block `count` before the newest, or the oldest remembered in order."""
        return self._newest[-min(count + 1, len(self._newest))]

    def block_at(self, height: int) -> Block | None:
        """Return a block by height."""
        return self._blocks.get(height)

    def block_by_hash(self, digest: bytes) -> Block | None:
        """Return a block by hash."""
        height = self._heights.get(digest)
        return None if height is None else self._blocks.get(height)

    def check(self, signed: SignedTransaction) -> None:
        """Check a transaction against the head; raises InvalidTxError."""
        named = self._heights.get(signed.transaction.block_hash)
        check(signed, self.store, self.head.height, named)

    def knows(self, tx_hash: str) -> bool:
        """Whether this very transaction is pooled or on the chain."""
        return tx_hash in self._pool or tx_hash in self.records

    def submit(self, signed: SignedTransaction) -> None:
        """Check and pool a transaction; sending the same bytes again changes nothing.

        Raises:
            InvalidTxError: the transaction may not enter the chain.
        """
        if not self.knows(signed.hash):
            self.check(signed)
            self._pool[signed.hash] = signed

    def produce(self, *, skip: int = 0) -> Block:
        """Make one block: run what is due, include what is pooled and still valid.

        Args:
            skip: leave out so many heights first, as a chain without a block for them does.
        """
        self._come_in_again()
        self.store.next_block()
        self._next_height += skip
        block = self._add_block()
        self._taken_back = max(0, self._taken_back - 1)
        due, self._due = self._due, []
        for record, receipt in due:
            self._run(record, receipt, block)
        pool, self._pool = self._pool, {}
        for signed in sorted(pool.values(), key=lambda s: s.transaction.nonce):
            self._include(signed, block)
        self._forget()
        tick, self._tick = self._tick, asyncio.Event()
        tick.set()
        return block

    def reorganise(self, blocks: int, return_after: int | None) -> list[str]:
        """Take back the newest blocks, none of them final; the next one has a greater height.

        Args:
            blocks: how many; fewer are taken back if fewer are not final.
            return_after: after how many further blocks the transactions that were in them are
                pooled again; None leaves that to whoever sends them again.

        Returns:
            the hashes of these transactions.
        """
        depth = min(blocks, self.final_back)
        for _ in range(depth):
            block = self._newest.pop()
            del self._blocks[block.height], self._heights[block.digest]
        self.store.take_back(depth)
        self._taken_back += depth
        height, recent = self.head.height, self.block_back(_LIFE_BLOCKS).height
        vanished = []
        for record in self._records_since(recent):
            if record.conversion.block.height > height:
                vanished.append(self.records.pop(record.signed.hash).signed)
            else:
                record.take_back(height)
        self._due = [
            (record, receipt)
            for record in reversed(self._records_since(recent))
            for receipt in record.receipts
            if receipt.outcome is None
        ]
        if return_after is not None:
            self._gone += [(return_after, signed) for signed in vanished]
        return [signed.hash for signed in vanished]

    def _records_since(self, height: int) -> list[Record]:
        """Return the records included at a height or above, newest first."""
        found = []
        for record in reversed(self.records.values()):
            if record.conversion.block.height < height:
                break
            found.append(record)
        return found

    def _come_in_again(self) -> None:
        waiting, self._gone = self._gone, []
        for blocks, signed in waiting:
            if blocks > 0:
                self._gone.append((blocks - 1, signed))
            elif not self.knows(signed.hash):
                self._pool[signed.hash] = signed

    async def run(self, block_seconds: float) -> None:
        """Make a block every `block_seconds` until cancelled."""
        while True:
            await asyncio.sleep(block_seconds)
            self.produce()

    async def wait_for(self, tx_hash: str, level: str, seconds_max: float) -> Record | None:
        """Return the record once it has reached `level`; None when the time is over."""

        def reached() -> Record | None:
            record = self.records.get(tx_hash)
            return record if record is not None and record.reached(level, self.now) else None

        return await self.until(reached, seconds_max)

    async def until(self, look: Callable[[], T | None], seconds_max: float) -> T | None:
        """Look now and after every block; what is seen, or None when the time is over."""
        try:
            async with asyncio.timeout(seconds_max):
                while (found := look()) is None:
                    await self._tick.wait()
                return found
        except TimeoutError:
            return None

    def _add_block(self) -> Block:
        height, self._next_height = self._next_height, self._next_height + 1
        previous = self._newest[-1].digest if self._newest else bytes(32)
        digest = hashlib.sha256(previous + height.to_bytes(8, "little")).digest()
        block = Block(height, digest, previous, time.time_ns())
        self._newest.append(block)
        self._blocks[height] = block
        self._heights[digest] = height
        return block

    def _include(self, signed: SignedTransaction, block: Block) -> None:
        transaction = signed.transaction
        try:
            named = self._heights.get(transaction.block_hash)
            check(signed, self.store, block.height - 1, named)
        except InvalidTxError:
            return  # became invalid in the pool: nodes drop it without telling anybody
        gas = gas_burnt(transaction)
        signer, key = transaction.signer_id, transaction.public_key
        held = state.balance(self.store, signer) or 0
        cost = total_deposit(transaction) + gas * state.GAS_PRICE
        state.set_balance(self.store, signer, held - cost)
        used = state.access_key(self.store, signer, key)
        if used is None:
            raise AssertionError("a checked transaction has an access key")
        advanced = state.AccessKey(transaction.nonce, used.permission)
        state.set_access_key(self.store, signer, key, advanced)
        receipt_id = _id(signed.digest, 0)
        status = {"SuccessReceiptId": receipt_id}
        conversion = Outcome(signed.hash, signer, block, status, [], [receipt_id], gas)
        receipt = Receipt(receipt_id, signer, transaction.receiver_id, transaction.actions)
        record = Record(signed, conversion, [receipt])
        self.records[signed.hash] = record
        self._due.append((record, receipt))

    def _run(self, record: Record, receipt: Receipt, block: Block) -> None:
        poisoned = record.signed.hash in self.poisoned and receipt.predecessor != SYSTEM
        effect = self._executor.run(receipt, block, poisoned=poisoned)
        children: list[str] = []
        if effect.refund and receipt.predecessor != SYSTEM:
            back = (Transfer(effect.refund),)
            refund = Receipt(
                _id(record.signed.digest, len(record.receipts)), SYSTEM, receipt.predecessor, back
            )
            record.receipts.append(refund)
            self._due.append((record, refund))
            children.append(refund.id)
        gas = 0 if receipt.predecessor == SYSTEM else state.GAS_PER_CONVERSION
        receipt.outcome = Outcome(
            receipt.id, receipt.receiver, block, effect.status, effect.logs, children, gas
        )

    def _forget(self) -> None:
        """Keep memory bounded: the oldest blocks and records go. Views forget much earlier."""
        while len(self._blocks) > BLOCKS_MAX:
            self._heights.pop(self._blocks.pop(next(iter(self._blocks))).digest)
        while len(self.records) > RECORDS_MAX:
            tx_hash = next(iter(self.records))
            self.records.pop(tx_hash)
            self.poisoned.discard(tx_hash)


def _id(digest: bytes, number: int) -> str:
    return encode(hashlib.sha256(digest + number.to_bytes(4, "little")).digest())
