"""How a plane's answer is to be counted: by what it says, never by its status alone.

The runtime answers 200 to a failed payment, and a line `Transaction:` may name an invoice or be
made up (contract §6, §10). Whatever is not understood is UNKNOWN: it never counts as healthy.
"""

import re
from typing import Final

import msgspec

from cutover.evidence.outcome import Outcome
from cutover.runbook.intent import RISK_OF, Intent, Risk


class _Answer(msgspec.Struct):
    response: str


_DECODE: Final = msgspec.json.Decoder(_Answer).decode

_DECLINED: Final = (
    "No split found",
    "❌ No split found",
    "❌ No payout-eligible",
    "❌ Strict mode",
    "🛑",
    "I didn't understand",
    "I may have misunderstood",
    "Pending plan mismatch",
)
"""The plane rightly said no: policy, input, or nothing to do."""

_EASY: Final = frozenset(i.value for i in Intent if RISK_OF[i] is Risk.LOW)
_TELLING: Final = frozenset({"✅", *(said[0] for said in _DECLINED)})
"""First characters of the answers that need a closer look."""

_CAREFUL: Final = frozenset(i.value for i in Intent if RISK_OF[i] is not Risk.LOW)
_UNSURE: Final = re.compile(r"outcome[^.\n]{0,24}\bunknown\b|\bunknown outcome\b", re.IGNORECASE)
_PLAN: Final = re.compile(r'"id"\s*:\s*"plan-[0-9a-f]{10}"')
_PAID: Final = "✅ Distributed"
_REFERENCE: Final = re.compile(r"🔗 Transaction:\s*(\S+)")
_EVM_HASH: Final = re.compile(r"0x[0-9a-fA-F]{64}")
_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE58_VALUE: Final = {character: value for value, character in enumerate(_BASE58)}


def outcome_of(intent: Intent, status: int, body: bytes) -> Outcome:
    """Classify a whole answer.

    Args:
        intent: what had been asked.
        status: of the answer.
        body: its bytes, undecoded.
    """
    if status >= 500:
        return Outcome.SERVER_ERROR
    if status >= 400:
        return Outcome.CLIENT_ERROR
    if status != 200:
        return Outcome.UNKNOWN
    try:
        text = _DECODE(body).response
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Outcome.UNKNOWN
    text = text.lstrip()
    if intent._value_ in _EASY and text[:1] not in _TELLING:
        return Outcome.OK if text else Outcome.UNKNOWN
    return _of_text(intent, text)


def names_transaction(text: str) -> bool:
    """Whether the text names a reference that can be a transaction of NEAR or of an EVM chain.

    A NEAR hash is base58 of 32 bytes in 43 or 44 characters, an EVM hash 0x and 64 hex digits.
    Says nothing about the chain; whoever needs proof looks the reference up.
    """
    return any(
        _is_near_hash(reference) or (_EVM_HASH.fullmatch(reference) and int(reference, 16) > 0)
        for reference in _REFERENCE.findall(text)
    )


def _of_text(intent: Intent, text: str) -> Outcome:
    if "unknown" in text.lower() and _says_unknown(intent, text):
        return Outcome.TIMEOUT_UNKNOWN
    if text.startswith(_DECLINED):
        return Outcome.DECLINED
    if text.startswith("❌"):
        return Outcome.BUSINESS_FAILED
    if intent is not Intent.PAY and not text.startswith(_PAID):
        return Outcome.OK if text else Outcome.UNKNOWN
    if names_transaction(text):
        return Outcome.OK
    # A plan instead of a payment is a proper answer; anything else vouches for nothing.
    return Outcome.DECLINED if _PLAN.search(text) else Outcome.UNKNOWN


def _says_unknown(intent: Intent, text: str) -> bool:
    """Whether the text says that its outcome is open: anywhere, where something may have moved.

    Elsewhere what was read may hold any words; there it is the headline of an answer that is none.
    """
    if intent._value_ in _CAREFUL:
        return _UNSURE.search(text) is not None
    return text.startswith("❌") and _UNSURE.search(text.partition("\n")[0]) is not None


def _is_near_hash(reference: str) -> bool:
    if len(reference) not in {43, 44}:
        return False
    number = 0
    for character in reference:
        value = _BASE58_VALUE.get(character)
        if value is None:
            return False
        number = number * 58 + value
    zeros = len(reference) - len(reference.lstrip("1"))
    return number > 0 and zeros + (number.bit_length() + 7) // 8 == 32
