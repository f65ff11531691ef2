"""JSON-RPC in nearcore's shapes (rails §2.1), refusals included."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sandbox.faults import Call
from sandbox.near import state
from sandbox.near.borsh import DecodeError, SignedTransaction, decode_base64
from sandbox.near.chain import Chain
from sandbox.near.keys import show_public
from sandbox.near.provider import Provider
from sandbox.near.query import block_of, query, show_block
from sandbox.near.record import LEVELS
from sandbox.near.refusals import RpcError, handler, invalid, timeout
from sandbox.near.validity import InvalidTxError
from sandbox.near.view import View
from sandbox.web import Answer, Request, json_answer

_SENDS: Final = {
    "send_tx": "EXECUTED_OPTIMISTIC",
    "broadcast_tx_async": "NONE",
    "broadcast_tx_commit": "EXECUTED_OPTIMISTIC",
}
Params = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NearRpc:
    """The RPC of one chain; a call waits at most `wait_seconds_max` for a transaction.

    The mark `provider` of a call chooses whose view of the chain it gets (see `provider`).
    """

    chain: Chain
    chain_id: str
    wait_seconds_max: float = 10.0
    name: str = "near"

    def identify(self, request: Request) -> Call:
        """Name the call by method, queries by their request type, and mark who signs."""
        body = request.json_object()
        method = str(body.get("method", "unknown"))
        params = body.get("params")
        marks: dict[str, str] = {}
        if method in _SENDS:
            marks = _signer_marks(params)
        elif isinstance(params, dict):
            named = {k: params.get(k) for k in ("public_key", "account_id", "method_name")}
            marks = {name: value for name, value in named.items() if isinstance(value, str)}
            record = self.chain.records.get(str(params.get("tx_hash")))
            if record is not None:
                marks["public_key"] = show_public(record.signed.transaction.public_key)
            if method == "query":
                method = str(params.get("request_type", "query"))
        return Call(self.name, method, marks)

    async def answer(self, request: Request, call: Call, wrong: str | None) -> Answer:
        """Answer one JSON-RPC request."""
        provider = self._provider(call)
        if wrong == "html":
            page = b"<html><body>502 Bad Gateway</body></html>"
            return Answer(200, page, {"content-type": "text/html"})
        body = request.json_object()
        request_id = body.get("id")
        envelope = {"jsonrpc": "2.0", "id": request_id}
        try:
            if request.method != "POST" or body.get("jsonrpc") != "2.0":
                raise invalid("a JSON-RPC 2.0 request is expected")
            asked = str(body.get("method")), body.get("params")
            result = await self._dispatch(provider, *asked, wrong)
        except RpcError as error:
            shown = {
                "name": error.name,
                "cause": {"name": error.cause, "info": error.info},
                "code": -32700 if error.name == "REQUEST_VALIDATION_ERROR" else -32000,
                "message": "Server error",
                "data": error.data,
            }
            return json_answer({**envelope, "error": shown}, error.status)
        return json_answer({**envelope, "result": result})

    def _provider(self, call: Call) -> Provider:
        name = call.marks.get("provider", "")
        return Provider(self.chain, self.chain.views.get(name, View()).of_call())

    async def _dispatch(
        self, provider: Provider, method: str, params: Any, wrong: str | None
    ) -> Any:
        if method in _SENDS:
            return await self._send(provider, method, params, wrong)
        if method in {"status", "EXPERIMENTAL_protocol_config"}:
            return self._about(provider, method)
        if not isinstance(params, dict):
            raise invalid("params: an object is expected")
        match method:
            case "query":
                return query(provider, params)
            case "block":
                return show_block(provider, block_of(provider, params))
            case "tx" | "EXPERIMENTAL_tx_status":
                return await self._status(provider, method, params, wrong)
            case _:
                info = {"method_name": method}
                raise RpcError("REQUEST_VALIDATION_ERROR", "METHOD_NOT_FOUND", info, status=400)

    def _about(self, provider: Provider, method: str) -> dict[str, Any]:
        if method == "EXPERIMENTAL_protocol_config":
            return {
                "chain_id": self.chain_id,
                "transaction_validity_period": state.VALIDITY_BLOCKS,
                "protocol_version": 77,
            }
        head = provider.head
        sync = {
            "latest_block_hash": head.hash,
            "latest_block_height": provider.told(head.height),
            "latest_block_time": head.timestamp_ns,
            "syncing": False,
        }
        version = {"version": "sandbox", "build": "sandbox"}
        return {"chain_id": self.chain_id, "sync_info": sync, "version": version}

    async def _send(self, provider: Provider, method: str, params: Any, wrong: str | None) -> Any:
        signed = _signed(params)
        level = _SENDS[method]
        if isinstance(params, dict):
            level = _level(params, level)
        self._accept(provider, signed, wrong)
        if wrong == "accept_then_timeout":
            raise timeout()
        if method == "broadcast_tx_async":
            return signed.hash
        if level == "NONE":
            return {"final_execution_status": "NONE"}
        record = await provider.wait_for(signed.hash, level, self.wait_seconds_max)
        if record is None:
            raise timeout()
        return record.show(provider.now)

    def _accept(self, provider: Provider, signed: SignedTransaction, wrong: str | None) -> None:
        if wrong == "expired":
            raise _refused("Expired")
        try:
            if not provider.holds(signed.hash):
                self.chain.check(signed)
            if wrong == "failed_receipt":
                self.chain.poisoned.add(signed.hash)
            if wrong != "silent_drop":
                self.chain.submit(signed)
        except InvalidTxError as error:
            raise _refused(error.detail) from error
        if wrong == "invalid_nonce":  # another node of the provider had taken it a moment before
            nonce = signed.transaction.nonce
            raise _refused({"InvalidNonce": {"tx_nonce": nonce, "ak_nonce": nonce}})
        if wrong == "not_enough_balance":  # likewise; this one has not seen the money yet
            signer = signed.transaction.signer_id
            lacks = {"signer_id": signer, "balance": "0", "cost": "1"}
            raise _refused({"NotEnoughBalance": lacks})

    async def _status(
        self, provider: Provider, method: str, params: Params, wrong: str | None
    ) -> Any:
        tx_hash, sender = params.get("tx_hash"), params.get("sender_account_id")
        if not isinstance(tx_hash, str) or not isinstance(sender, str):
            raise invalid("tx_hash and sender_account_id are expected")
        unknown = handler("UNKNOWN_TRANSACTION", {"requested_transaction_hash": tx_hash})
        if wrong == "unknown":
            raise unknown
        level = _level(params, "EXECUTED_OPTIMISTIC")
        record = provider.record(tx_hash)
        if record is not None and record.signed.transaction.signer_id != sender:
            raise unknown  # another account's shard does not know this transaction
        if level == "NONE":
            if record is None:
                raise unknown
        else:
            record = await provider.wait_for(tx_hash, level, self.wait_seconds_max)
        if record is None:
            raise timeout()
        return record.show(provider.now, receipts=method == "EXPERIMENTAL_tx_status")


def _refused(detail: Mapping[str, Any] | str) -> RpcError:
    refused = {"TxExecutionError": {"InvalidTxError": detail}}
    return handler("INVALID_TRANSACTION", data=refused)


def _level(params: Params, default: str) -> str:
    level = params.get("wait_until", default)
    if level not in LEVELS:
        raise invalid(f"wait_until: one of {', '.join(LEVELS)} is expected")
    return str(level)


def _signed(params: Any) -> SignedTransaction:
    text = params.get("signed_tx_base64") if isinstance(params, dict) else params
    if isinstance(text, list) and len(text) == 1:
        text = text[0]
    if not isinstance(text, str):
        raise invalid("a signed transaction in base64 is expected")
    try:
        return decode_base64(text)
    except DecodeError as error:
        raise invalid(f"signed transaction: {error}") from error


def _signer_marks(params: Any) -> dict[str, str]:
    try:
        transaction = _signed(params).transaction
    except RpcError:
        return {}  # `answer` will say what is wrong with it
    return {
        "public_key": show_public(transaction.public_key),
        "account_id": transaction.signer_id,
        "receiver_id": transaction.receiver_id,
    }
