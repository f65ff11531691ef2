"""HOT Pay's partner API (rails §3): it collects money, it pays nobody."""

import hmac
import secrets
import time
from dataclasses import dataclass, field
from typing import Any, Final

from sandbox.faults import Call
from sandbox.web import Answer, Request, json_answer

_ITEMS_MAX: Final = 10_000
_REQUIRED: Final = ("merchant_id", "memo", "header", "description", "token")


@dataclass(slots=True)
class Hot:
    """The stand-in: one merchant, its items, and the payments made to it."""

    token: str
    merchant: str
    name: str = "hot"
    _items: dict[str, dict[str, Any]] = field(default_factory=dict)
    _payments: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin with one payment, so that a list has something to show."""
        self._payments.append(
            {
                "memo": "first-funding",
                "item_id": "0" * 63 + "1",
                "timestamp": int(time.time()) - 3600,
                "amount": "250000000",
                "token_id": "nep141:usdc",
                "sender_id": "sponsor.near",
                "near_trx": None,
                "status": "PENDING",
            }
        )

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
                return self._processed(request)
            case "POST", "merchant_item":
                return self._create(request)
            case "POST", "test_webhook":
                known = request.path.strip("/").split("/")[2] in self._items
                return json_answer({"success": known}, 200 if known else 404)
            case _:
                return json_answer({"detail": "Not Found"}, 404)

    def _processed(self, request: Request) -> Answer:
        limit, offset = _number(request, "limit", 100), _number(request, "offset", 0)
        if limit is None or offset is None or not 0 < limit <= 1000:
            return json_answer({"detail": "limit and offset are numbers, limit 1 to 1000"}, 422)
        filters = ("item_id", "memo", "sender_id")
        wanted = {name: request.query[name] for name in filters if name in request.query}
        rows = [p for p in self._payments if all(p[name] == v for name, v in wanted.items())]
        pages = {"limit": limit, "offset": offset, "count": len(rows)}
        part = rows[offset : offset + limit]
        return json_answer({"payments": part, "pagination": pages})

    def _create(self, request: Request) -> Answer:
        body = request.json_object()
        missing = [name for name in _REQUIRED if not isinstance(body.get(name), str)]
        if missing:
            return json_answer({"detail": f"missing: {', '.join(missing)}"}, 422)
        item_id = secrets.token_hex(32)
        self._items[item_id] = body
        if len(self._items) > _ITEMS_MAX:
            self._items.pop(next(iter(self._items)))
        return json_answer({"item_id": item_id})


def _credential(request: Request) -> str:
    """Return the token: public clients send it with and without `Bearer`."""
    return request.bearer("bearer") or request.headers.get("authorization", "")


def _number(request: Request, name: str, default: int) -> int | None:
    text = request.query.get(name)
    if text is None:
        return default
    return int(text) if text.isascii() and text.isdigit() else None
