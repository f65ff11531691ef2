"""What an order makes of its payment. Pure.

FAILED is said only while nothing that left could have been accepted; an order that is open is
UNKNOWN, however long it is so.
"""

import json

from agent_runtime.near.evidence import Evidence, from_json
from agent_runtime.payments import PaymentState
from agent_runtime.payouts.orders import Order, OrderState
from agent_runtime.settlement import LegState, Settled


def standing_of(order: Order | None) -> Settled:
    """Where a payment stands.

    Args:
        order: its order as stored; None if there is none.
    """
    if order is None:
        return Settled(PaymentState.FAILED, "", "stopped before anything was ordered")
    match order.state:
        case OrderState.STORED:
            return Settled(PaymentState.FAILED, "", "stopped before the order was sent")
        case OrderState.SENT | OrderState.ACCEPTED:
            return Settled(PaymentState.UNKNOWN, "", order.detail)
        case OrderState.DECLINED:
            return Settled(PaymentState.FAILED, "", order.detail)
        case OrderState.PAID:
            return Settled(PaymentState.PAID, order.tx_hash, "")
        case OrderState.REVIEW:
            return Settled(
                PaymentState.REVIEW, "", order.detail
            )  # no transaction is shown to be its


def leg_state_of(order: Order) -> LegState:
    """Where the leg of an order stands."""
    match order.state:
        case OrderState.STORED | OrderState.DECLINED:
            return LegState.IDLE
        case OrderState.SENT | OrderState.ACCEPTED:
            return LegState.OPEN
        case OrderState.PAID:
            return LegState.PAID
        case OrderState.REVIEW:
            return LegState.REVIEW


def evidence_of(order: Order) -> Evidence | None:
    """The final transaction that decided, be it for or against; None if none did."""
    return from_json(json.loads(order.evidence)) if order.evidence else None
