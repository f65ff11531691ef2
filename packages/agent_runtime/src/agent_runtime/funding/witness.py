"""What our own NEAR providers say of a transaction that somebody else names (rails §2.1).

A provider finds a transaction by its signer, which is not told: the payer that HOT names is tried,
and the account that it should have reached. Most providers know every shard and find it by either.
"""

import asyncio
from collections.abc import Iterable

from agent_runtime.errors import RailError, RailUnknown
from agent_runtime.funding.judge import Final, NotYet, Nowhere, Sight
from agent_runtime.near import outcome
from agent_runtime.near.evidence import at_height, take
from agent_runtime.near.rpc import Rpc, RpcError
from agent_runtime.parsing import is_near_account

CALL_SECONDS = 4.0
LOOK_SECONDS = 12.0


class Witness:
    """Asks the providers; signs and sends nothing."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    async def look(self, tx_hash: str, signers: Iterable[str]) -> Sight:
        """What became of a transaction; the first provider that knows it counts.

        Args:
            tx_hash: base58 of 32 bytes.
            signers: who may have signed it.
        """
        asked = tuple(dict.fromkeys(one for one in signers if is_near_account(one)))
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                return await self._ask_all(tx_hash, asked)
        except TimeoutError:
            return NotYet("no answer in time")

    async def _ask_all(self, tx_hash: str, signers: tuple[str, ...]) -> Sight:
        fault = "" if signers else "nobody is named who may have signed it"
        for node in (*self._rpc.nodes, *self._rpc.archival):
            for signer in signers:
                try:
                    return await self._ask(node, tx_hash, signer)
                except RpcError as error:
                    if error.name != "UNKNOWN_TRANSACTION":
                        fault = error.said
                except RailError as error:
                    fault = error.said
        return NotYet(fault) if fault else Nowhere()

    async def _ask(self, node: str, tx_hash: str, signer: str) -> Sight:
        params = {"tx_hash": tx_hash, "sender_account_id": signer, "wait_until": "NONE"}
        told = await self._rpc.call(node, "tx", params, CALL_SECONDS)
        match outcome.judge(told, tx_hash):
            case outcome.Open(reason):
                return NotYet(reason)
            case outcome.Landed(_, report):
                return await self._final(report, node, ok=True)
            case outcome.Reverted(_, report):
                return await self._final(report, node, ok=False)

    async def _final(self, report: outcome.Report, node: str, *, ok: bool) -> Sight:
        found = await self._rpc.call(node, "block", {"block_id": report.block_hash}, CALL_SECONDS)
        try:
            header = found["header"]
            height, made = int(header["height"]), int(header["timestamp_nanosec"]) / 10**9
        except (KeyError, TypeError, ValueError) as error:
            raise RailUnknown("near", "a block without height and time") from error
        return Final(at_height(take(report, node), height), ok, made)
