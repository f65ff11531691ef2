"""JSON-RPC to one or more NEAR providers (rails §2.1).

Reads go to the providers in order until one answers usably. Sending goes to one provider named by
the caller. Nothing here signs, retries a transaction, or decides about money.
"""

import base64
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from agent_runtime import wire
from agent_runtime.connections import Connections
from agent_runtime.errors import RailError, RailUnknown

READ_SECONDS = 4.0
YOCTO_PER_BYTE = 10**19
"""What an account must hold for each byte that it stores."""


class RpcError(RailError):
    """A provider answered with a NEAR error.

    Attributes:
        name: the cause, such as `UNKNOWN_TRANSACTION`.
        reason: the inner `InvalidTxError`, such as `InvalidNonce`; empty for other errors.
        info: what the cause tells beside its name.
    """

    def __init__(
        self, name: str, reason: str, said: str, info: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__("near", said)
        self.name = name
        self.reason = reason
        self.info = info or {}


_AMBIGUOUS = frozenset(
    {
        "INTERNAL_ERROR",
        "TIMEOUT_ERROR",
        "NOT_SYNCED_YET",
        "UNAVAILABLE_SHARD",
        "DOES_NOT_TRACK_SHARD",
        "REQUEST_ROUTED",
        "NO_SYNCED_BLOCKS",
    }
)


@dataclass(frozen=True)
class Block:
    """A final block: `hash` in base58 and its `height`."""

    hash: str
    height: int


@dataclass(frozen=True)
class KeyAt:
    """An access key at a final block, in one answer, so that one node stands for both.

    Attributes:
        nonce: the highest that was used; None if the account does not have the key.
        block: the final block of that node.
    """

    nonce: int | None
    block: Block


class Rpc:
    """All providers of one network.

    Attributes:
        nodes: their addresses, in the order they are asked.
        archival: providers that remember everything; asked for proof only, never for the rest.
    """

    def __init__(
        self,
        client: Connections,
        nodes: tuple[str, ...],
        archival: tuple[str, ...] = (),
        headers: Mapping[str, tuple[str, str]] | None = None,
    ) -> None:
        self._client = client
        self.nodes = nodes
        self.archival = archival
        self._headers = {
            node: dict([pair])
            for node in (*nodes, *archival)
            if (pair := (headers or {}).get(urlsplit(node).netloc))
        }
        self._ids = itertools.count(1)

    async def call(self, node: str, method: str, params: Any, deadline_seconds: float) -> Any:
        """Ask one provider.

        Raises:
            RpcError: it answered with a NEAR error that is definite.
            RailUnknown: it did not answer usably.
        """
        content = wire.encode(
            {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        )
        answer = await wire.ask(
            self._client,
            "near",
            "POST",
            node,
            deadline_seconds=deadline_seconds,
            headers={"content-type": "application/json", **self._headers.get(node, {})},
            content=content,
        )
        body = answer.json()
        if not isinstance(body, dict) or ("error" not in body and "result" not in body):
            raise RailUnknown("near", f"HTTP {answer.status} that is no JSON-RPC answer")
        if "error" in body:
            raise error_of(body["error"])
        answer.expect(200)
        return body["result"]

    async def read(self, method: str, params: Any, node: str | None = None) -> Any:
        """Ask the providers in order, or only one; the first definite answer counts.

        Raises:
            RpcError: the first provider with a definite answer said no.
            RailUnknown: none answered usably; the last fault.
        """
        fault = RailUnknown("near", "no provider is configured (NEAR_NODE_URL)")
        for asked in self.nodes if node is None else (node,):
            try:
                return await self.call(asked, method, params, READ_SECONDS)
            except RailUnknown as error:
                fault = error
        raise fault

    async def view(self, contract: str, method: str, args: dict[str, Any]) -> Any:
        """Call a view function at final; its JSON result.

        Raises:
            RailError: the contract panicked, does not exist, or has no such function.
            RailUnknown: no provider answered usably, or the result is not JSON.
        """
        params = {
            "request_type": "call_function",
            "finality": "final",
            "account_id": contract,
            "method_name": method,
            "args_base64": base64.b64encode(wire.encode(args)).decode(),
        }
        found = await self.read("query", params)
        if "error" in found:
            raise RailError("near", f"{method}: {str(found['error'])[: wire.SHOWN_CHARS]}")
        try:
            return json.loads(bytes(found["result"]))
        except (KeyError, TypeError, ValueError) as error:
            raise RailUnknown("near", f"{method} gave no JSON result") from error

    async def final_block(self, node: str | None = None) -> Block:
        """The newest final block, of one provider if it matters which."""
        header = (await self.read("block", {"finality": "final"}, node))["header"]
        return Block(str(header["hash"]), int(header["height"]))

    async def height_of(self, block_hash: str, node: str | None = None) -> int:
        """The height of a block named by its hash.

        Raises:
            RpcError: `UNKNOWN_BLOCK`, it is not on the chain or it is forgotten.
        """
        header = (await self.read("block", {"block_id": block_hash}, node))["header"]
        return int(header["height"])

    async def key_nonce(
        self, account: str, public_key: str, node: str | None = None, *, full: bool = False
    ) -> int:
        """The access key's nonce at final, of one provider if it matters which.

        Args:
            account: that has the key.
            public_key: `ed25519:...`.
            node: the provider; any that answers if it is None.
            full: the key must have full access.

        Raises:
            RailError: the key is not on the account, or may not do enough.
        """
        found = await self._view_key(account, public_key, node)
        if full and found.get("permission") != "FullAccess":
            raise RailError(
                "near",
                f"the key {public_key} has no full access to {account}, and only such a key may"
                " attach money; give another one in NEAR_PRIVATE_KEY",
            )
        return int(found["nonce"])

    async def key_at(self, account: str, public_key: str, node: str) -> KeyAt:
        """The access key as one provider knows it, and at which final block that is.

        Raises:
            RailUnknown: it did not answer usably, or did not say at which block.
        """
        try:
            found = await self._view_key(account, public_key, node)
        except RpcError as error:
            if error.name != "UNKNOWN_ACCESS_KEY":
                raise
            return KeyAt(None, _told_at(error.info))
        return KeyAt(int(found["nonce"]), _told_at(found))

    async def _view_key(self, account: str, public_key: str, node: str | None) -> dict[str, Any]:
        params = {
            "request_type": "view_access_key",
            "finality": "final",
            "account_id": account,
            "public_key": public_key,
        }
        found: dict[str, Any] = await self.read("query", params, node)
        if "nonce" not in found:
            raise RailError("near", f"{account} does not have the access key {public_key}")
        return found

    async def spendable(self, account: str) -> int:
        """The yoctoNEAR of an account beside what pays for its storage, at final.

        Raises:
            RailUnknown: the answer does not tell.
        """
        found = await self.account(account)
        try:
            kept = int(found["storage_usage"]) * YOCTO_PER_BYTE
            return max(0, int(found["amount"]) - kept)
        except (KeyError, TypeError, ValueError) as error:
            raise RailUnknown("near", f"view_account of {account} has another shape") from error

    async def account(self, account: str) -> dict[str, Any]:
        """`view_account` at final; `amount` is in yoctoNEAR."""
        params = {"request_type": "view_account", "finality": "final", "account_id": account}
        found: dict[str, Any] = await self.read("query", params)
        if "amount" not in found:
            raise RailError("near", f"view_account of {account} gave no amount")
        return found


def _told_at(told: Mapping[str, Any]) -> Block:
    """The block at which a query was answered."""
    try:
        return Block(str(told["block_hash"]), int(told["block_height"]))
    except (KeyError, TypeError, ValueError) as error:
        raise RailUnknown("near", "an access key was told without its block") from error


def error_of(error: Any) -> RailError:
    """Translate the error member of a JSON-RPC answer (rails §2.1, error shape)."""
    if not isinstance(error, dict):
        return RailUnknown("near", "an error without a shape")
    cause = error.get("cause")
    name = str(cause.get("name", "")) if isinstance(cause, dict) else ""
    info = cause.get("info") if isinstance(cause, dict) else None
    kind = name or str(error.get("name", ""))
    reason = _invalid_tx(error.get("data"))
    if kind in _AMBIGUOUS or error.get("name") == "INTERNAL_ERROR" or not kind:
        return RailUnknown("near", kind or "an error without a name")
    said = " ".join(part for part in (kind, reason) if part)
    return RpcError(kind, reason, said, info if isinstance(info, dict) else None)


def _invalid_tx(data: Any) -> str:
    """The kind of InvalidTxError inside the legacy data member, if there is one."""
    if not isinstance(data, dict):
        return ""
    inner = data.get("TxExecutionError", data)
    inner = inner.get("InvalidTxError", "") if isinstance(inner, dict) else ""
    if isinstance(inner, dict):
        return str(next(iter(inner), ""))
    return str(inner)
