"""A receipt as JSON: a payment's document, without what is nobody's business, and its stamp. Pure.

Amounts are decimal texts, exact, and in the token's smallest unit where the name says `units`.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from agent_runtime.payments import PaymentState
from agent_runtime.receipts.book import Stamp

_OPEN = "Do not pay again: this page tells the end once there is one."
SAID = {
    PaymentState.PAID: ("Paid", "What moved is final, and is what was planned, to the unit."),
    PaymentState.PLANNED: ("Not known yet", _OPEN),
    PaymentState.UNKNOWN: ("Not known yet", _OPEN),
    PaymentState.FAILED: ("Failed", "Nothing moved."),
    PaymentState.DECLINED: ("Not made", "Nothing was signed."),
    PaymentState.REVIEW: (
        "Needs a person",
        "What moved is not shown to be what was planned. A person must look; do not pay again.",
    ),
}
"""Each state as a person is told it: in a word, and what it means."""
NO_CLAIM = "The plane showed no TEE when this receipt was written."
CLAIM = (
    "When this receipt was written, the plane's guest agent had just quoted bytes that the plane"
    " had drawn, under the names given here. The plane did not verify that quote and cannot: a"
    " verdict is what a verifier concludes from evidence that it asked for itself."
)


def receipt(stamp: Stamp, document: Mapping[str, Any]) -> dict[str, Any]:
    """The whole receipt.

    Args:
        stamp: who wrote it, and when.
        document: of the payment, as `payment_document` makes it.
    """
    state = PaymentState(document["state"])
    word, said = SAID[state]
    proofs = _proofs(document)
    named = (one for one in proofs if one["transaction"] == document["transaction"])
    return {
        "receipt": stamp.id,
        "payment": stamp.payment_id,
        "state": state.value,
        "settled": document["settled"],
        "word": word,
        "said": said,
        "detail": document["detail"],
        **{name: document[name] for name in _TAKEN},
        "attempts": [_attempt(one) for leg in document["legs"] for one in leg["attempts"]],
        "orders": [_order(leg["order"]) for leg in document["legs"] if leg["order"]],
        "legs": len(document["legs"]),
        "proof": next(named, None),
        "proofs": proofs,
        "plane": {"name": stamp.plane, "build": stamp.build},
        "attestation": _attestation(stamp),
        "writtenAt": _time(stamp.written_at),
    }


_TAKEN = (
    "rail",
    "repository",
    "split",
    "token",
    "asked",
    "total",
    "paid",
    "owed",
    "flags",
    "transaction",
    "transactions",
    "createdAt",
    "updatedAt",
)


def _attempt(attempt: Mapping[str, Any]) -> dict[str, Any]:
    return {"hash": attempt["transaction"], "state": attempt["state"]}


def _order(order: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": order["id"], "state": order["state"]}


def _proofs(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The evidence of each leg's transaction, in their order; none of a leg that names none.

    Who told it is only counted: the address of a provider can be a key.
    """
    return [
        {**seen, "leg": leg["number"], "providers": len(seen["providers"])}
        for leg in document["legs"]
        for made in (*leg["attempts"], leg["order"])
        if leg["transaction"] and made and made["transaction"] == leg["transaction"]
        if (seen := made["evidence"])
    ]


def _attestation(stamp: Stamp) -> dict[str, Any]:
    guest = stamp.guest
    return {
        "teeWallet": "mock" if guest is None else "tee",
        "appId": guest.app_id if guest else "",
        "instanceId": guest.instance_id if guest else "",
        "verified": False,  # nobody here can
        "said": NO_CLAIM if guest is None else CLAIM,
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
