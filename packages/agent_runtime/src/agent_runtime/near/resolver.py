"""What became of a stored transaction: asked, never guessed, and nothing new is ever signed here.

Rules
- The same bytes may be sent again; that has no second effect (rails §2.3).
- Refused on its *first* way out: nothing can move, that is the end. Refused later: the earlier
  copy may still be somewhere, so only the chain or a proof of death ends it.
"""

import asyncio
import base64
import itertools
from dataclasses import dataclass, replace

from agent_runtime.errors import RailError, RailUnknown
from agent_runtime.log import logger
from agent_runtime.near import death, outcome
from agent_runtime.near.absence import Found
from agent_runtime.near.death import Witnesses
from agent_runtime.near.evidence import Evidence, take
from agent_runtime.near.ledger import ON_CHAIN, OPEN, Attempt, State, TransactionLedger
from agent_runtime.near.rpc import Rpc, RpcError

PAUSE_SECONDS = 0.25


@dataclass(frozen=True)
class Sight:
    """A transaction as it was last seen.

    Attributes:
        attempt: as it is stored now.
        included: a provider says that it stands in a block.
        absent: no provider knew it, and it may still execute.
    """

    attempt: Attempt
    included: bool = False
    absent: bool = False

    @property
    def open(self) -> bool:
        """Whether its end is not known."""
        return self.attempt.state in OPEN


class Resolver:
    """Asks the providers about transactions of one account and one key."""

    def __init__(self, rpc: Rpc, ledger: TransactionLedger, account: str, public_key: str) -> None:
        self._rpc = rpc
        self._ledger = ledger
        self._account = account
        self._public_key = public_key
        self._witnesses = Witnesses(rpc, account, public_key)
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
        result = await self._rpc.call(node or self._rpc.nodes[0], "send_tx", params, seconds)
        return outcome.judge(result, attempt.tx_hash)

    async def follow(self, attempt: Attempt, seconds: float) -> Sight:
        """Wait for the end of a transaction that stands in a block."""
        node = self._rpc.nodes[0]
        try:
            found = await self._witnesses.status(attempt, node, "FINAL", seconds)
        except RailError as error:
            found = outcome.Open(error.said)
        return self.record(attempt, found, node)

    async def resolve(
        self, attempt: Attempt, seconds: float, *, until_included: bool = False
    ) -> Sight:
        """Ask every provider for the hash until it is final or the time is over.

        Args:
            attempt: in whatever state.
            seconds: at most.
            until_included: stop also as soon as it stands in a block.
        """
        sight = Sight(attempt)
        if not sight.open:
            return sight
        if attempt.state is State.SIGNED:  # SENT is stored before a byte leaves: none has
            return Sight(self._end(attempt, State.DEAD, "stopped before it was sent"))
        try:
            async with asyncio.timeout(seconds):
                while True:
                    sight = await self._look(sight.attempt)
                    if not sight.open or (until_included and sight.included):
                        return sight
                    await asyncio.sleep(PAUSE_SECONDS)
        except TimeoutError:
            detail = sight.attempt.detail or "no answer in time"
            return replace(self.record(sight.attempt, outcome.Open(detail)), absent=sight.absent)

    async def refused(self, attempt: Attempt, said: str) -> Sight:
        """End a transaction refused on its first way out, unless some provider knows it after all.

        A balancer may have handed our one request to two nodes, and the second one refused it
        because the first had taken it.
        """
        for node in self._rpc.nodes:
            try:
                found = await self._witnesses.status(attempt, node)
            except RpcError as error:
                if error.name == "UNKNOWN_TRANSACTION":
                    continue
                found = outcome.Open(error.said)
            except RailUnknown as error:
                found = outcome.Open(error.said)
            return self.record(attempt, found, node)
        return Sight(self._end(attempt, State.REFUSED, f"the node refused it: {said}"))

    def record(self, attempt: Attempt, found: outcome.Outcome, node: str = "") -> Sight:
        """Store what was found out, and what proves it; `node` is who told.

        An outcome that names another signer, key or nonce than ours proves nothing of ours.
        """
        match found:
            case outcome.Landed() | outcome.Reverted() if not self._witnesses.is_ours(
                attempt, found.report
            ):
                return self._still_open(attempt, "the outcome names another signer, key or nonce")
            case outcome.Landed(value, report):
                text = value.decode("utf-8", "replace")
                return self._final(attempt, State.LANDED, text, take(report, node))
            case outcome.Reverted(reason, report):
                return self._final(attempt, State.REVERTED, reason, take(report, node))
            case outcome.Open(reason, included):
                return self._still_open(attempt, reason, included=included)

    def _still_open(self, attempt: Attempt, reason: str, *, included: bool = False) -> Sight:
        if (attempt.state, attempt.detail) != (State.UNKNOWN, reason):
            attempt = self._ledger.mark(attempt.tx_hash, State.UNKNOWN, reason)
        return Sight(attempt, included)

    def _final(self, attempt: Attempt, state: State, detail: str, seen: Evidence) -> Sight:
        _tell(attempt, state)
        ended = self._ledger.finish(attempt.tx_hash, state, detail, seen)
        self._close_fence(ended)
        return Sight(ended)

    async def _look(self, attempt: Attempt) -> Sight:
        absent = 0
        included = False
        for node in self._rpc.nodes:
            try:
                found = await self._witnesses.status(attempt, node)
            except RailError as error:
                absent += isinstance(error, RpcError) and error.name == "UNKNOWN_TRANSACTION"
                found = outcome.Open(error.said)
            sight = self.record(attempt, found, node)
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
                    return Sight(self._end(attempt, State.DEAD, proof))
                case Found(found, node):
                    return self.record(attempt, found, node)
                case death.Undecided(reason):
                    return self.record(attempt, outcome.Open(reason))
                case death.Alive():
                    return await self._send_again(attempt)
        except RailError as error:
            return self.record(attempt, outcome.Open(error.said))

    async def _send_again(self, attempt: Attempt) -> Sight:
        """The same bytes once more, to the next provider: they land, or nobody has them still."""
        node = next(self._next_node)
        try:
            found = await self.broadcast(attempt, "FINAL", death.LOOK_SECONDS, node)
        except RailError as error:
            found = outcome.Open(error.said)
        sight = self.record(attempt, found, node)
        return replace(sight, absent=sight.open and not sight.included)

    def _end(self, attempt: Attempt, state: State, detail: str) -> Attempt:
        _tell(attempt, state)
        ended = self._ledger.mark(attempt.tx_hash, state, detail)
        self._close_fence(ended)
        return ended

    def _close_fence(self, ended: Attempt) -> None:
        """A fence whose transaction has ended can do nothing any more, or has done it."""
        fence = self._ledger.fence_of(ended.tx_hash)
        if fence is not None and fence.state in OPEN:
            self._ledger.mark(fence.tx_hash, State.DEAD, "what it fenced has ended")


def _tell(attempt: Attempt, state: State) -> None:
    logger().info("transaction_ended", tx=attempt.tx_hash, owner=attempt.owner, state=state)
