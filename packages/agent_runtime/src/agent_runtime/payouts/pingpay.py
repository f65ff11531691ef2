"""Paying out through Ping: ordered once, looked up until NEAR shows what was ordered (rails §4).

Theory of operation. We do not sign what Ping pays with, so nothing of ours ends an order: neither a
nonce nor a proof of death. What is left is an id of our own, under which its bytes may leave again
for as long as Ping says that it knows the id, and a transaction on NEAR that anybody can read.

Rules
- Bytes and id are on disk, and marked as leaving, before the first byte leaves.
- A refusal ends an order only if nothing that left before could have been accepted.
- Repeated are the same bytes under the same id, not within `AGAIN_SECONDS` of the time before, for
  two at once are told apart by nobody; and not once Ping may have forgotten, by our clock or by the
  chain's. After that nobody here can learn more of an order without Ping's id: a person must ask.
- What has an id is only looked up.
"""

import asyncio
import json
import time
from typing import Protocol

from agent_runtime import wire
from agent_runtime.errors import RailError, Refusal
from agent_runtime.locks import NamedLocks
from agent_runtime.log import logger
from agent_runtime.near.evidence import to_json
from agent_runtime.near.token import RECIPIENTS_MAX
from agent_runtime.payments import Leg, Payment, PaymentLedger, PaymentState, Plan
from agent_runtime.payouts.judge import Final, Ordered, Sight, Unseen, judge, named_by
from agent_runtime.payouts.orders import (
    OPEN,
    UNSENT,
    NewOrder,
    Order,
    OrderBook,
    OrderState,
    OrderTaken,
)
from agent_runtime.payouts.standing import standing_of
from agent_runtime.rails.ping_answers import Accepted, Answer, Declined, Unknown, Word
from agent_runtime.settings import Settings
from agent_runtime.settings_payout import PINGPAY
from agent_runtime.settlement import Settled

FOLLOW_SECONDS = 10.0
FOLLOW_PAUSE_SECONDS = 0.5
AGAIN_SECONDS = 60.0
LOOK_AGAIN_SECONDS = 5.0
LOOKS_BY_AGE = 4
"""The older an order, the longer until the next look: about as many while its age doubles."""
KEY_MARGIN_SECONDS = 3600.0
SETTLE_SECONDS = 10.0
SETTLED_AT_ONCE = 4
NANO = 10**9


class Teller(Protocol):
    """Ping, as far as orders need it."""

    @property
    def configured(self) -> bool:
        """Whether there is a key."""

    async def place(self, key: str, request: bytes) -> Answer:
        """Send an order, once."""

    async def look_up(self, remote_id: str) -> Answer:
        """Ask what became of one."""


class Witness(Protocol):
    """NEAR, as far as orders need it."""

    async def now_ns(self) -> int:
        """Chain time; raises RailError."""

    async def look(self, tx_hash: str, signer: str) -> Sight:
        """What is shown of a transaction."""


class PingPayouts:
    """Carries payments out through Ping, and finds out what became of them.

    Attributes:
        name: of the rail.
    """

    name = PINGPAY

    def __init__(
        self,
        settings: Settings,
        ping: Teller,
        chain: Witness,
        orders: OrderBook,
        payments: PaymentLedger,
    ) -> None:
        self._payer = settings.ping_account
        self._key_seconds = settings.ping_key_hours * 3600.0 - KEY_MARGIN_SECONDS
        self._ping = ping
        self._chain = chain
        self._orders = orders
        self._payments = payments
        self._busy = NamedLocks()

    def check(self, plan: Plan) -> None:
        """See that a plan can be ordered.

        Raises:
            Refusal: it cannot; nothing was sent.
        """
        if not (self._ping.configured and self._payer):
            raise Refusal(
                "pingpay: PING_PAY_API_KEY or PING_PAY_ACCOUNT is unset; nothing was sent"
            )
        if len(plan.paid) > RECIPIENTS_MAX:
            raise Refusal(
                f"{len(plan.paid)} recipients, but an order is held against one transaction,"
                f" which is sure to pay {RECIPIENTS_MAX}; nothing was sent"
            )
        if self._payer in [share.account for share in plan.paid]:
            raise Refusal("Ping's own account is among the recipients; nothing was sent")

    async def carry(self, payment: Payment) -> Settled:
        """Order a stored payment, or one that ended with nothing sent once more, and follow it."""
        async with self._busy.alone(payment.id):
            try:
                since_ns = await self._chain.now_ns()
            except RailError as error:
                return self._stopped(payment.id, f"{error}; nothing was sent")
            order = self._orders.of_payment(payment.id)
            if order is None:
                order = self._orders.store(self._new(payment, since_ns))
            if order.state not in UNSENT:
                return standing_of(order)
            if order.sends and self._forgotten(order, since_ns):
                said = "Ping may have forgotten the order's key; ask for a new payment"
                return self._stopped(payment.id, said)
            return standing_of(await self._follow(await self._send(order, since_ns)))

    async def settle(self, payment: Payment) -> Settled:
        """Look once for the end of a payment; orders nothing that was not sent before."""
        async with self._busy.alone(payment.id):
            order = self._orders.of_payment(payment.id)
            return standing_of(None if order is None else await self._step(order))

    def standing(self, payment_id: str) -> Settled:
        """Where a payment stands by what is stored; asks nobody."""
        return standing_of(self._orders.of_payment(payment_id))

    async def settle_due(self, *, starting: bool = False) -> list[Order]:
        """Look once for the end of every open order that is due; those still open afterwards.

        Takes `SETTLE_SECONDS` at most. An order that somebody works on right now is left to them.

        Args:
            starting: look at every open one; what was never answered is repeated when due only.
        """
        now = time.time()
        due = [one for one in self._orders.open() if starting or one.is_due(now)]
        places = asyncio.Semaphore(SETTLED_AT_ONCE)
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                await asyncio.gather(*(self._settle_one(one, places) for one in due))
        except TimeoutError:
            logger().warning("ordering_cut_short", seconds=SETTLE_SECONDS)
        return self._orders.open()

    async def _settle_one(self, order: Order, places: asyncio.Semaphore) -> None:
        async with places:
            if order.payment_id in self._busy:
                return
            async with self._busy.alone(order.payment_id):
                await self._step(self._orders.get(order.id))

    def _new(self, payment: Payment, since_ns: int) -> NewOrder:
        leg = self._leg(payment.id)
        request = request_of(payment.plan, leg)
        order_id = f"{payment.id}-{leg.number}"
        return NewOrder(order_id, payment.id, self.name, self._payer, request, since_ns)

    def _leg(self, payment_id: str) -> Leg:
        legs = self._payments.legs(payment_id)
        if len(legs) != 1:
            raise Refusal(f"an order is one leg, the payment has {len(legs)}; nothing was sent")
        return legs[0]

    async def _follow(self, order: Order) -> Order:
        loop = asyncio.get_running_loop()
        until = loop.time() + FOLLOW_SECONDS
        while order.state is OrderState.ACCEPTED and loop.time() < until:
            await asyncio.sleep(FOLLOW_PAUSE_SECONDS)
            order = await self._step(order)
        return order

    async def _step(self, order: Order) -> Order:
        """One look, or one repetition, as its state allows."""
        if order.state not in OPEN:
            return order
        if not self._ping.configured:
            return self._wait(order, "PING_PAY_API_KEY is unset, so Ping cannot be asked")
        if order.state is OrderState.SENT:
            return await self._repeat(order)
        match await self._ping.look_up(order.remote_id):
            case Accepted() as told:
                return await self._heard(order, told)
            case Declined(code, message):
                return self._wait(order, f"pingpay refused the look-up: {code} {message}")
            case Unknown(reason):
                return self._wait(order, f"pingpay did not tell: {reason}")

    async def _repeat(self, order: Order) -> Order:
        """The same bytes under the same id, while Ping knows it again."""
        if not order.is_due(time.time()):
            return order
        try:
            now_ns = await self._chain.now_ns()
        except RailError as error:
            return self._wait(order, f"not repeated, for the time is not known: {error}")
        if self._forgotten(order, now_ns):
            said = f"Ping never told its id of order {order.id}, and may not know that key any more"
            return _ended(self._orders.review(order, f"{said}: ask Ping what became of it", ""))
        return await self._send(order, now_ns)

    async def _send(self, order: Order, since_ns: int) -> Order:
        first = order.state in UNSENT
        order = self._orders.leaves(order, since_ns, AGAIN_SECONDS)
        match await self._ping.place(order.id, order.request):
            case Accepted() as told:
                return await self._heard(order, told)
            case Declined(code, message) if first:
                said = f"pingpay refused it: {code} {message}".rstrip()
                return self._orders.declined(order, f"{said}; nothing moved")
            case Declined(code, message):
                said = f"pingpay refuses to repeat it: {code} {message}; it may have the first one"
                return self._wait(order, said)
            case Unknown(reason):
                return self._wait(order, f"pingpay: {reason}")

    async def _heard(self, order: Order, told: Accepted) -> Order:
        """Record Ping's word, hold it against NEAR, record the verdict."""
        named = named_by(told)
        try:
            order = self._orders.accepted(order, told.remote_id, told.word, named)
        except OrderTaken as taken:
            return self._wait(order, f"pingpay: {taken}")
        sight: Sight = Unseen("it names none")
        if named and told.word is Word.SUCCESS:
            sight = await self._chain.look(named, order.payer)
        leg = self._leg(order.payment_id)
        ordered = Ordered(order.payer, leg.contract, leg.transfers, order.since_ns)
        holder = self._orders.holder_of(named, order.id) if named else ""
        verdict = judge(ordered, told, sight, holder)
        evidence = json.dumps(to_json(sight.evidence)) if isinstance(sight, Final) else ""
        if verdict.state is PaymentState.PAID:
            try:
                return _ended(self._orders.paid(order, verdict.tx_hash, evidence))
            except OrderTaken as taken:
                return _ended(self._orders.review(order, f"pingpay says SUCCESS, but {taken}", ""))
        if verdict.state is PaymentState.REVIEW:
            return _ended(self._orders.review(order, verdict.detail, evidence))
        return self._wait(order, verdict.detail)

    def _wait(self, order: Order, detail: str) -> Order:
        least = AGAIN_SECONDS if order.state is OrderState.SENT else LOOK_AGAIN_SECONDS
        age = time.time() - order.first_sent_at
        return self._orders.wait(order, detail, max(least, age / LOOKS_BY_AGE))

    def _forgotten(self, order: Order, now_ns: int) -> bool:
        """Whether Ping may not know the order's key any more, by either clock."""
        by_ours = time.time() - order.first_sent_at
        by_chain = (now_ns - order.since_ns) / NANO
        return max(by_ours, by_chain) >= self._key_seconds

    def _stopped(self, payment_id: str, said: str) -> Settled:
        """Nothing was sent now; what was sent before comes first."""
        order = self._orders.of_payment(payment_id)
        if order is not None and order.state not in UNSENT:
            return standing_of(order)
        return Settled(PaymentState.FAILED, "", said)


def request_of(plan: Plan, leg: Leg) -> bytes:
    """An order's bytes: amounts as decimal strings in the smallest unit (rails §4)."""
    return wire.encode(
        {
            "action": "distribute",
            "split_id": plan.split_id,
            "token": plan.token,
            "total_amount": str(sum(units for _, units in leg.transfers)),
            "recipients": [
                {"address": account, "amount": str(units)} for account, units in leg.transfers
            ],
        }
    )


def _ended(order: Order) -> Order:
    logger().info("order_ended", order=order.id, state=order.state, detail=order.detail)
    return order
