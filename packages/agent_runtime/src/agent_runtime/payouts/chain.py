"""What NEAR shows of a transaction that somebody else signed (rails §2.1).

All providers are asked, the archival ones too, for a word of theirs may be days late. One that does
not know it changes nothing; two that tell of different ends leave it unseen. Times are the chain's
own: a block's is later than its parent's, whatever our clock says.
"""

import asyncio
from dataclasses import replace
from typing import Any

from agent_runtime.errors import RailError, RailUnknown
from agent_runtime.near import outcome
from agent_runtime.near.evidence import at_height, take
from agent_runtime.near.rpc import Rpc
from agent_runtime.payouts.judge import Final, Sight, Unseen

LOOK_SECONDS = 3.0


class Chain:
    """The providers, asked about transactions of others."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    async def now_ns(self) -> int:
        """Time of the newest final block that any provider tells, in nanoseconds.

        Raises:
            RailError: none told one.
        """
        told = await asyncio.gather(
            *(self._block({"finality": "final"}, node) for node in self._rpc.nodes),
            return_exceptions=True,
        )
        times = [one[0] for one in told if isinstance(one, tuple)]
        if not times:
            raise next((one for one in told if isinstance(one, RailError)), _no_time())
        return max(times)

    async def look(self, tx_hash: str, signer: str) -> Sight:
        """What the providers show of a transaction; raises nothing.

        Args:
            tx_hash: base58.
            signer: the account that signed it; without the right one it is not found.
        """
        nodes = tuple(dict.fromkeys((*self._rpc.nodes, *self._rpc.archival)))
        sights = await asyncio.gather(*(self._look_at(tx_hash, signer, node) for node in nodes))
        finals = [one for one in sights if isinstance(one, Final)]
        if not finals:
            reasons = [one.reason for one in sights if isinstance(one, Unseen)]
            return Unseen(reasons[0] if reasons else "no provider is configured (NEAR_NODE_URL)")
        if len({_told(one) for one in finals}) > 1:
            return Unseen("providers tell of different ends")
        providers = tuple(name for one in finals for name in one.evidence.providers)
        first = finals[0]
        return replace(first, evidence=replace(first.evidence, providers=providers))

    async def _look_at(self, tx_hash: str, signer: str, node: str) -> Sight:
        params = {"tx_hash": tx_hash, "sender_account_id": signer, "wait_until": "NONE"}
        try:
            found = await self._rpc.call(node, "tx", params, LOOK_SECONDS)
            judged = outcome.judge(found, tx_hash)
            if isinstance(judged, outcome.Open):
                return Unseen(judged.reason)
            report = judged.report
            at_ns, height = await self._block({"block_id": report.block_hash}, node)
        except RailError as error:
            return Unseen(error.said)
        evidence = at_height(take(report, node), height)
        return Final(evidence, isinstance(judged, outcome.Landed), at_ns)

    async def _block(self, which: dict[str, Any], node: str) -> tuple[int, int]:
        """Time in nanoseconds and height of a block, as one provider tells them.

        Raises:
            RailError: it does not know the block.
            RailUnknown: it did not tell a time.
        """
        found = await self._rpc.read("block", which, node)
        try:
            header = found["header"]
            return int(header["timestamp_nanosec"]), int(header["height"])
        except (KeyError, TypeError, ValueError) as error:
            raise RailUnknown("near", "a block without a time") from error


def _told(sight: Final) -> tuple[object, ...]:
    """What must be the same whoever tells it."""
    report = sight.evidence.report
    return report.signer, report.block_hash, sight.landed, sight.at_ns, sight.evidence.moved


def _no_time() -> RailUnknown:
    return RailUnknown("near", "no provider told the time of a final block")
