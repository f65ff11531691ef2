"""What a node answers about blocks, accounts, keys and view calls (rails §2.1)."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from sandbox.near import state
from sandbox.near.borsh import show_permission
from sandbox.near.contract import Context
from sandbox.near.execute import ActionError, call_json
from sandbox.near.provider import Provider
from sandbox.near.record import Block
from sandbox.near.refusals import base58_of, handler, invalid

_NO_CONTRACT: Final = "1" * 32
Params = Mapping[str, Any]


def block_of(provider: Provider, params: Params) -> Block:
    """Return the block that `block_id` or `finality` names; raises RpcError."""
    reference = params.get("block_id")
    if reference is None:
        finality = params.get("finality")
        if finality not in {"optimistic", "near-final", "final"}:
            raise invalid("finality or block_id is expected")
        return provider.final if finality == "final" else provider.head
    block = None
    if isinstance(reference, int):
        block = provider.block_at(reference)
    elif isinstance(reference, str):
        block = provider.block_by_hash(base58_of(reference, "block_id"))
    if block is None:
        raise handler("UNKNOWN_BLOCK", {"block_reference": {"BlockId": reference}})
    return block


def show_block(provider: Provider, block: Block) -> dict[str, Any]:
    """Return a block as JSON-RPC shows it."""
    header = {
        "height": provider.told(block.height),
        "hash": block.hash,
        "prev_hash": Block(0, block.previous, b"", 0).hash,
        "timestamp": block.timestamp_ns,
        "timestamp_nanosec": str(block.timestamp_ns),
        "last_final_block": provider.final.hash,
    }
    return {"author": "validator.near", "header": header, "chunks": []}


def query(provider: Provider, params: Params) -> dict[str, Any]:
    """Answer `query` about an account, an access key or a view call; raises RpcError."""
    block = block_of(provider, params)
    if block not in {provider.head, provider.final}:
        raise handler("GARBAGE_COLLECTED_BLOCK", {"block_height": provider.told(block.height)})
    back = provider.final_back if block.height == provider.final.height else provider.view.lag
    where = {"block_height": provider.told(block.height), "block_hash": block.hash}
    account = params.get("account_id")
    if not isinstance(account, str):
        raise invalid("account_id: a string is expected")
    held = state.balance(provider.chain.store, account, back=back)
    if held is None:
        raise handler("UNKNOWN_ACCOUNT", {"requested_account_id": account, **where})
    match params.get("request_type"):
        case "view_account":
            return {**_view_account(provider, account, held), **where}
        case "view_access_key":
            return {**_view_key(provider, account, params, where, back=back), **where}
        case "call_function":
            return {**_call_function(provider, account, params, block, back=back), **where}
        case other:
            raise invalid(f"request_type {other!r} is not supported here")


def _view_account(provider: Provider, account: str, held: int) -> dict[str, Any]:
    contract = provider.chain.contracts.get(account)
    code_hash = _NO_CONTRACT if contract is None else contract.code_hash
    return {
        "amount": str(held),
        "locked": "0",
        "code_hash": code_hash,
        "storage_usage": 182,
        "storage_paid_at": 0,
    }


def _view_key(
    provider: Provider, account: str, params: Params, where: Params, *, back: int
) -> dict[str, Any]:
    shown = str(params.get("public_key"))
    if not shown.startswith("ed25519:"):
        raise invalid("public_key: ed25519:<base58> is expected")
    raw = base58_of(shown.removeprefix("ed25519:"), "public_key")
    key = state.access_key(provider.chain.store, account, raw, back=back)
    if key is None:
        raise handler("UNKNOWN_ACCESS_KEY", {"public_key": shown, **where})
    return {"nonce": key.nonce, "permission": show_permission(key.permission)}


def _call_function(
    provider: Provider, account: str, params: Params, block: Block, *, back: int
) -> dict[str, Any]:
    contract = provider.chain.contracts.get(account)
    if contract is None:
        raise handler("NO_CONTRACT_CODE", {"contract_account_id": account})
    try:
        args = base64.b64decode(str(params.get("args_base64", "")), validate=True)
    except binascii.Error as error:
        raise invalid(f"args_base64: {error}") from error
    context = Context(
        store=provider.chain.store,
        account_id=account,
        predecessor_id="",
        deposit=0,
        height=block.height,
        timestamp_ns=block.timestamp_ns,
        view=True,
        back=back,
    )
    try:
        value = call_json(contract, context, str(params.get("method_name")), args)
    except ActionError as error:
        # A node answers a panic inside `result`; clients that look at `error` only go wrong.
        told = f"wasm execution failed with error: {error.kind['FunctionCallError']}"
        return {"error": told, "logs": context.logs}
    return {"result": list(value), "logs": context.logs}
