"""Writing down how transactions stand and end, with what proves it (rails §2.4, steps 3 and 10)."""

from collections.abc import Callable
from dataclasses import dataclass

from agent_runtime.log import logger
from agent_runtime.near import outcome
from agent_runtime.near.evidence import Evidence, take
from agent_runtime.near.ledger import OPEN, Attempt, State, TransactionLedger
from agent_runtime.near.refusals import Refusals

IsOurs = Callable[[Attempt, outcome.Report], bool]


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


class Endings:
    """The ends of transactions of one account and key.

    Args:
        ledger: where they are stored.
        refusals: what providers said of them; forgotten with the end.
        is_ours: whether an outcome names our account, our key and the nonce of the transaction.
    """

    def __init__(self, ledger: TransactionLedger, refusals: Refusals, is_ours: IsOurs) -> None:
        self._ledger = ledger
        self._refusals = refusals
        self._is_ours = is_ours

    def record(self, attempt: Attempt, found: outcome.Outcome, node: str = "") -> Sight:
        """Store what was found out, and what proves it; `node` is who told.

        An outcome that names another signer, key or nonce than ours proves nothing of ours.
        """
        match found:
            case outcome.Landed() | outcome.Reverted() if not self._is_ours(attempt, found.report):
                return self.still_open(attempt, "the outcome names another signer, key or nonce")
            case outcome.Landed(value, report):
                text = value.decode("utf-8", "replace")
                return self._final(attempt, State.LANDED, text, take(report, node))
            case outcome.Reverted(reason, report):
                return self._final(attempt, State.REVERTED, reason, take(report, node))
            case outcome.Open(reason, included):
                return self.still_open(attempt, reason, included=included)

    def still_open(self, attempt: Attempt, reason: str, *, included: bool = False) -> Sight:
        """Store why nothing may be concluded yet."""
        if (attempt.state, attempt.detail) != (State.UNKNOWN, reason):
            attempt = self._ledger.mark(attempt.tx_hash, State.UNKNOWN, reason)
        return Sight(attempt, included)

    def _final(self, attempt: Attempt, state: State, detail: str, seen: Evidence) -> Sight:
        _tell(attempt, state)
        ended = self._ledger.finish(attempt.tx_hash, state, detail, seen)
        self._close_fence(ended)
        return Sight(ended)

    def dead(self, attempt: Attempt, proof: str) -> Attempt:
        """End a transaction on proof that it can never execute."""
        if said := self._refusals.agreed(attempt.tx_hash):
            return self.end(attempt, State.REFUSED, f"every provider refused it ({said}); {proof}")
        return self.end(attempt, State.DEAD, proof)

    def end(self, attempt: Attempt, state: State, detail: str) -> Attempt:
        """End a transaction that never executed."""
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
