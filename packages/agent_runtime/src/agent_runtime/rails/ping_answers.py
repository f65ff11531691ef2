"""What Ping's answers may mean: a closed union in which nothing means "paid". Pure (rails §4).

An answer is Ping's word. Whether money moved is for the chain to tell (`payouts.judge`).

Rules
- Taken is what names an order of Ping's own (2xx with an id), whatever else it says.
- No is only the documented refusal, `{code, message}` under one of four codes, and no id beside it.
- All else is unknown: no whole answer, 408, 425, 429, 5xx, a redirect, half a body, a 2xx without
  its id, a refusal in somebody else's words.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

import base58

from agent_runtime import wire
from agent_runtime.errors import RailUnknown

BODY_MAX_BYTES = 64 * 1024
HASHES_MAX = 16
TAKEN = frozenset({200, 201, 202})
REFUSALS = frozenset({400, 401, 403, 404, 422})
NO_EFFECT = frozenset(
    {"UNAUTHENTICATED", "INVALID_PUBLISHABLE_KEY", "NOT_FOUND", "INVALID_REQUEST"}
)
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}")
_NOT_SHOWN = re.compile(r"[^A-Za-z0-9 .,;_()/'-]+")
SHOWN_CHARS = 120


class Word(StrEnum):
    """Ping's word for where an order stands; OTHER is none or one that is not documented."""

    PENDING = "PENDING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    OTHER = "OTHER"


@dataclass(frozen=True)
class Accepted:
    """Ping has an order of ours and says where it stands. It proves nothing about money.

    Attributes:
        remote_id: Ping's id of it.
        word: its standing.
        hashes: what it calls NEAR transactions and has their form, each once.
        odd: what it calls a transaction and is none, as far as it may be shown; empty for none.
    """

    remote_id: str
    word: Word
    hashes: tuple[str, ...] = ()
    odd: str = ""


@dataclass(frozen=True)
class Declined:
    """Ping refused in its documented form: this request had no effect. Earlier ones may have."""

    code: str
    message: str


@dataclass(frozen=True)
class Unknown:
    """Nothing can be concluded: the request may have been acted upon."""

    reason: str


Answer: TypeAlias = Accepted | Declined | Unknown


def read(answer: wire.Answer, asked_id: str = "") -> Answer:
    """Read one answer.

    Args:
        answer: complete.
        asked_id: the order that was asked for; an answer about another one is unknown. Empty for
            an order that is being placed.
    """
    if len(answer.body) > BODY_MAX_BYTES:
        return Unknown(f"HTTP {answer.status} with {len(answer.body)} bytes")
    try:
        found = answer.json()
    except RailUnknown as error:
        return Unknown(error.said)
    if not isinstance(found, dict):
        return Unknown(f"HTTP {answer.status} whose body is no object")
    if answer.status in TAKEN:
        return _taken(found, answer.status, asked_id)
    return _refused(found, answer.status)


def is_hash(text: str) -> bool:
    """Whether a text has the form of a NEAR transaction's hash: base58 of 32 bytes."""
    if not 32 <= len(text) <= 44:
        return False
    try:
        return len(base58.b58decode(text)) == 32
    except ValueError:
        return False


def shown(text: str) -> str:
    """Foreign words, fit to stand inside a line of ours: no line of its own, no label, no link."""
    return " ".join(_NOT_SHOWN.sub(" ", text[: 4 * SHOWN_CHARS]).split())[:SHOWN_CHARS]


def _taken(found: dict[str, Any], status: int, asked_id: str) -> Answer:
    remote_id = found.get("intent_id")
    if not isinstance(remote_id, str) or not _ID.fullmatch(remote_id):
        return Unknown(f"HTTP {status} without the id of an order")
    if asked_id and remote_id != asked_id:
        return Unknown(f"HTTP {status} about another order than the one asked for")
    told = [text for text in _references(found) if text][:HASHES_MAX]
    hashes = tuple(dict.fromkeys(text for text in told if is_hash(text)))
    odd = next((text for text in told if not is_hash(text)), "")
    return Accepted(remote_id, _word(found.get("status")), hashes, shown(odd))


def _word(told: Any) -> Word:
    word = told.upper() if isinstance(told, str) and len(told) <= SHOWN_CHARS else ""
    return Word(word) if word in {"PENDING", "SUCCESS", "FAILED"} else Word.OTHER


def _references(found: dict[str, Any]) -> list[str]:
    """All that an answer calls a transaction on NEAR, in either place where it may stand."""
    settlement = found.get("settlement")
    refs = settlement.get("txRefs") if isinstance(settlement, dict) else None
    on_near = [
        ref.get("txHash")
        for ref in (refs if isinstance(refs, list) else [])
        if isinstance(ref, dict) and str(ref.get("chainId", "")).lower().startswith("near")
    ]
    return [text for text in (found.get("transaction_hash"), *on_near) if isinstance(text, str)]


def _refused(found: dict[str, Any], status: int) -> Answer:
    code, message = found.get("code"), found.get("message")
    named = found.get("intent_id") or found.get("paymentId")
    documented = status in REFUSALS and isinstance(code, str) and isinstance(message, str)
    if documented and code in NO_EFFECT and not named:
        return Declined(str(code), shown(str(message)))
    said = shown(code) if isinstance(code, str) else ""
    return Unknown(f"HTTP {status} {said}".rstrip())
