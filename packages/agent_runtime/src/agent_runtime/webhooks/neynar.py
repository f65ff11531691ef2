"""A cast as Neynar delivers it: authentic, fresh, and meant for our bot, or not. Pure.

The signature is hex HMAC-SHA512 over the raw body. The time is in the body and signed with it.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Any

from agent_runtime.errors import ApiError
from agent_runtime.webhooks.proof import WRONG, read_record, require_signature

FRESH_SECONDS = 3_600
AHEAD_SECONDS = 300
WHOLE_MAX = 2**53
_HASH = re.compile(r"0x[0-9a-f]{40}")


@dataclass(frozen=True)
class Cast:
    """Something said to our bot.

    Attributes:
        hash: names it for ever; `0x` and 40 hex digits.
        fid: number of its author.
        text: what was said.
    """

    hash: str
    fid: int
    text: str


def sign(secret: bytes, body: bytes) -> str:
    """Hex HMAC-SHA512."""
    return hmac.new(secret, body, hashlib.sha512).hexdigest()


def read_cast(
    secrets: tuple[str, ...], signature: str, body: bytes, bot: int, now: float
) -> Cast | None:
    """The cast in a delivery; None if it is not for the bot `bot`, or its own.

    Raises:
        ApiError: 503 without a secret, 401 for a wrong or stale delivery, 400 for a signed body
            that is no event, or a cast without hash, author or text.
    """
    require_signature(secrets, signature, lambda secret: sign(secret, body))
    event = read_record(body)
    created = _whole(event.get("created_at"))
    if not created:
        raise ApiError(400, "invalid_request", "created_at is no number of seconds")
    if not now - FRESH_SECONDS <= created <= now + AHEAD_SECONDS:
        raise ApiError(401, "stale_delivery", WRONG)
    found = event.get("data")
    if event.get("type") != "cast.created" or not isinstance(found, dict):
        return None
    cast = _cast(found)
    return cast if cast.fid != bot and _is_for(found, bot) else None


def _cast(found: dict[str, Any]) -> Cast:
    digest, author, text = found.get("hash"), found.get("author"), found.get("text")
    fid = _whole(author.get("fid")) if isinstance(author, dict) else 0
    named = _HASH.fullmatch(digest.lower()) if isinstance(digest, str) else None
    if named is None or not fid or not isinstance(text, str):
        raise ApiError(400, "invalid_request", "a cast without hash, author's fid or text")
    return Cast(named.group(), fid, text)


def _is_for(found: dict[str, Any], bot: int) -> bool:
    """Whether it mentions the bot or answers it."""
    named = found.get("mentioned_profiles")
    profiles = [*(named if isinstance(named, list) else []), found.get("parent_author")]
    return any(isinstance(one, dict) and one.get("fid") == bot for one in profiles)


def _whole(value: Any) -> int:
    """A positive whole number; 0 for anything else."""
    is_one = isinstance(value, int) and not isinstance(value, bool) and 0 < value < WHOLE_MAX
    return value if is_one else 0
