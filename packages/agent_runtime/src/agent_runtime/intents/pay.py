"""`pay`: distribute money over a split by signed transactions (contract §6, §7; rails §2.4).

Everything that can say no is asked before the payment is stored. After that, the only answers are
paid, failed with nothing moved, unknown, or that a person must look; unknown is resolved by the
transactions' hashes and by nothing else. How a payment is made is its rail's business (`paylegs`
for NEAR, `payouts.rail` for Ping); it is planned with one, and never has another.
"""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Mapping
from dataclasses import asdict, replace
from typing import Any

from agent_runtime.claims import Claims
from agent_runtime.errors import RailError, Refusal
from agent_runtime.flight import Flight
from agent_runtime.grammar import Pay
from agent_runtime.handover.bonds import Bonds
from agent_runtime.intents import paytexts
from agent_runtime.intents.payfunds import Funds
from agent_runtime.intents.paylegs import DECIDE_SECONDS, NOTHING_MOVED, Legs
from agent_runtime.intents.payplan import PolicyBlock, check_policy, make_plan
from agent_runtime.intents.screen import Screen
from agent_runtime.limits import Limits
from agent_runtime.near.contract import SplitContract
from agent_runtime.near.ledger import TransactionLedger
from agent_runtime.near.rpc import Rpc
from agent_runtime.near.sender import Sender
from agent_runtime.payment_document import payment_document
from agent_runtime.payments import Payment, PaymentLedger, PaymentState, Plan
from agent_runtime.payouts.orders import OrderBook
from agent_runtime.payouts.rail import PayoutRail
from agent_runtime.requests import Reply
from agent_runtime.settings import Settings
from agent_runtime.settings_payout import NEAR

GO_ON_AT_ONCE = 8


class Payer:
    """Pays, and finds out what became of payments."""

    def __init__(
        self,
        *,
        settings: Settings,
        rpc: Rpc,
        contract: SplitContract,
        sender: Sender,
        payments: PaymentLedger,
        transactions: TransactionLedger,
        screen: Screen,
        limits: Limits,
        claims: Claims,
        bonds: Bonds,
        orders: OrderBook,
        rails: Mapping[str, PayoutRail],
    ) -> None:
        self._settings = settings
        self._contract = contract
        self._sender = sender
        self._payments = payments
        self._transactions = transactions
        self._screen = screen
        self._limits = limits
        self._orders = orders
        self._legs = Legs(
            settings=settings,
            sender=sender,
            payments=payments,
            transactions=transactions,
            claims=claims,
            bonds=bonds,
            funds=Funds(rpc, sender.account),
        )
        self._rails: Mapping[str, PayoutRail] = {**rails, NEAR: self._legs}
        self._in_flight: set[str] = set()
        self._joined: Flight[Reply] = Flight()

    async def pay(self, asked: Pay, payment_id: str, author: str, origin: str = "") -> Reply:
        """Carry out one payment, once; the reply names its id as soon as it is stored.

        While a payment of the same origin is open, this joins it: the answer is that payment's.

        Args:
            asked: what was asked for.
            payment_id: of the payment, if a new one is made.
            author: the caller's own id.
            origin: from `origin_of`, if the caller gave the request no name of its own.
        """
        if not origin:
            return await self._pay(asked, payment_id, author, "")

        async def join_or_pay() -> Reply:
            earlier = self._payments.open_from(origin)
            if earlier is not None:
                return await self.revisit(earlier)
            return await self._pay(asked, payment_id, author, origin)

        return await self._joined.share(origin, join_or_pay)

    async def _pay(self, asked: Pay, payment_id: str, author: str, origin: str) -> Reply:
        found = await self.propose(asked)
        if isinstance(found, Reply):
            return found
        return await self.execute(found, payment_id, author, origin)

    async def propose(self, asked: Pay) -> Plan | Reply:
        """What would be paid now, with nothing stored; or the answer that says why nothing is."""
        return await self._proposed(self._decide(asked))

    async def propose_owed(self, plan: Plan) -> Plan | Reply:
        """The same for a plan whose shares are decided already; the chain may still say no."""
        return await self._proposed(self._checked(plan))

    async def _proposed(self, deciding: Awaitable[Plan]) -> Plan | Reply:
        try:
            async with asyncio.timeout(DECIDE_SECONDS):
                return await deciding
        except PolicyBlock as block:
            return Reply(block.answer, "pay")
        except Refusal as refusal:
            return Reply(paytexts.refused(str(refusal)), "pay")
        except RailError as error:
            return Reply(paytexts.refused(f"{error}; nothing was sent"), "pay")
        except TimeoutError:
            return Reply(paytexts.refused("near: timed out; nothing was sent"), "pay")

    async def execute(self, plan: Plan, payment_id: str, author: str, origin: str = "") -> Reply:
        """Store a proposed payment under this id and make it.

        Args:
            plan: from `propose`.
            payment_id: new.
            author: the caller's own id.
            origin: digest of who asked for what, so that the same words can find it while it is
                open; empty if the caller named the payment itself.

        Raises:
            sqlite3.IntegrityError: this id is stored already.
        """
        rail = self._settings.payout_rail
        legs = self._rails[rail].legs_of(plan)
        try:
            self._limits.check(plan)  # once more: nothing comes between this and the storing
        except PolicyBlock as block:
            return Reply(block.answer, "pay")
        payment = self._payments.plan(payment_id, author, plan, legs, origin, rail)
        return paytexts.reply(await self._make(payment))

    async def _make(self, payment: Payment) -> Payment:
        self._in_flight.add(payment.id)
        try:
            return await self._rails[payment.rail].make(payment)
        finally:
            self._in_flight.discard(payment.id)

    async def revisit(self, payment: Payment) -> Reply:
        """Answer for a stored payment, after one more look if its end is not known."""
        if payment.open and payment.id not in self._in_flight:
            self._in_flight.add(payment.id)  # before the first wait: two revisits are one
            try:
                payment = await self._rails[payment.rail].look(payment)
            finally:
                self._in_flight.discard(payment.id)
        return paytexts.reply(payment)

    async def go_on(self) -> None:
        """Go on with every payment that is half made, whoever began it, side by side.

        A payment that a request is working on right now is left to that request.
        """
        places = asyncio.Semaphore(GO_ON_AT_ONCE)

        async def one(payment: Payment) -> None:
            async with places:
                ours = payment.rail == NEAR and payment.id not in self._in_flight
                if ours and self._legs.settled(payment).half_made:
                    await self._make(payment)

        async with asyncio.TaskGroup() as tasks:
            for payment in self._payments.open():
                tasks.create_task(one(payment))

    async def retry(self, payment_id: str) -> Reply:
        """Make a payment once more, under its own id, that has ended with nothing moved.

        The same legs by the same rail: signed anew under new nonces, each at most `ATTEMPTS_MAX`
        times in all, or ordered with the same bytes and key. A payment in another state is answered
        as it stands.
        """
        payment = self._payments.get(payment_id)
        if payment is None:
            return Reply(paytexts.refused(f"no payment {payment_id} is stored here"), "pay")
        if payment_id in self._in_flight or payment.state not in NOTHING_MOVED:
            return paytexts.reply(payment)
        self._in_flight.add(payment_id)  # before the first wait: two retries are one
        try:
            rail = self._rails[payment.rail]
            self._legs.check_still_ours(payment)
            await rail.check_again(payment)
            self._limits.check(payment.plan)
            self._legs.check_still_ours(payment)
            return paytexts.reply(await rail.make(self._payments.reopen(payment)))
        except PolicyBlock as block:
            return Reply(block.answer, "pay", payment_id)
        except (Refusal, RailError) as error:
            return Reply(paytexts.refused(f"{error}; payment id {payment_id}"), "pay", payment_id)
        finally:
            self._in_flight.discard(payment_id)

    def document(self, payment_id: str) -> dict[str, Any] | None:
        """All that is known of a payment, for `GET /payments/{id}`; None for an unknown id."""
        payment = self._payments.get(payment_id)
        if payment is None:
            return None
        attempts = self._transactions.all_of(payment_id)
        legs, network = self._payments.legs(payment_id), self._settings.near_network
        order, evidence = self._orders.of_payment(payment_id), self._legs.evidence(attempts)
        return payment_document(payment, legs, attempts, evidence, network, order)

    def adopt_all(self) -> list[Payment]:
        """Bring every open payment to the state of its transactions or its order; those still open.

        Asks nobody: others settle those, this reads what they found. A payment that a request is
        working on right now is left to that request.
        """
        idle = [payment for payment in self._payments.open() if payment.id not in self._in_flight]
        ends = [self._rails[payment.rail].adopt(payment) for payment in idle]
        return [payment for payment in ends if payment.state is PaymentState.UNKNOWN]

    async def _decide(self, asked: Pay) -> Plan:
        token, units = check_policy(asked, self._settings)
        split = await self._contract.split_of(asked.repo.url)
        if split is None:
            raise Refusal(f"No split found for {asked.repo.url}")
        wallets = await self._contract.wallets_of([row.login for row in split.rows])
        found = await self._screen.sort(asked.repo.url, split, wallets)
        plan = make_plan(asked, token, units, split, found)
        return await self._checked(plan)

    async def _checked(self, plan: Plan) -> Plan:
        self._limits.check(plan)
        await self._rails[self._settings.payout_rail].check(plan)
        return plan


def origin_of(channel: str, author: str, asked: Pay) -> str:
    """A digest of who asks for what: the same for the same payment, however it is spelled."""
    whole, _, part = asked.amount.partition(".")
    amount = f"{whole.lstrip('0')}.{part.rstrip('0')}"
    repo = replace(asked.repo, owner=asked.repo.owner.lower(), name=asked.repo.name.lower())
    meant = replace(asked, amount=amount, repo=repo)
    text = json.dumps([channel, author, asdict(meant)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
