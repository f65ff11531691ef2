"""Whether the chain would carry out a batch of transfers, asked before it is signed."""

import asyncio
from collections.abc import Sequence

from agent_runtime import amounts
from agent_runtime.errors import Refusal
from agent_runtime.near.rpc import Rpc
from agent_runtime.near.token import TokenContract
from agent_runtime.parsing import Token

FEE_RESERVE = 10**23  # 0.1 NEAR stays for gas when NEAR itself is paid


class Funds:
    """What the paying account holds, and who can receive."""

    def __init__(self, rpc: Rpc, account: str) -> None:
        self._rpc = rpc
        self._account = account
        self._contracts: dict[str, TokenContract] = {}

    async def check(
        self, transfers: Sequence[tuple[str, int]], token: Token, *, anew: bool = False
    ) -> None:
        """See that every transfer can succeed.

        Args:
            transfers: account and units.
            token: what is transferred.
            anew: ask also of those who were able to receive a moment ago.

        Raises:
            Refusal: one cannot; nothing was sent.
            RailError: the chain could not be read.
        """
        contract = self._contracts.setdefault(token.contract, TokenContract(self._rpc, token))
        accounts = [account for account, _ in transfers]
        if self._account in accounts:
            raise Refusal("the paying account is among the recipients; nothing was sent")
        strangers, held = await asyncio.gather(
            contract.unregistered([*accounts, self._account], anew=anew),
            self._held(token, contract),
        )
        if strangers:
            raise Refusal(
                f"not registered with {token.contract}: {', '.join(strangers)};"
                " each needs a storage_deposit there first; nothing was sent"
            )
        total = sum(units for _, units in transfers)
        if held < total:
            have, need = (amounts.to_text(n, token.decimals) for n in (held, total))
            raise Refusal(
                f"the account holds {have} {token.symbol}, needs {need}; nothing was sent"
            )

    async def _held(self, token: Token, contract: TokenContract) -> int:
        if token.symbol != "NEAR":
            return await contract.balance(self._account)
        found = await self._rpc.account(self._account)
        return max(0, int(found["amount"]) - FEE_RESERVE)
