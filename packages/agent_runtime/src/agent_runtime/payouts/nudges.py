"""Hints from outside that an order may have come to something: each leads to a look, no further.

Whoever hints is answered at once; the look comes after, one at a time. What a hint says is not
remembered but for the payment that it is about, so there are never more than there are open orders.
"""

import asyncio
from collections.abc import Awaitable, Callable

from agent_runtime.log import logger
from agent_runtime.payments import Payment, PaymentLedger
from agent_runtime.payouts.orders import OPEN, OrderBook

WAITING_MAX = 1_000


class Nudges:
    """The payments that somebody hinted at and nobody has looked at since."""

    def __init__(self, orders: OrderBook, payments: PaymentLedger) -> None:
        self._orders = orders
        self._payments = payments
        self._waiting: dict[str, None] = {}
        self._wake = asyncio.Event()

    def hint(self, rail: str, remote_id: str) -> bool:
        """Have an order looked at soon; False if there is none by that id that is open.

        If too many wait, this one is left to the next round of settling.
        """
        order = self._orders.named(rail, remote_id)
        if order is None or order.state not in OPEN:
            return False
        if len(self._waiting) < WAITING_MAX:
            self._waiting[order.payment_id] = None
            self._wake.set()
        return True

    async def keep_looking(self, look: Callable[[Payment], Awaitable[object]]) -> None:
        """Look at what was hinted at, in order, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                payment_id = next(iter(self._waiting))
                del self._waiting[payment_id]
                try:
                    payment = self._payments.get(payment_id)
                    if payment is not None:
                        await look(payment)
                except Exception:  # noqa: BLE001 - logged; the rounds of settling look again
                    logger().exception("nudge_broke", payment=payment_id)
