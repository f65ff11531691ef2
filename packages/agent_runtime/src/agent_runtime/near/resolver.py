"""What became of a stored transaction: asked, never guessed, and nothing new is ever signed here.

Rules
- The same bytes may be sent again; that has no second effect (rails §2.3).
- A refusal ends nothing (`refusals` says why), not even the first one: only the chain or a proof of
  death does. What one provider refuses is sent to the next.
"""

import asyncio
import base64
import itertools
from dataclasses import dataclass, replace

from agent_runtime.errors import RailError
from agent_runtime.log import logger
from agent_runtime.near import death, outcome
from agent_runtime.near.absence import Found
from agent_runtime.near.death import Witnesses
from agent_runtime.near.evidence import Evidence, take
from agent_runtime.near.ledger import ON_CHAIN, OPEN, Attempt, State, TransactionLedger
from agent_runtime.near.refusals import Refusals
from agent_runtime.near.rpc import Rpc, RpcError

PAUSE_SECONDS = 0.25


@dataclass(frozen=True)
class Sight:
    """A transaction as it was last seen.

    Attributes:
        attempt: as it is stored now.
        included: a provider says that it stands in a block.
        absent: no provider knew it, and it may still execute.
        refused: every provider refuses it, and there is no fence for it yet.
    """

    attempt: Attempt
    included: bool = False
    absent: bool = False
    refused: bool = False

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
        self._refusals = Refusals()
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
        return self.record(attempt, found, node)

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
            return Sight(self._end(attempt, State.DEAD, "stopped before it was sent"))
        try:
            async with asyncio.timeout(seconds):
                while True:
                    sight = await self._look(sight.attempt)
                    if not sight.open or sight.refused or (until_included and sight.included):
                        return sight
                    await asyncio.sleep(PAUSE_SECONDS)
        except TimeoutError:
            detail = self._refused(attempt) or sight.attempt.detail or "no answer in time"
            return replace(self.record(sight.attempt, outcome.Open(detail)), absent=sight.absent)

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
                    return Sight(self._dead(attempt, proof))
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
        node = self._whom_next(attempt)
        try:
            found = await self.broadcast(attempt, "FINAL", death.LOOK_SECONDS, node)
        except RailError as error:
            found = outcome.Open(error.said)
        sight = self.record(attempt, found, node)
        absent, why = sight.open and not sight.included, self._refused(attempt)
        if not absent or not why:
            return replace(sight, absent=absent)
        sight = self._still_open(sight.attempt, why)
        unfenced = self._ledger.fence_of(attempt.tx_hash) is None
        return replace(sight, absent=True, refused=unfenced)

    def _refused(self, attempt: Attempt) -> str:
        """That every provider refuses the bytes now, in words; empty if it is not so."""
        if not self._refusals.by_all(attempt.tx_hash, self._rpc.nodes):
            return ""
        return f"every provider refuses it for now ({self._refusals.agreed(attempt.tx_hash)})"

    def _whom_next(self, attempt: Attempt) -> str:
        """The next provider, and rather one that has not refused the bytes."""
        node = next(self._next_node)
        for _ in self._rpc.nodes[1:]:
            if not self._refusals.by(attempt.tx_hash, node):
                break
            node = next(self._next_node)
        return node

    def _dead(self, attempt: Attempt, proof: str) -> Attempt:
        if said := self._refusals.agreed(attempt.tx_hash):
            return self._end(attempt, State.REFUSED, f"every provider refused it ({said}); {proof}")
        return self._end(attempt, State.DEAD, proof)

    def _end(self, attempt: Attempt, state: State, detail: str) -> Attempt:
        _tell(attempt, state)
        ended = self._ledger.mark(attempt.tx_hash, state, detail)
        self._close_fence(ended)
        return ended

    def _close_fence(self, ended: Attempt) -> None:
        """A fence whose transaction has ended can do nothing any more, or has done it."""
        self._refusals.forget(ended.tx_hash)
        fence = self._ledger.fence_of(ended.tx_hash)
        if fence is not None:
            self._refusals.forget(fence.tx_hash)
        if fence is not None and fence.state in OPEN:
            self._ledger.mark(fence.tx_hash, State.DEAD, "what it fenced has ended")


def _tell(attempt: Attempt, state: State) -> None:
    logger().info("transaction_ended", tx=attempt.tx_hash, owner=attempt.owner, state=state)
