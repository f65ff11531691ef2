"""NEP-141 tokens (rails §2.5): balances, registration, one payment to many accounts at once."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from agent_runtime import wire
from agent_runtime.errors import RailUnknown
from agent_runtime.near.rpc import Rpc
from agent_runtime.near.transaction import TERAGAS, Action, Call
from agent_runtime.parsing import Token

GAS_TOTAL = 300 * TERAGAS
GAS_EACH = 10 * TERAGAS
RECIPIENTS_MAX = GAS_TOTAL // GAS_EACH
"""A transfer needs that much gas to be sure, and a transaction may hold no more of them (§2.4)."""
ONE_YOCTO = 1
REGISTERED_SECONDS = 600.0
REGISTERED_MAX = 10_000


@dataclass(frozen=True)
class Transfer:
    """Units of the token for one account."""

    account: str
    units: int


class TokenContract:
    """Reads one token contract at final."""

    def __init__(self, rpc: Rpc, token: Token) -> None:
        self._rpc = rpc
        self._contract = token.contract
        self._registered: dict[str, float] = {}

    async def balance(self, account: str) -> int:
        """Units an account holds.

        Raises:
            RailUnknown: the answer is no decimal string.
        """
        found = await self._rpc.view(self._contract, "ft_balance_of", {"account_id": account})
        if not isinstance(found, str) or not (found.isascii() and found.isdecimal()):
            raise RailUnknown("near", f"ft_balance_of {account} gave no amount")
        return int(found)

    async def unregistered(self, accounts: Sequence[str], *, anew: bool = False) -> list[str]:
        """The accounts that cannot receive the token yet; one would fail the whole batch.

        An account found registered is not asked about again for `REGISTERED_SECONDS`, unless
        `anew`: should it leave meanwhile, its batch is undone as a whole and nobody is paid.
        """
        since = float("inf") if anew else time.monotonic() - REGISTERED_SECONDS
        asked = [name for name in accounts if self._registered.get(name, float("-inf")) <= since]
        held = await asyncio.gather(*(self._storage(account) for account in asked))
        return [account for account, has in zip(asked, held, strict=True) if not has]

    async def _storage(self, account: str) -> bool:
        found = await self._rpc.view(self._contract, "storage_balance_of", {"account_id": account})
        if found is not None:
            if len(self._registered) >= REGISTERED_MAX:
                self._registered.clear()
            self._registered[account] = time.monotonic()
        return found is not None


def recipients_max(*, wrap: bool) -> int:
    """How many people one transaction can pay; wrapping is an action of its own."""
    return RECIPIENTS_MAX - wrap


def batch(transfers: Sequence[Transfer], memo: str, *, wrap: bool) -> tuple[Action, ...]:
    """One action for each recipient: all of them apply, or none.

    Args:
        transfers: 1 to `recipients_max`.
        memo: the payment id, found again in the token's events.
        wrap: first turn NEAR of the signer into the wrapped token.
    """
    actions: list[Action] = []
    if wrap:
        total = sum(transfer.units for transfer in transfers)
        actions.append(Call("near_deposit", b"{}", GAS_EACH, total))
    for transfer in transfers:
        args = {"receiver_id": transfer.account, "amount": str(transfer.units), "memo": memo}
        actions.append(Call("ft_transfer", wire.encode(args), GAS_EACH, ONE_YOCTO))
    return tuple(actions)
