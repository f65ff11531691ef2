"""JSON-RPC in nearcore's shapes (rails §2.1), refusals included."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sandbox.faults import Call
from sandbox.near import state
from sandbox.near.borsh import DecodeError, SignedTransaction, decode_base64, show_permission
from sandbox.near.chain import Chain
from sandbox.near.contract import Context
from sandbox.near.execute import ActionError, call_json
from sandbox.near.keys import decode, show_public
from sandbox.near.record import LEVELS, Block, Record
from sandbox.near.validity import InvalidTxError
from sandbox.web import Answer, Request, json_answer

_NO_CONTRACT: Final = "1" * 32
_SENDS: Final = {
    "send_tx": "EXECUTED_OPTIMISTIC",
    "broadcast_tx_async": "NONE",
    "broadcast_tx_commit": "EXECUTED_OPTIMISTIC",
}
Params = Mapping[str, Any]


class RpcError(Exception):
    """An error answer: family `name`, its `cause`, the HTTP status it travels with."""

    def __init__(
        self, name: str, cause: str, info: object = None, *, data: object = None, status: int = 200
    ) -> None:
        self.name, self.cause, self.info = name, cause, info or {}
        self.data = cause if data is None else data
        self.status = status
        super().__init__(f"{name}/{cause}")


def _invalid(message: str) -> RpcError:
    info = {"error_message": message}
    return RpcError("REQUEST_VALIDATION_ERROR", "PARSE_ERROR", info, data=message, status=400)


def _handler(cause: str, info: object = None, *, data: object = None) -> RpcError:
    return RpcError("HANDLER_ERROR", cause, info, data=data)


def _timeout() -> RpcError:
    return RpcError("HANDLER_ERROR", "TIMEOUT_ERROR", data="Timeout", status=408)


@dataclass(frozen=True, slots=True)
class NearRpc:
    """The RPC of one chain; a call waits at most `wait_seconds_max` for a transaction."""

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
        del call
        if wrong == "html":
            page = b"<html><body>502 Bad Gateway</body></html>"
            return Answer(200, page, {"content-type": "text/html"})
        body = request.json_object()
        request_id = body.get("id")
        envelope = {"jsonrpc": "2.0", "id": request_id}
        try:
            if request.method != "POST" or body.get("jsonrpc") != "2.0":
                raise _invalid("a JSON-RPC 2.0 request is expected")
            result = await self._dispatch(str(body.get("method")), body.get("params"), wrong)
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

    async def _dispatch(self, method: str, params: Any, wrong: str | None) -> Any:
        if method in _SENDS:
            return await self._send(method, params, wrong)
        if method in {"status", "EXPERIMENTAL_protocol_config"}:
            return self._about(method)
        if not isinstance(params, dict):
            raise _invalid("params: an object is expected")
        match method:
            case "query":
                return self._query(params)
            case "block":
                return self._show_block(self._block(params))
            case "tx" | "EXPERIMENTAL_tx_status":
                return await self._status(method, params, wrong)
            case _:
                info = {"method_name": method}
                raise RpcError("REQUEST_VALIDATION_ERROR", "METHOD_NOT_FOUND", info, status=400)

    def _about(self, method: str) -> dict[str, Any]:
        if method == "EXPERIMENTAL_protocol_config":
            return {
                "chain_id": self.chain_id,
                "transaction_validity_period": state.VALIDITY_BLOCKS,
                "protocol_version": 77,
            }
        head = self.chain.head
        sync = {
            "latest_block_hash": head.hash,
            "latest_block_height": head.height,
            "latest_block_time": head.timestamp_ns,
            "syncing": False,
        }
        version = {"version": "sandbox", "build": "sandbox"}
        return {"chain_id": self.chain_id, "sync_info": sync, "version": version}

    def _block(self, params: Params) -> Block:
        reference = params.get("block_id")
        if reference is None:
            finality = params.get("finality")
            if finality not in {"optimistic", "near-final", "final"}:
                raise _invalid("finality or block_id is expected")
            return self.chain.final if finality == "final" else self.chain.head
        block = None
        if isinstance(reference, int):
            block = self.chain.block_at(reference)
        elif isinstance(reference, str):
            block = self.chain.block_by_hash(_base58(reference, "block_id"))
        if block is None:
            raise _handler("UNKNOWN_BLOCK", {"block_reference": {"BlockId": reference}})
        return block

    def _show_block(self, block: Block) -> dict[str, Any]:
        header = {
            "height": block.height,
            "hash": block.hash,
            "prev_hash": Block(0, block.previous, b"", 0).hash,
            "timestamp": block.timestamp_ns,
            "timestamp_nanosec": str(block.timestamp_ns),
            "last_final_block": self.chain.final.hash,
        }
        return {"author": "validator.near", "header": header, "chunks": []}

    def _query(self, params: Params) -> dict[str, Any]:
        block = self._block(params)
        if block not in {self.chain.head, self.chain.final}:
            raise _handler("GARBAGE_COLLECTED_BLOCK", {"block_height": block.height})
        final = block.height == self.chain.final.height
        where = {"block_height": block.height, "block_hash": block.hash}
        account = params.get("account_id")
        if not isinstance(account, str):
            raise _invalid("account_id: a string is expected")
        held = state.balance(self.chain.store, account, final=final)
        if held is None:
            raise _handler("UNKNOWN_ACCOUNT", {"requested_account_id": account, **where})
        match params.get("request_type"):
            case "view_account":
                return {**self._view_account(account, held), **where}
            case "view_access_key":
                return {**self._view_key(account, params, where, final=final), **where}
            case "call_function":
                return {**self._call_function(account, params, block, final=final), **where}
            case other:
                raise _invalid(f"request_type {other!r} is not supported here")

    def _view_account(self, account: str, held: int) -> dict[str, Any]:
        contract = self.chain.contracts.get(account)
        code_hash = _NO_CONTRACT if contract is None else contract.code_hash
        return {
            "amount": str(held),
            "locked": "0",
            "code_hash": code_hash,
            "storage_usage": 182,
            "storage_paid_at": 0,
        }

    def _view_key(
        self, account: str, params: Params, where: Params, *, final: bool
    ) -> dict[str, Any]:
        shown = str(params.get("public_key"))
        if not shown.startswith("ed25519:"):
            raise _invalid("public_key: ed25519:<base58> is expected")
        raw = _base58(shown.removeprefix("ed25519:"), "public_key")
        key = state.access_key(self.chain.store, account, raw, final=final)
        if key is None:
            raise _handler("UNKNOWN_ACCESS_KEY", {"public_key": shown, **where})
        return {"nonce": key.nonce, "permission": show_permission(key.permission)}

    def _call_function(
        self, account: str, params: Params, block: Block, *, final: bool
    ) -> dict[str, Any]:
        contract = self.chain.contracts.get(account)
        if contract is None:
            raise _handler("NO_CONTRACT_CODE", {"contract_account_id": account})
        try:
            args = base64.b64decode(str(params.get("args_base64", "")), validate=True)
        except binascii.Error as error:
            raise _invalid(f"args_base64: {error}") from error
        context = Context(
            store=self.chain.store,
            account_id=account,
            predecessor_id="",
            deposit=0,
            height=block.height,
            timestamp_ns=block.timestamp_ns,
            view=True,
            final=final,
        )
        try:
            value = call_json(contract, context, str(params.get("method_name")), args)
        except ActionError as error:
            # A node answers a panic inside `result`; clients that look at `error` only go wrong.
            told = f"wasm execution failed with error: {error.kind['FunctionCallError']}"
            return {"error": told, "logs": context.logs}
        return {"result": list(value), "logs": context.logs}

    async def _send(self, method: str, params: Any, wrong: str | None) -> Any:
        signed = _signed(params)
        level = _SENDS[method]
        if isinstance(params, dict):
            level = _level(params, level)
        self._accept(signed, wrong)
        if wrong == "accept_then_timeout":
            raise _timeout()
        if method == "broadcast_tx_async":
            return signed.hash
        if level == "NONE":
            return {"final_execution_status": "NONE"}
        record = await self.chain.wait_for(signed.hash, level, self.wait_seconds_max)
        if record is None:
            raise _timeout()
        return record.show(self.chain.final.height)

    def _accept(self, signed: SignedTransaction, wrong: str | None) -> None:
        try:
            if not self.chain.knows(signed.hash):
                self.chain.check(signed)
            if wrong == "failed_receipt":
                self.chain.poisoned.add(signed.hash)
            if wrong != "silent_drop":
                self.chain.submit(signed)
        except InvalidTxError as error:
            refused = {"TxExecutionError": {"InvalidTxError": error.detail}}
            raise _handler("INVALID_TRANSACTION", data=refused) from error

    async def _status(self, method: str, params: Params, wrong: str | None) -> Any:
        tx_hash, sender = params.get("tx_hash"), params.get("sender_account_id")
        if not isinstance(tx_hash, str) or not isinstance(sender, str):
            raise _invalid("tx_hash and sender_account_id are expected")
        unknown = _handler("UNKNOWN_TRANSACTION", {"requested_transaction_hash": tx_hash})
        if wrong == "unknown":
            raise unknown
        level = _level(params, "EXECUTED_OPTIMISTIC")
        record = self.chain.records.get(tx_hash)
        if record is not None and record.signed.transaction.signer_id != sender:
            raise unknown  # another account's shard does not know this transaction
        if level == "NONE":
            if record is None:
                raise unknown
        else:
            record = await self.chain.wait_for(tx_hash, level, self.wait_seconds_max)
        if record is None:
            raise _timeout()
        return _shown(record, self.chain, method)


def _shown(record: Record, chain: Chain, method: str) -> dict[str, Any]:
    return record.show(chain.final.height, receipts=method == "EXPERIMENTAL_tx_status")


def _level(params: Params, default: str) -> str:
    level = params.get("wait_until", default)
    if level not in LEVELS:
        raise _invalid(f"wait_until: one of {', '.join(LEVELS)} is expected")
    return str(level)


def _base58(text: str, name: str) -> bytes:
    try:
        return decode(text)
    except ValueError as error:
        raise _invalid(f"{name}: base58 is expected") from error


def _signed(params: Any) -> SignedTransaction:
    text = params.get("signed_tx_base64") if isinstance(params, dict) else params
    if isinstance(text, list) and len(text) == 1:
        text = text[0]
    if not isinstance(text, str):
        raise _invalid("a signed transaction in base64 is expected")
    try:
        return decode_base64(text)
    except DecodeError as error:
        raise _invalid(f"signed transaction: {error}") from error


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
