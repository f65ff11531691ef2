"""One RPC provider's view of the chain: current, behind, forgetful, or wrong about heights.

Providers of one chain disagree for honest reasons (one lags, one is no archive) and for dishonest
ones. All of them read the one chain, so that whatever they say can be held against the truth. What
is sent through a provider reaches the chain at once, whatever that provider sees of it.
"""

from dataclasses import dataclass

from sandbox.near.chain import Chain
from sandbox.near.record import Block, Moment, Record
from sandbox.near.view import View


@dataclass(frozen=True, slots=True)
class Provider:
    """The chain as one provider tells it."""

    chain: Chain
    view: View

    @property
    def head(self) -> Block:
        """Its newest block."""
        return self.chain.block_back(self.view.lag)

    @property
    def final(self) -> Block:
        """Its newest final block."""
        return self.chain.block_back(self.final_back)

    @property
    def final_back(self) -> int:
        """How many blocks its final one is behind the chain's newest."""
        return self.chain.final_back + self.view.lag

    @property
    def now(self) -> Moment:
        """How far the chain has come for it."""
        return Moment(self.head.height, self.final.height)

    def told(self, height: int) -> int:
        """Return the height that it tells for this one."""
        return height + self.view.height_offset

    def block_at(self, told: int) -> Block | None:
        """Return a block by the height that it tells."""
        return self._seen(self.chain.block_at(told - self.view.height_offset))

    def block_by_hash(self, digest: bytes) -> Block | None:
        """Return a block by hash."""
        return self._seen(self.chain.block_by_hash(digest))

    def record(self, tx_hash: str) -> Record | None:
        """Return a transaction on the chain, if it knows of it."""
        record = self.chain.records.get(tx_hash)
        return record if record and self._seen(record.conversion.block) else None

    def holds(self, tx_hash: str) -> bool:
        """Whether it would recognise these bytes if they were sent again."""
        record = self.chain.records.get(tx_hash)
        forgotten = record is not None and self._forgot(record.conversion.block)
        return self.chain.knows(tx_hash) and not forgotten

    async def wait_for(self, tx_hash: str, level: str, seconds_max: float) -> Record | None:
        """Return the record once it sees it at `level`; None when the time is over."""

        def reached() -> Record | None:
            record = self.record(tx_hash)
            return record if record is not None and record.reached(level, self.now) else None

        return await self.chain.until(reached, seconds_max)

    def _seen(self, block: Block | None) -> Block | None:
        if block is None or block.height > self.head.height:
            return None
        return None if self._forgot(block) else block

    def _forgot(self, block: Block) -> bool:
        keeps = self.view.forgets_after
        return keeps is not None and block.height < self.head.height - keeps
