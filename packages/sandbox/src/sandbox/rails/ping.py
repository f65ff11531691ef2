"""Ping Pay: hosted checkout, payer-signed payments, the intents variant (rails §4).

The intents variant has no public documentation; here it pays from Ping's own treasury on this
world's chain, so that a hash it gives can be looked up like any other. A key is known for a day:
who sends it again after that has ordered twice.
"""

import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sandbox.faults import Call
from sandbox.near.borsh import DecodeError, FunctionCall, decode_base64
from sandbox.near.chain import Chain
from sandbox.near.payer import Payer, ft_transfer
from sandbox.near.validity import InvalidTxError
from sandbox.rails import ping_lies
from sandbox.web import Answer, Request, json_answer

_ENTRIES_MAX: Final = 100_000
KEY_SECONDS: Final = 24 * 3600.0
_STATUS: Final = {
    "UNAUTHENTICATED": 401,
    "INVALID_PUBLISHABLE_KEY": 401,
    "NOT_FOUND": 404,
    "INVALID_REQUEST": 400,
    "INVALID_PAYMENT_STATE": 409,
}


class PingError(Exception):
    """A refusal in Ping's error shape."""

    def __init__(self, code: str, message: str) -> None:
        self.code, self.message = code, message
        super().__init__(message)


@dataclass(slots=True)
class Payment:
    """One payment or intent; `tx_hash` is set once something was sent to the chain."""

    id: str
    key: str
    request: dict[str, Any]
    made_at: float
    tx_hash: str | None = None
    failed: bool = False


@dataclass(slots=True)
class Ping:
    """The stand-in: one merchant with one key.

    Attributes:
        clock: epoch seconds; what makes keys old.
    """

    api_key: str
    treasury: Payer
    tokens: Mapping[str, str]
    name: str = "ping"
    clock: Callable[[], float] = time.time
    _payments: dict[str, Payment] = field(default_factory=dict)
    _by_key: dict[str, str] = field(default_factory=dict)
    _sessions: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def _chain(self) -> Chain:
        return self.treasury.chain

    def identify(self, request: Request) -> Call:
        """Name the call: `probe`, `intents`, `intent`, `prepare`, `submit`, `payment`, ..."""
        match _parts(request):
            case ["v1", "intents", "probe"]:
                operation = "probe"
            case ["v1", "intents"]:
                operation = "intents"
            case ["v1", "intents", _]:
                operation = "intent"
            case ["payments", "prepare" | "submit" as verb]:
                operation = verb
            case ["payments", _]:
                operation = "payment"
            case ["checkout", *_]:
                operation = "checkout"
            case _:
                operation = "unknown"
        return Call(self.name, operation, {"api_key": _credential(request)})

    async def answer(self, request: Request, call: Call, wrong: str | None) -> Answer:
        """Answer one request."""
        del call
        try:
            self._authorize(request)
            shown, status = self._answer(request, wrong)
        except PingError as error:
            refusal = {"code": error.code, "message": error.message}
            return json_answer(refusal, _STATUS[error.code])
        return json_answer(shown, status)

    def _authorize(self, request: Request) -> None:
        given = _credential(request)
        if not given:
            raise PingError("UNAUTHENTICATED", "A publishable key is required")
        if not hmac.compare_digest(given.encode(), self.api_key.encode()):
            raise PingError("INVALID_PUBLISHABLE_KEY", "This key is not valid")

    def _answer(self, request: Request, wrong: str | None) -> tuple[dict[str, Any], int]:
        match request.method, ["gone"] if wrong == "not_found" else _parts(request):
            case "GET" | "POST", ["v1", "intents", "probe"]:
                return {"status": "ok"}, 200
            case "POST", ["v1", "intents"]:
                return self._intent(request, wrong), 200
            case "GET", ["v1", "intents", intent_id]:
                return self._show_intent(self._payment(intent_id), wrong), 200
            case "POST", ["payments", "prepare"]:
                return {"payment": self._prepare(request)}, 200
            case "POST", ["payments", "submit"]:
                return {"payment": self._submit(request)}, 200
            case "GET", ["payments", payment_id]:
                return {"payment": self._show(self._payment(payment_id))}, 200
            case "POST", ["checkout", "sessions"]:
                return self._checkout(request), 201
            case "GET", ["checkout", "sessions", session_id]:
                if session_id not in self._sessions:
                    raise PingError("NOT_FOUND", "No such session")
                return {"session": self._sessions[session_id]}, 200
            case _:
                raise PingError("NOT_FOUND", "No such route")

    def _payment(self, payment_id: str) -> Payment:
        payment = self._payments.get(payment_id)
        if payment is None:
            raise PingError("NOT_FOUND", "No such payment")
        return payment

    def _remember(self, prefix: str, key: str, request: dict[str, Any]) -> tuple[Payment, bool]:
        """Return the payment of this idempotency key and whether it is new."""
        known = self._payments.get(self._by_key.get(key, ""))
        if known is not None and self.clock() - known.made_at < KEY_SECONDS:
            payment = known
            if payment.request != request:
                raise PingError("INVALID_REQUEST", "idempotencyKey was used for another request")
            return payment, False
        payment = Payment(prefix + secrets.token_hex(12), key, request, self.clock())
        self._payments[payment.id] = payment
        self._by_key[key] = payment.id
        if len(self._payments) > _ENTRIES_MAX:
            oldest = self._payments.pop(next(iter(self._payments)))
            if self._by_key.get(oldest.key) == oldest.id:
                del self._by_key[oldest.key]
        return payment, True

    def _prepare(self, request: Request) -> dict[str, Any]:
        body = request.json_object()
        key, asset, recipient = (body.get(n) for n in ("idempotencyKey", "asset", "recipient"))
        if not isinstance(key, str) or not isinstance(asset, dict):
            raise PingError("INVALID_REQUEST", "idempotencyKey and asset are required")
        if not isinstance(recipient, dict) or not isinstance(recipient.get("address"), str):
            raise PingError("INVALID_REQUEST", "recipient.address is required")
        if not str(asset.get("assetId", "")).startswith("nep141:"):
            raise PingError("INVALID_REQUEST", "asset.assetId: nep141:<contract> is expected")
        _amount(asset.get("amount"))
        payment, _ = self._remember("pay_", "p:" + key, body)
        return self._show(payment)

    def _submit(self, request: Request) -> dict[str, Any]:
        body = request.json_object()
        payment = self._payment(str(body.get("paymentId")))
        if "p:" + str(body.get("idempotencyKey")) != payment.key:
            raise PingError("INVALID_REQUEST", "idempotencyKey differs from the prepared one")
        if payment.tx_hash is None:
            payment.tx_hash = self._send_signed(payment, body.get("signedPayload"))
        return self._show(payment)

    def _send_signed(self, payment: Payment, payload: object) -> str:
        asset, recipient = payment.request["asset"], payment.request["recipient"]
        expected = (recipient["address"], int(asset["amount"]))
        try:
            signed = decode_base64(str(payload))
            moves = [_moved(a) for a in signed.transaction.actions if isinstance(a, FunctionCall)]
            if signed.transaction.receiver_id != asset["assetId"].removeprefix("nep141:"):
                raise PingError("INVALID_REQUEST", "signedPayload moves another asset")
            if moves != [expected]:
                raise PingError("INVALID_REQUEST", "signedPayload is not the prepared transfer")
            self._chain.submit(signed)
        except (DecodeError, InvalidTxError) as error:
            raise PingError("INVALID_REQUEST", f"signedPayload: {error}") from error
        return signed.hash

    def _intent(self, request: Request, wrong: str | None) -> dict[str, Any]:
        body = request.json_object()
        key = request.headers.get("idempotency-key") or secrets.token_hex(16)
        rows = body.get("recipients")
        token = self.tokens.get(str(body.get("token")).upper())
        if body.get("action") != "distribute" or not isinstance(rows, list) or token is None:
            raise PingError("INVALID_REQUEST", "action, token and recipients are expected")
        moves = [(str(row.get("address")), _amount(row.get("amount"))) for row in rows]
        if not moves or sum(amount for _, amount in moves) != _amount(body.get("total_amount")):
            raise PingError("INVALID_REQUEST", "recipients must add up to total_amount")
        payment, is_new = self._remember("intent_", "i:" + key, body)
        if is_new and wrong == "failed":
            payment.failed = True
        elif is_new and wrong not in ping_lies.KEEP_THE_MONEY:
            paid = ping_lies.short(moves) if wrong == "less" else moves
            actions = [ft_transfer(account, amount, payment.id) for account, amount in paid]
            payment.tx_hash = self.treasury.send(token, actions)
        if wrong == "no_reference":
            return {"status": "PENDING"}
        return self._show_intent(payment, wrong)

    def _checkout(self, request: Request) -> dict[str, Any]:
        body = request.json_object()
        _amount(body.get("amount"))
        session_id = "cs_" + secrets.token_hex(12)
        session = {
            "sessionId": session_id,
            "status": "CREATED",
            "paymentId": None,
            "amount": {"assetId": body.get("asset"), "amount": body["amount"]},
            "metadata": body.get("metadata"),
        }
        self._sessions[session_id] = session
        if len(self._sessions) > _ENTRIES_MAX:
            self._sessions.pop(next(iter(self._sessions)))
        host = request.headers.get("host", "")
        return {"session": session, "sessionUrl": f"http://{host}/checkout?sessionId={session_id}"}

    def _status(self, payment: Payment) -> str:
        if payment.failed:
            return "FAILED"
        record = self._chain.records.get(payment.tx_hash or "")
        if record is None or record.level(self._chain.now) != "FINAL":
            return "PENDING"
        outcomes = [receipt.outcome for receipt in record.receipts]
        return "FAILED" if any(o is None or o.failed for o in outcomes) else "SUCCESS"

    def _show(self, payment: Payment) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "paymentId": payment.id,
            "status": self._status(payment),
            "feeQuote": {"amount": "0"},
            "request": payment.request,
        }
        if payment.tx_hash is not None:
            reference = {"chainId": "near", "txHash": payment.tx_hash}
            shown["settlement"] = {"txRefs": [reference]}
        return shown

    def _show_intent(self, payment: Payment, wrong: str | None) -> dict[str, Any]:
        shown = {"intent_id": payment.id, "status": self._status(payment)}
        if payment.tx_hash is not None:
            shown["transaction_hash"] = payment.tx_hash
        others = [one.tx_hash for one in self._payments.values() if one is not payment]
        return ping_lies.told(shown, wrong, next((tx_hash for tx_hash in others if tx_hash), ""))


def _parts(request: Request) -> list[str]:
    return request.path.removeprefix("/api").strip("/").split("/")


def _credential(request: Request) -> str:
    for header in ("x-publishable-key", "x-api-key"):
        if request.headers.get(header):
            return request.headers[header]
    return request.bearer("bearer") or ""


def _amount(value: object) -> int:
    if not isinstance(value, str) or not (value.isascii() and value.isdigit()) or int(value) == 0:
        raise PingError("INVALID_REQUEST", "an amount is a decimal string in the smallest unit")
    return int(value)


def _moved(action: FunctionCall) -> tuple[object, int]:
    request = Request("", "", {}, {}, action.args).json_object()
    if action.method_name != "ft_transfer":
        raise PingError("INVALID_REQUEST", "signedPayload does something other than ft_transfer")
    return request.get("receiver_id"), _amount(request.get("amount"))
