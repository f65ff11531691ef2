"""EigenAI through the grant API (rails §5): grant, chat, and the check of who answered."""

import re
from dataclasses import dataclass
from typing import Any

from eth_keys.datatypes import PrivateKey

from agent_runtime import wire
from agent_runtime.connections import Connections
from agent_runtime.errors import RailError, RailUnknown
from agent_runtime.flight import Flight
from agent_runtime.rails.eigen_proof import Statement, personal_hash, shown, signer_of
from agent_runtime.settings import Settings

GRANT_SECONDS = 3.0
CHAT_SECONDS = 9.0
TOKENS_MAX = 400
SEED = 42
STALE_GRANT = frozenset({400, 401, 403})


@dataclass(frozen=True)
class Insight:
    """A text whose origin is proved.

    Attributes:
        text: for readers, taken from the verified raw output.
        signature: 130 hex digits, no prefix.
        operator: the allowed address that signed.
    """

    text: str
    signature: str
    operator: str


class EigenAi:
    """One grant wallet at the grant API."""

    def __init__(self, client: Connections, settings: Settings) -> None:
        self._client = client
        self._settings = settings
        self._grant: dict[str, str] | None = None
        self._signing: Flight[dict[str, str]] = Flight()

    @property
    def configured(self) -> bool:
        """Whether there is a grant wallet."""
        return bool(self._settings.eigenai_key)

    async def grant(self) -> dict[str, Any]:
        """What is left of the grant, as the API says it.

        Raises:
            RailError: no wallet, or the API refuses the address.
            RailUnknown: no usable answer.
        """
        self._require_wallet()
        answer = await self._get("/checkGrant")
        found = answer.expect(200).json()
        if not isinstance(found, dict):
            raise RailUnknown("eigenai", "checkGrant gave no record")
        return found

    async def explain(self, messages: list[dict[str, str]]) -> Insight:
        """Ask the model, verify the operator's signature, and only then return its text.

        Raises:
            RailError: no wallet, a refusal, or a signature that is not an allowed operator's.
            RailUnknown: no usable answer.
        """
        self._require_wallet()
        grant = await self._signed_grant()
        answer = await self._chat(messages, grant)
        if answer.status in STALE_GRANT:
            if self._grant is grant:  # else somebody has renewed it already
                self._grant = None
            answer = await self._chat(messages, await self._signed_grant())
        return self._verified(answer.expect(200).json(), messages)

    def _require_wallet(self) -> None:
        if not self.configured:
            raise RailError("eigenai", "not configured")

    async def _signed_grant(self) -> dict[str, str]:
        if self._grant is not None:
            return self._grant
        return await self._signing.share("grant", self._sign_grant)

    async def _sign_grant(self) -> dict[str, str]:
        found = (await self._get("/message")).expect(200).json()
        message = found.get("message") if isinstance(found, dict) else None
        if not isinstance(message, str) or found.get("success") is not True:
            raise RailUnknown("eigenai", "no grant message to sign")
        self._grant = {
            "grantMessage": message,
            "grantSignature": sign_personal(self._settings.eigenai_key, message),
            "walletAddress": self._settings.eigenai_address,
        }
        return self._grant

    async def _chat(self, messages: list[dict[str, str]], grant: dict[str, str]) -> wire.Answer:
        body = {
            "model": self._settings.eigenai_model,
            "messages": messages,
            "seed": SEED,
            "max_tokens": TOKENS_MAX,
            "temperature": 0,
            **grant,
        }
        return await wire.ask(
            self._client,
            "eigenai",
            "POST",
            self._settings.eigenai_base + "/api/chat/completions",
            deadline_seconds=CHAT_SECONDS,
            headers={"content-type": "application/json"},
            content=wire.encode(body),
        )

    async def _get(self, path: str) -> wire.Answer:
        return await wire.ask(
            self._client,
            "eigenai",
            "GET",
            self._settings.eigenai_base + path,
            deadline_seconds=GRANT_SECONDS,
            params={"address": self._settings.eigenai_address},
        )

    def _verified(self, found: Any, messages: list[dict[str, str]]) -> Insight:
        try:
            output = "".join(choice["message"]["content"] for choice in found["choices"])
            model, signature = str(found["model"]), str(found["signature"])
        except (KeyError, TypeError) as error:
            raise RailUnknown("eigenai", "an answer without choices, model or signature") from error
        prompt = "".join(message["content"] for message in messages)
        statement = Statement(self._settings.eigenai_chain_id, model, prompt, output)
        operator = signer_of(statement, signature)
        if operator not in self._settings.eigenai_operators:
            raise RailError("eigenai", "the answer is not signed by an allowed operator")
        text = shown(output)
        if not text:
            raise RailError("eigenai", "the answer holds no text for readers")
        return Insight(text, re.sub("^0x", "", signature), operator)


def sign_personal(key_hex: str, message: str) -> str:
    """An EIP-191 personal signature, `0x` and 130 hex digits."""
    signature = PrivateKey(bytes.fromhex(key_hex)).sign_msg_hash(personal_hash(message))
    raw = signature.to_bytes()
    return "0x" + raw[:64].hex() + f"{raw[64] + 27:02x}"


def address_of(key_hex: str) -> str:
    """The address of a private key, in lower case."""
    return PrivateKey(bytes.fromhex(key_hex)).public_key.to_address().lower()
