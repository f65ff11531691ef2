"""The chain: blocks, the pool, at-most-once nonces, receipts one block later, lagging finality.

Theory of operation. A submitted transaction is checked against the head and pooled. The next block
checks it again (what became invalid in between is dropped without a word, as nodes do), takes cost
and nonce from the signer, and makes a receipt; the block after that runs the receipt, a failed one
sends its deposits back one block later still. A block is final when `finality_lag` newer ones
stand on it; the store answers questions about the final state from its undo layers.
"""

import asyncio
import hashlib
import time
from collections.abc import Mapping
from typing import Final

from sandbox.near import state
from sandbox.near.borsh import SignedTransaction, Transfer
from sandbox.near.contract import Contract
from sandbox.near.execute import SYSTEM, Executor
from sandbox.near.keys import encode
from sandbox.near.record import Block, Outcome, Receipt, Record
from sandbox.near.store import Store
from sandbox.near.validity import InvalidTxError, check, gas_burnt, total_deposit

FIRST_HEIGHT: Final = 180_000_000
RECORDS_MAX: Final = 200_000
ADVANCE_MAX: Final = 200_000


class Chain:
    """One chain in memory. Blocks come from `produce`, or from `run` at a steady pace.

    Args:
        contracts: the deployed contracts by account.
        finality_lag: how many blocks the final one is behind the head (1 or more).
    """

    def __init__(self, contracts: Mapping[str, Contract], *, finality_lag: int = 2) -> None:
        self.store = Store(finality_lag)
        self.contracts = contracts
        self.records: dict[str, Record] = {}
        self.poisoned: set[str] = set()
        self._executor = Executor(self.store, contracts)
        self._lag = finality_lag
        self._pool: dict[str, SignedTransaction] = {}
        self._due: list[tuple[Record, Receipt]] = []
        self._blocks: dict[int, Block] = {}
        self._heights: dict[bytes, int] = {}
        self._tick = asyncio.Event()
        previous = bytes(32)
        for height in range(FIRST_HEIGHT - finality_lag, FIRST_HEIGHT + 1):
            previous = self._add_block(height, previous).digest

    @property
    def head(self) -> Block:
        """The newest block."""
        return next(reversed(self._blocks.values()))

    @property
    def final(self) -> Block:
        """The newest block that cannot be undone."""
        return self._blocks[self.head.height - self._lag]

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

    def produce(self) -> Block:
        """Make one block: run what is due, include what is pooled and still valid."""
        self.store.next_block()
        block = self._add_block(self.head.height + 1, self.head.digest)
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

    async def run(self, block_seconds: float) -> None:
        """Make a block every `block_seconds` until cancelled."""
        while True:
            await asyncio.sleep(block_seconds)
            self.produce()

    async def wait_for(self, tx_hash: str, level: str, seconds_max: float) -> Record | None:
        """Return the record once it has reached `level`; None when the time is over."""
        try:
            async with asyncio.timeout(seconds_max):
                while True:
                    record = self.records.get(tx_hash)
                    if record is not None and record.reached(level, self.final.height):
                        return record
                    await self._tick.wait()
        except TimeoutError:
            return None

    def _add_block(self, height: int, previous: bytes) -> Block:
        digest = hashlib.sha256(previous + height.to_bytes(8, "little")).digest()
        block = Block(height, digest, previous, time.time_ns())
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
        """Keep memory bounded: blocks older than any valid transaction, the oldest records."""
        oldest = self.head.height - state.VALIDITY_BLOCKS - 1000
        while (first := next(iter(self._blocks))) < oldest:
            self._heights.pop(self._blocks.pop(first).digest)
        while len(self.records) > RECORDS_MAX:
            tx_hash = next(iter(self.records))
            self.records.pop(tx_hash)
            self.poisoned.discard(tx_hash)


def _id(digest: bytes, number: int) -> str:
    return encode(hashlib.sha256(digest + number.to_bytes(4, "little")).digest())
