"""HOT Pay's partner API (rails §3): it collects money, it pays nobody.

A payer pays when the control endpoint says so (`pay`), with tokens that move on this world's chain,
to the merchant or wherever the order says. What the list then claims of it follows the chain, or is
what the order says, or is one of the lies in `faults`.
"""

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from sandbox.faults import Call
from sandbox.near.chain import Chain
from sandbox.near.keys import encode
from sandbox.near.payer import Payer, ft_transfer
from sandbox.near.validity import InvalidTxError
from sandbox.rails.webhooks import Delivery
from sandbox.web import Answer, Request, json_answer

_ITEMS_MAX: Final = 10_000
_REQUIRED: Final = ("merchant_id", "memo", "header", "description", "token")


@dataclass(frozen=True, slots=True)
class Item:
    """An invoice; `units` is 0 if it names no amount."""

    id: str
    memo: str
    contract: str
    decimals: int
    units: int


@dataclass(frozen=True, slots=True)
class Paid:
    """One payer's deposit: what was moved, if anything, and what HOT is to say of it.

    Attributes:
        memo: the payer's page takes it from its address, so a payer can give any.
        moved: units that were sent.
        said: the status whatever the chain says; empty to follow the chain.
    """

    item: Item
    memo: str
    moved: int
    tx_hash: str | None
    said: str
    at: int


@dataclass(slots=True)
class Hot:
    """The stand-in: one merchant, its items, and the payments made to it.

    Args:
        token: the merchant's token.
        merchant: its NEAR account, which is also its id.
        payer: whose money comes in.
        decimals: of each token contract that is taken.
    """

    token: str
    merchant: str
    payer: Payer
    decimals: Mapping[str, int]
    name: str = "hot"
    _items: dict[str, Item] = field(default_factory=dict)
    _paid: list[Paid] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin with one payment, so that a list has something to show."""
        contract, decimals = next(iter(self.decimals.items()))
        first = Item("0" * 63 + "1", "first-funding", contract, decimals, 250_000_000)
        then = int(time.time()) - 3600
        self._paid.append(Paid(first, first.memo, 0, None, "PENDING", then))

    @property
    def _chain(self) -> Chain:
        return self.payer.chain

    def identify(self, request: Request) -> Call:
        """Name the call: `processed_payments`, `merchant_item`, `test_webhook`."""
        match request.path.strip("/").split("/"):
            case ["partners", "merchant_item", _, "test_webhook"]:
                operation = "test_webhook"
            case ["partners", operation]:
                pass
            case _:
                operation = "unknown"
        return Call(self.name, operation, {"api_key": _credential(request)})

    async def answer(self, request: Request, call: Call, wrong: str | None) -> Answer:
        """Answer one request."""
        if wrong == "html":
            page = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
            return Answer(502, page, {"content-type": "text/html"})
        given = _credential(request).encode()
        if wrong == "unauthorized" or not hmac.compare_digest(given, self.token.encode()):
            return json_answer({"detail": "Invalid token"}, 401)
        match request.method, call.operation:
            case "GET", "processed_payments":
                return self._processed(request, wrong)
            case "POST", "merchant_item":
                return self._create(request, wrong)
            case "POST", "test_webhook":
                known = request.path.strip("/").split("/")[2] in self._items
                return json_answer({"success": known}, 200 if known else 404)
            case _:
                return json_answer({"detail": "Not Found"}, 404)

    def pay(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Let a payer pay an item.

        Args:
            order: `item_id`; optional: `units` (0 moves nothing; what was asked), `receiver` (the
                merchant), `memo` (the item's), `status` (what HOT says whatever the chain says).

        Raises:
            ValueError: no such item, or the order is not as described.
        """
        item = self._items.get(str(order.get("item_id")))
        if item is None:
            raise ValueError("no item has this item_id")
        units, said = order.get("units", item.units), order.get("status", "")
        receiver, memo = order.get("receiver", self.merchant), order.get("memo", item.memo)
        if not isinstance(units, int) or units < 0 or (said and not isinstance(said, str)):
            raise ValueError("units is a whole number, status a word")
        tx_hash = None
        if units:
            action = ft_transfer(str(receiver), units, str(memo))
            try:
                tx_hash = self.payer.send(item.contract, [action])
            except InvalidTxError as error:
                raise ValueError(f"the chain refused it: {error}") from error
        self._paid.append(Paid(item, str(memo), units, tx_hash, said, int(time.time())))
        return {"near_trx": tx_hash}

    def delivery(self, _: str, __: int, event: Mapping[str, Any]) -> Delivery:
        """Return the webhook about the newest payment under a memo; HOT signs nothing.

        Args:
            event: `memo`; any other member stands in place of what is true.

        Raises:
            ValueError: nobody has paid under this memo, and the event does not tell of one itself.
        """
        found = next((one for one in reversed(self._paid) if one.memo == event.get("memo")), None)
        if found is None and "item_id" not in event:
            raise ValueError("nobody has paid under this memo; give item_id and status too")
        told: dict[str, Any] = {"type": "PAYMENT_STATUS_UPDATE"}
        if found is not None:
            shown, whole = self._show(found, None), found.item.units / 10**found.item.decimals
            names = ("item_id", "status", "memo", "amount", "near_trx")
            told |= {name: shown[name] for name in names}
            told |= {"amount_float": whole, "amount_usd": whole}
        body = json.dumps({**told, **event}, separators=(",", ":")).encode()
        return Delivery(secrets.token_hex(8), body, {"content-type": "application/json"})

    def _processed(self, request: Request, wrong: str | None) -> Answer:
        limit, offset = _number(request, "limit", 100), _number(request, "offset", 0)
        if limit is None or offset is None or not 0 < limit <= 1000:
            return json_answer({"detail": "limit and offset are numbers, limit 1 to 1000"}, 422)
        filters = () if wrong == "unfiltered" else ("item_id", "memo", "sender_id")
        wanted = {name: request.query[name] for name in filters if name in request.query}
        shown = (self._show(one, wrong) for one in self._paid)
        rows = [row for row in shown if all(row[name] == v for name, v in wanted.items())]
        pages = {"limit": limit, "offset": offset, "count": len(rows)}
        part = rows[offset : offset + limit]
        return json_answer({"payments": part, "pagination": pages})

    def _show(self, paid: Paid, wrong: str | None) -> dict[str, Any]:
        return {
            "memo": paid.memo,
            "item_id": paid.item.id,
            "timestamp": paid.at,
            "amount": str(paid.item.units or paid.moved),
            "token_id": f"nep141:{paid.item.contract}",
            "sender_id": self.payer.account,
            "near_trx": self._named(paid, wrong),
            "status": paid.said or self._status(paid),
        }

    def _named(self, paid: Paid, wrong: str | None) -> str | None:
        """Which transaction the list names; each variant of `wrong` names another."""
        match wrong:
            case "made_up_hash":
                return encode(hashlib.sha256(paid.item.id.encode()).digest())
            case "item_as_hash":
                return paid.item.id
            case "foreign_hash":
                others = (one.tx_hash for one in self._paid if one.item is not paid.item)
                return next((one for one in others if one is not None), None)
            case "no_hash":
                return None
            case _:
                return paid.tx_hash

    def _status(self, paid: Paid) -> str:
        """What the chain makes of it."""
        if paid.tx_hash is None:
            return "PENDING"
        record = self._chain.records.get(paid.tx_hash)
        if record is None or record.level(self._chain.now) != "FINAL":
            return "PROCESSING"
        outcomes = [receipt.outcome for receipt in record.receipts]
        if any(outcome is None or outcome.failed for outcome in outcomes):
            return "FAILED"
        return "SUCCESS" if paid.moved >= paid.item.units else "INCOMPLETE_DEPOSIT"

    def _create(self, request: Request, wrong: str | None) -> Answer:
        body = request.json_object()
        missing = [name for name in _REQUIRED if not isinstance(body.get(name), str)]
        if missing:
            return json_answer({"detail": f"missing: {', '.join(missing)}"}, 422)
        if body["merchant_id"] != self.merchant:
            return json_answer({"detail": "this token is another merchant's"}, 403)
        contract = body["token"].removeprefix("nep141:")
        decimals = self.decimals.get(contract)
        units = None if decimals is None else _units(body.get("amount", "0"), decimals)
        if decimals is None or units is None:
            return json_answer({"detail": "token is not taken, or amount is no decimal"}, 422)
        item = Item(secrets.token_hex(32), body["memo"], contract, decimals, units)
        self._items[item.id] = item
        if len(self._items) > _ITEMS_MAX:
            self._items.pop(next(iter(self._items)))
        return json_answer({} if wrong == "no_item" else {"item_id": item.id})


def _credential(request: Request) -> str:
    """Return the token: public clients send it with and without `Bearer`."""
    return request.bearer("bearer") or request.headers.get("authorization", "")


def _number(request: Request, name: str, default: int) -> int | None:
    text = request.query.get(name)
    if text is None:
        return default
    return int(text) if text.isascii() and text.isdigit() else None


def _units(amount: object, decimals: int) -> int | None:
    """Return whole tokens, a decimal text as public clients send it, in the smallest unit."""
    try:
        units = Decimal(str(amount)).scaleb(decimals)
        return int(units) if units == units.to_integral_value() and units >= 0 else None
    except InvalidOperation:
        return None
