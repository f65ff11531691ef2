"""Neynar's API, as far as the bot replies to casts.

A reply carries an idempotency key: the same part of the same reply has the same one, so it may be
sent again when nobody said whether it arrived.
"""

import hashlib
from typing import Any

from agent_runtime import wire
from agent_runtime.connections import Connections
from agent_runtime.errors import RailUnknown
from agent_runtime.settings import Settings

REPLY_SECONDS = 10.0
SIGNER_SECONDS = 5.0
CAST_MAX_BYTES = 1_024
PARTS_MAX = 5
CUT = "…"


class Neynar:
    """The bot's way to speak."""

    def __init__(self, client: Connections, settings: Settings) -> None:
        self._client = client
        self._settings = settings

    async def signer(self) -> dict[str, Any]:
        """What Neynar says of the bot's signer.

        Raises:
            RailError: Neynar refused.
            RailUnknown: it gave no usable answer.
        """
        answer = await wire.ask(
            self._client,
            "farcaster",
            "GET",
            self._settings.neynar_base + "/v2/farcaster/signer",
            deadline_seconds=SIGNER_SECONDS,
            headers={"x-api-key": self._settings.neynar_key},
            params={"signer_uuid": self._settings.neynar_signer},
        )
        found = answer.expect(200).json()
        if not isinstance(found, dict):
            raise RailUnknown("farcaster", "a signer that is no record")
        return found

    async def reply(self, text: str, parent: str, number: int) -> str:
        """Publish one part of a reply under a cast; its own hash.

        Raises:
            RailError: Neynar refused.
            RailUnknown: nobody said whether it is out; ask again with the same arguments.
        """
        answer = await wire.ask(
            self._client,
            "farcaster",
            "POST",
            self._settings.neynar_base + "/v2/farcaster/cast",
            deadline_seconds=REPLY_SECONDS,
            headers={"content-type": "application/json", "x-api-key": self._settings.neynar_key},
            content=wire.encode(
                {
                    "signer_uuid": self._settings.neynar_signer,
                    "text": text,
                    "parent": parent,
                    "idem": hashlib.sha256(f"{parent}:{number}".encode()).hexdigest()[:16],
                }
            ),
        )
        found = answer.expect(200).json()
        cast = found.get("cast") if isinstance(found, dict) and found.get("success") else None
        if not isinstance(cast, dict) or not isinstance(cast.get("hash"), str):
            raise RailUnknown("farcaster", "a published cast without a hash")
        return str(cast["hash"])


def parts_of(text: str) -> list[str]:
    """A text in casts of at most `CAST_MAX_BYTES`, broken at lines where that can be. Pure.

    Of a text that needs more than `PARTS_MAX` the middle is left out: how to approve a plan, and
    where the receipt is, stands at its end.
    """
    parts = [""]
    for line in text.splitlines(keepends=True):
        for piece in _pieces(line):
            if len((parts[-1] + piece).encode()) > CAST_MAX_BYTES - len(CUT.encode()):
                parts.append("")
            parts[-1] += piece
    found = [part.strip() for part in parts if part.strip()]
    if len(found) > PARTS_MAX:
        found = [*found[: PARTS_MAX - 2], found[PARTS_MAX - 2] + CUT, found[-1]]
    return found


def _pieces(line: str) -> list[str]:
    """A line in pieces that fit; a character has at most four bytes."""
    size = (CAST_MAX_BYTES - len(CUT.encode())) // 4
    if len(line.encode()) <= size * 4:
        return [line]
    return [line[at : at + size] for at in range(0, len(line), size)]
