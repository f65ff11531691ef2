"""`agent-runtime orders` lists payout orders that are not settled; `order close` ends one by hand.

An order that Ping never ends keeps its payment open, and a plane with an old open payment is not
ready. Whoever has asked Ping can close it: as one that a person has to see to, never as paid and
never as failed, for neither is shown.
"""

import contextlib
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent_runtime.errors import Refusal
from agent_runtime.payments import PaymentLedger, PaymentState
from agent_runtime.payouts.orders import OPEN, Order, OrderBook
from agent_runtime.settings import Settings

REASON_MAX_CHARS = 200


def listed(settings: Settings) -> dict[str, Any]:
    """The orders that are open or wait for a person, as they stood when last looked at.

    Raises:
        Refusal: there is no ledger.
        sqlite3.Error: it cannot be read.
    """
    path = Path(settings.payments_db)
    if not path.is_file():
        raise Refusal(f"there is no ledger at {path}; set PAYMENTS_DB to the plane's own")
    address = f"{path.resolve().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(address, uri=True, timeout=5.0)) as db:
        asked = "SELECT 1 FROM sqlite_master WHERE type='table' AND name='orders'"
        there = db.execute(asked).fetchone() is not None  # not in a ledger of an older build
        found = OrderBook(db, made=True).unsettled() if there else []
    return {"orders": [_shown(order) for order in found]}


def close(db: sqlite3.Connection, order_id: str, reason: str) -> dict[str, Any]:
    """End an open order as one that a person sees to, and its payment with it.

    Args:
        db: the ledger, held.
        order_id: as `orders` lists it.
        reason: what Ping said, for whoever reads the payment; one line.

    Raises:
        Refusal: there is no such order, or it is not open, or the reason is none.
    """
    book, payments = OrderBook(db), PaymentLedger(db)
    if not (reason.isprintable() and 0 < len(reason.strip()) <= REASON_MAX_CHARS):
        raise Refusal(f"give a reason of one line, {REASON_MAX_CHARS} characters at most")
    try:
        order = book.get(order_id)
    except LookupError:
        raise Refusal(f"no order {order_id} is stored here; see agent-runtime orders") from None
    payment = payments.get(order.payment_id)
    if order.state not in OPEN or payment is None:
        raise Refusal(f"order {order_id} is {order.state}, not open; nothing was changed")
    order = book.review(order, f"closed by a person: {reason.strip()}", order.evidence)
    payments.end(payment, PaymentState.REVIEW, "", order.detail)
    return {"did": "closed; its payment needs a person", **_shown(order)}


def _shown(order: Order) -> dict[str, Any]:
    return {
        "id": order.id,
        "payment": order.payment_id,
        "rail": order.rail,
        "state": order.state.value,
        "remote": order.remote_id or None,
        "detail": order.detail,
        "digest": f"sha256:{order.digest}",
        "sent": order.sends,
        "createdAt": datetime.fromtimestamp(order.created_at, UTC).isoformat(timespec="seconds"),
    }
