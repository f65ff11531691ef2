"""Whether the chain would carry out a batch of transfers, asked before it is signed."""

import asyncio
from collections.abc import Sequence

from agent_runtime import amounts
from agent_runtime.errors import Refusal
from agent_runtime.near.rpc import Rpc
from agent_runtime.near.token import TokenContract
from agent_runtime.parsing import Token

NEAR_DECIMALS = 24
FEE_RESERVE = 10**23
"""0.1 NEAR is kept for gas: a transaction may hold 300 Tgas, about a third of that."""


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
        strangers, holds = await asyncio.gather(
            contract.unregistered([*accounts, self._account], anew=anew),
            self._holds(token, contract),
        )
        if strangers:
            raise Refusal(
                f"not registered with {token.contract}: {', '.join(strangers)};"
                " each needs a storage_deposit there first; nothing was sent"
            )
        held, near = holds
        total = sum(units for _, units in transfers)
        _check_held(held, total, token.symbol, token.decimals)
        if token.symbol != "NEAR":
            _check_held(near, FEE_RESERVE, "NEAR for gas", NEAR_DECIMALS)

    async def _holds(self, token: Token, contract: TokenContract) -> tuple[int, int]:
        """Units of the token that can be paid, and yoctoNEAR that can be spent."""
        if token.symbol == "NEAR":
            near = await self._rpc.spendable(self._account)
            return max(0, near - FEE_RESERVE), near
        return await asyncio.gather(
            contract.balance(self._account), self._rpc.spendable(self._account)
        )


def _check_held(held: int, needed: int, what: str, decimals: int) -> None:
    if held < needed:
        have, need = (amounts.to_text(n, decimals) for n in (held, needed))
        raise Refusal(f"the account holds {have} {what}, needs {need}; nothing was sent")
