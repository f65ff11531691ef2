"""Asking the providers about a transaction's death; `death` judges what they say (rails §2.4)."""

from agent_runtime.errors import RailError
from agent_runtime.near import death, outcome
from agent_runtime.near.absence import Absence, Found, Unproven
from agent_runtime.near.death import WITNESSES_MIN, Alive, Dead, Finding, Undecided, Word
from agent_runtime.near.ledger import Attempt
from agent_runtime.near.rpc import Rpc, RpcError


class Witnesses:
    """The providers, asked about the death of transactions of one account and key."""

    def __init__(self, rpc: Rpc, account: str, public_key: str) -> None:
        self._rpc = rpc
        self._account = account
        self._public_key = public_key
        self._absence = Absence(rpc, self.status)

    async def status(
        self, attempt: Attempt, node: str, level: str = "NONE", seconds: float = 0.0
    ) -> outcome.Outcome:
        """What one provider says of a transaction.

        Raises:
            RpcError: it gave a NEAR error, `UNKNOWN_TRANSACTION` for instance.
            RailUnknown: it did not answer usably.
        """
        params = {
            "tx_hash": attempt.tx_hash,
            "sender_account_id": self._account,
            "wait_until": level,
        }
        found = await self._rpc.call(node, "tx", params, seconds or death.LOOK_SECONDS)
        return outcome.judge(found, attempt.tx_hash)

    async def examine(self, attempt: Attempt, fence: Attempt | None = None) -> Finding:
        """Whether a transaction that no provider knows is dead.

        Args:
            attempt: open.
            fence: its fence, if that ended on the chain.

        Raises:
            RailError: a witness did not say what it was asked.
        """
        if fence is not None and await self._is_final(fence):
            return Dead(f"fenced: transaction {fence.tx_hash} took its nonce")
        words = [await self._ask(attempt, node) for node in self._everyone]
        heights = [word.named for word in words if word.named is not None]
        pasts = [death.past(attempt, word, max(heights, default=None)) for word in words]
        known = [past for past in pasts if past is not None]
        if len(known) < len(words):
            return Alive()
        proof = known[0].proof
        if len(words) < WITNESSES_MIN:
            return Undecided(
                f"{proof}; one provider's word ends nothing, add another to NEAR_NODE_URL"
            )
        if all(past.unused for past in known):
            return Dead(proof)
        if doubt := death.doubt(attempt, words, self._rpc.archival):
            return Undecided(doubt)
        match await self._absence.look(attempt, {word.node: word.key.block for word in words}):
            case Unproven(reason):
                return Undecided(f"{proof}; {reason}")
            case Found() as found:
                return found
            case None:
                return Dead(proof)

    @property
    def _everyone(self) -> tuple[str, ...]:
        """Each provider once, also one that is listed twice."""
        return tuple(dict.fromkeys((*self._rpc.nodes, *self._rpc.archival)))

    async def _ask(self, attempt: Attempt, node: str) -> Word:
        key = await self._rpc.key_at(self._account, self._public_key, node)
        try:
            named = await self._rpc.height_of(attempt.block_hash, node)
        except RpcError as error:
            if error.name != "UNKNOWN_BLOCK":
                raise
            named = None
        return Word(node, key, named)

    async def _is_final(self, fence: Attempt) -> bool:
        """Whether two providers, at the least, know a transaction of ours as final."""
        seen = 0
        for node in self._everyone:
            try:
                found = await self.status(fence, node)
            except RailError:
                continue  # no witness; the others are asked
            if isinstance(found, outcome.Landed | outcome.Reverted):
                seen += self.is_ours(fence, found.report)
        return seen >= WITNESSES_MIN

    def is_ours(self, attempt: Attempt, report: outcome.Report) -> bool:
        """Whether an outcome names the signer, the key and the nonce of a stored transaction."""
        told = (report.signer, report.public_key, report.nonce)
        return told == (self._account, self._public_key, attempt.nonce)
