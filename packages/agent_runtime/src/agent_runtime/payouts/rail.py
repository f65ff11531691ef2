"""The seam between a payment and what its money leaves by, and the rail `pingpay`.

A payment is planned with one rail, which is stored, and never has another: what one rail may have
done, no other one does again (rails §0.5).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from agent_runtime import amounts
from agent_runtime.errors import Refusal
from agent_runtime.handover.bonds import Bonds
from agent_runtime.near.rpc import Rpc
from agent_runtime.near.token import TokenContract
from agent_runtime.payments import Leg, Payment, PaymentLedger, PaymentState, Plan
from agent_runtime.payouts.pingpay import PingPayouts
from agent_runtime.settings import Settings
from agent_runtime.settlement import Settled


class PayoutRail(Protocol):
    """How the money of stored payments leaves, and how it is found out what became of it.

    The caller sees to it that one payment is made by one task at a time.
    """

    def legs_of(self, plan: Plan) -> Sequence[Leg]:
        """What is stored with a plan before anything of it leaves."""

    async def check(self, plan: Plan) -> None:
        """See that a plan can be carried out; raises Refusal or RailError, with nothing sent."""

    async def check_again(self, payment: Payment) -> None:
        """The same for a stored payment that ended with nothing moved."""

    async def make(self, payment: Payment) -> Payment:
        """Carry a stored payment out, as far as that goes for now."""

    async def look(self, payment: Payment) -> Payment:
        """Look once for the end of an open payment."""

    def adopt(self, payment: Payment) -> Payment:
        """Bring an open payment to what is stored of it; asks nobody."""


class PingRail:
    """The rail `pingpay`: one order a payment, of one leg."""

    def __init__(
        self,
        settings: Settings,
        payouts: PingPayouts,
        payments: PaymentLedger,
        bonds: Bonds,
        rpc: Rpc,
    ) -> None:
        self._settings = settings
        self._payouts = payouts
        self._payments = payments
        self._bonds = bonds
        self._rpc = rpc
        self._contracts: dict[str, TokenContract] = {}

    def legs_of(self, plan: Plan) -> tuple[Leg, ...]:
        """One leg with everybody in it; nothing is wrapped here, for nothing is signed here."""
        contract = self._settings.ft_contracts[plan.token].contract
        transfers = tuple((share.account, share.units) for share in plan.paid)
        return (Leg(1, contract, wrap=False, transfers=transfers),)

    async def check(self, plan: Plan) -> None:
        """See that Ping can be asked, that its account holds enough, and that all can receive."""
        await self._check(plan, anew=False)

    async def check_again(self, payment: Payment) -> None:
        """The same; recipients are asked about anew."""
        await self._check(payment.plan, anew=True)

    async def _check(self, plan: Plan, *, anew: bool) -> None:
        self._payouts.check(plan)
        token, payer = self._settings.ft_contracts[plan.token], self._settings.ping_account
        contract = self._contracts.setdefault(token.contract, TokenContract(self._rpc, token))
        accounts = [share.account for share in plan.paid]
        strangers, held = await asyncio.gather(
            contract.unregistered(accounts, anew=anew), contract.balance(payer)
        )
        if strangers:
            raise Refusal(
                f"not registered with {token.contract}: {', '.join(strangers)};"
                " each needs a storage_deposit there first; nothing was sent"
            )
        if held < plan.total:
            have, need = (amounts.to_text(n, token.decimals) for n in (held, plan.total))
            raise Refusal(
                f"{payer} holds {have} of {token.contract}, needs {need}; nothing was sent"
            )

    async def make(self, payment: Payment) -> Payment:
        """Order it, and follow the order for a few seconds."""
        return self._end(payment, await self._payouts.carry(payment))

    async def look(self, payment: Payment) -> Payment:
        """Look its order up, or repeat what was never answered, if that is due."""
        return self._end(payment, await self._payouts.settle(payment))

    def adopt(self, payment: Payment) -> Payment:
        """Bring it to what its order is stored as."""
        return self._end(payment, self._payouts.standing(payment.id))

    def _end(self, payment: Payment, found: Settled) -> Payment:
        moved_nothing = found.state is PaymentState.FAILED
        if moved_nothing and (holder := self._bonds.holder(payment.id)):
            found = replace(found, state=PaymentState.UNKNOWN, detail=holder)
        return self._payments.end(payment, found.state, found.tx_hash, found.detail)
