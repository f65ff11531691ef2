"""EigenAI behind the grant API (rails §5): answers signed by an operator key, verifiable offline.

The signature is EIP-191 over `chain_id + model + prompt + output` without separators, the raw
output with its channel marks, 65 bytes of hex without `0x`.
"""

import asyncio
import functools
import hashlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sandbox.ethereum import Account, LocalAccount, encode_defunct
from sandbox.faults import Call
from sandbox.web import Answer, Request, json_answer

CHAIN_ID: Final = "1"
MODELS: Final = ("gpt-oss-120b-f16", "qwen3-32b-128k-bf16")
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")
_GRANT_TOKENS: Final = 1_000_000_000


def signed_text(model: str, prompt: str, output: str) -> str:
    """Return the text that the operator signs."""
    return CHAIN_ID + model + prompt + output


def recover(text: str, signature: str) -> str:
    """Return the address that signed; raises ValueError-like errors of eth-account on garbage."""
    recovered = Account.recover_message(encode_defunct(text=text), signature="0x" + signature)
    return str(recovered)


class GrantError(Exception):
    """The request is refused: `status` and message."""

    def __init__(self, status: int, message: str) -> None:
        self.status, self.message = status, message
        super().__init__(message)


@dataclass(slots=True)
class EigenAI:
    """The stand-in: one operator, one wallet with a grant."""

    operator: LocalAccount
    wallet: str
    tokens: int = _GRANT_TOKENS
    name: str = "eigenai"
    _known: dict[tuple[str, str], bool] = field(default_factory=dict)
    # One curve operation at a time: a burst of equal questions then costs one signature, and the
    # other stand-ins of this process are not starved by a pool of threads at pure-Python maths.
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def identify(self, request: Request) -> Call:
        """Name the call: `message`, `checkGrant`, `completions`."""
        operation = request.path.rstrip("/").rsplit("/", 1)[-1] or "root"
        wallet = request.json_object().get("walletAddress") or request.query.get("address", "")
        return Call(self.name, operation, {"api_key": str(wallet)})

    async def answer(self, request: Request, call: Call, wrong: str | None) -> Answer:
        """Answer one request."""
        del call
        if wrong == "success_false":
            return json_answer({"success": False, "error": "temporarily unavailable"})
        try:
            return json_answer(await self._dispatch(request, wrong))
        except GrantError as error:
            return json_answer({"success": False, "error": error.message}, error.status)

    async def _dispatch(self, request: Request, wrong: str | None) -> dict[str, Any]:
        match request.method, request.path.rstrip("/"):
            case "GET", "/message":
                address = _address(request.query.get("address"))
                return {"success": True, "message": _message(address), "address": address}
            case "GET", "/checkGrant":
                return self._grant(request, wrong)
            case "POST", "/api/chat/completions":
                return await self._complete(request.json_object(), wrong)
            case _:
                raise GrantError(404, "no such route")

    def _grant(self, request: Request, wrong: str | None) -> dict[str, Any]:
        address = _address(request.query.get("address"))
        has = address.lower() == self.wallet.lower() and wrong != "no_grant"
        count = self.tokens if has else 0
        return {"success": True, "tokenCount": count, "address": address, "hasGrant": has}

    async def _complete(self, body: Mapping[str, Any], wrong: str | None) -> dict[str, Any]:
        await self._authorize(body, wrong)
        model, prompt = body.get("model"), _prompt(body.get("messages"))
        if model not in MODELS:
            raise GrantError(400, f"model: one of {', '.join(MODELS)} is expected")
        seed = body.get("seed", 0)
        output = _output(prompt, seed)
        used = {"prompt_tokens": len(prompt) // 4 + 1, "completion_tokens": len(output) // 4 + 1}
        total = sum(used.values())
        if total > self.tokens:
            raise GrantError(403, "the grant is used up")
        self.tokens -= total
        text = signed_text(str(model), prompt, output)
        if wrong == "bad_signature":
            text += " "
        async with self._turn:
            signature = await asyncio.to_thread(_sign, self.operator, text)
        message = {"role": "assistant", "content": output}
        return {
            "id": "chatcmpl-" + hashlib.sha256(text.encode()).hexdigest()[:24],
            "object": "chat.completion",
            "created": int(time.time()),
            "model": model,
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {**used, "total_tokens": total},
            "signature": signature,
        }

    async def _authorize(self, body: Mapping[str, Any], wrong: str | None) -> None:
        address = _address(body.get("walletAddress"))
        if wrong == "no_grant" or address.lower() != self.wallet.lower():
            raise GrantError(403, "this wallet has no grant")
        if body.get("grantMessage") != _message(address):
            raise GrantError(401, "grantMessage is not the one that was issued")
        signature = str(body.get("grantSignature")).removeprefix("0x")
        if not await self._is_signed(address, signature):
            raise GrantError(401, "grantSignature does not belong to walletAddress")

    async def _is_signed(self, address: str, signature: str) -> bool:
        async with self._turn:
            known = self._known.get((address, signature))
            if known is None:
                known = await asyncio.to_thread(_signed_by, address, signature)
                if len(self._known) > 1000:
                    self._known.clear()
                self._known[address, signature] = known
        return known


def _address(value: object) -> str:
    if not isinstance(value, str) or _ADDRESS.fullmatch(value) is None:
        raise GrantError(400, "an address 0x<40 hex digits> is expected")
    return value


def _message(address: str) -> str:
    return f"Sign to use your inference grant.\nWallet: {address.lower()}"


def _prompt(messages: object) -> str:
    if not isinstance(messages, list) or not messages:
        raise GrantError(400, "messages: a list is expected")
    parts = [m.get("content") if isinstance(m, dict) else None for m in messages]
    if not all(isinstance(part, str) for part in parts):
        raise GrantError(400, "messages: every content is a text")
    return "".join(str(part) for part in parts)


def _output(prompt: str, seed: object) -> str:
    """Return text that depends on prompt and seed alone: the model is deterministic."""
    digest = hashlib.sha256(f"{seed}\n{prompt}".encode()).digest()
    remarks = ("steady", "concentrated", "broad", "recent")
    thought = "<|channel|>analysis<|message|>Weigh commits, leave out bots.<|end|>"
    view = f"Contribution looks {remarks[digest[0] % 4]}; shares by commits are reasonable."
    return thought + view


@functools.lru_cache(maxsize=4096)
def _sign(operator: LocalAccount, text: str) -> str:
    """Sign; deterministic (RFC 6979), so that a repeated answer costs nothing."""
    return str(operator.sign_message(encode_defunct(text=text)).signature.hex()).removeprefix("0x")


def _signed_by(address: str, signature: str) -> bool:
    try:
        return recover(_message(address), signature).lower() == address.lower()
    except Exception:  # noqa: BLE001  # eth-account has no common error family; garbage is "no"
        return False
