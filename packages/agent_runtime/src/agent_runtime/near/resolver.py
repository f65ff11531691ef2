"""What became of a stored transaction: asked, never guessed, and nothing new is ever signed here.

Rules
- The same bytes may be sent again; that has no second effect (rails §2.3).
- A refusal ends nothing (`refusals` says why), not even the first one: only the chain or a proof of
  death does. What one provider refuses is sent to the next.
"""

import asyncio
import base64
import itertools
from dataclasses import replace

from agent_runtime.errors import RailError
from agent_runtime.near import death, outcome
from agent_runtime.near.absence import Found
from agent_runtime.near.endings import Endings, Sight
from agent_runtime.near.ledger import ON_CHAIN, OPEN, Attempt, State, TransactionLedger
from agent_runtime.near.refusals import Refusals
from agent_runtime.near.rpc import Rpc, RpcError
from agent_runtime.near.witnesses import Witnesses

PAUSE_SECONDS = 0.25


class Resolver:
    """Asks the providers about transactions of one account and one key.

    Attributes:
        endings: where it writes down what they say.
    """

    def __init__(self, rpc: Rpc, ledger: TransactionLedger, account: str, public_key: str) -> None:
        self._rpc = rpc
        self._ledger = ledger
        self._witnesses = Witnesses(rpc, account, public_key)
        self._refusals = Refusals()
        self.endings = Endings(ledger, self._refusals, self._witnesses.is_ours)
        self._next_node = itertools.cycle(rpc.nodes)

    async def broadcast(
        self, attempt: Attempt, level: str, seconds: float, node: str = ""
    ) -> outcome.Outcome:
        """Send the stored bytes to one provider, the first one unless named, and wait for `level`.

        Raises:
            RpcError: the node refused them.
            RailUnknown: no usable answer.
        """
        encoded = base64.b64encode(attempt.raw).decode()
        params = {"signed_tx_base64": encoded, "wait_until": level}
        asked = node or self._rpc.nodes[0]
        try:
            result = await self._rpc.call(asked, "send_tx", params, seconds)
        except RailError as error:
            self._refusals.note(attempt.tx_hash, asked, error)
            raise
        self._refusals.note(attempt.tx_hash, asked, None)
        return outcome.judge(result, attempt.tx_hash)

    async def follow(self, attempt: Attempt, seconds: float) -> Sight:
        """Wait for the end of a transaction that stands in a block."""
        node = self._rpc.nodes[0]
        try:
            found = await self._witnesses.status(attempt, node, "FINAL", seconds)
        except RailError as error:
            found = outcome.Open(error.said)
        return self.endings.record(attempt, found, node)

    async def resolve(
        self, attempt: Attempt, seconds: float, *, until_included: bool = False
    ) -> Sight:
        """Ask every provider for the hash until it is final, refused by all, or the time is over.

        Args:
            attempt: in whatever state.
            seconds: at most.
            until_included: stop also as soon as it stands in a block.
        """
        sight = Sight(attempt)
        if not sight.open:
            return sight
        if attempt.state is State.SIGNED:  # SENT is stored before a byte leaves: none has
            return Sight(self.endings.end(attempt, State.DEAD, "stopped before it was sent"))
        try:
            async with asyncio.timeout(seconds):
                while True:
                    sight = await self._look(sight.attempt)
                    if not sight.open or sight.refused or (until_included and sight.included):
                        return sight
                    await asyncio.sleep(PAUSE_SECONDS)
        except TimeoutError:
            attempt = self._ledger.get(attempt.tx_hash)  # the look that was cut off wrote, too
            if attempt.state not in OPEN:
                return Sight(attempt)
            refused = self._refusals.words(attempt.tx_hash)
            detail = refused or sight.attempt.detail or "no answer in time"
            return replace(self.endings.still_open(attempt, detail), absent=sight.absent)

    async def _look(self, attempt: Attempt) -> Sight:
        absent = 0
        included = False
        for node in self._rpc.nodes:
            try:
                found = await self._witnesses.status(attempt, node)
            except RailError as error:
                absent += isinstance(error, RpcError) and error.name == "UNKNOWN_TRANSACTION"
                found = outcome.Open(error.said)
            sight = self.endings.record(attempt, found, node)
            if not sight.open:
                return sight
            attempt, included = sight.attempt, included or sight.included
        if absent == len(self._rpc.nodes):
            return await self._absent_everywhere(attempt)
        return Sight(attempt, included)

    async def _absent_everywhere(self, attempt: Attempt) -> Sight:
        """No provider knows the hash: end it on proof, else send the same bytes again."""
        fence = self._ledger.fence_of(attempt.tx_hash)
        used = fence if fence is not None and fence.state in ON_CHAIN else None
        try:
            match await self._witnesses.examine(attempt, used):
                case death.Dead(proof):
                    return Sight(self.endings.dead(attempt, proof))
                case Found(found, node):
                    return self.endings.record(attempt, found, node)
                case death.Undecided(reason):
                    return self.endings.record(attempt, outcome.Open(reason))
                case death.Alive():
                    return await self._send_again(attempt)
        except RailError as error:
            return self.endings.record(attempt, outcome.Open(error.said))

    async def _send_again(self, attempt: Attempt) -> Sight:
        """The same bytes once more, to the next provider: they land, or nobody has them still."""
        node = self._whom_next(attempt)
        try:
            found = await self.broadcast(attempt, "FINAL", death.LOOK_SECONDS, node)
        except RailError as error:
            found = outcome.Open(error.said)
        sight = self.endings.record(attempt, found, node)
        absent = sight.open and not sight.included
        if not absent or not self._refusals.by_all(attempt.tx_hash, self._rpc.nodes):
            return replace(sight, absent=absent)
        sight = self.endings.still_open(sight.attempt, self._refusals.words(attempt.tx_hash))
        unfenced = self._ledger.fence_of(attempt.tx_hash) is None
        return replace(sight, absent=True, refused=unfenced)

    def _whom_next(self, attempt: Attempt) -> str:
        """The next provider, and rather one that has not refused the bytes."""
        node = next(self._next_node)
        for _ in self._rpc.nodes[1:]:
            if not self._refusals.by(attempt.tx_hash, node):
                break
            node = next(self._next_node)
        return node
