"""Who wrote an answer: EigenAI's operator signature, checked offline (rails §5).

Pure. The operator signs `chain id + model + prompt + output` without separators, by EIP-191. The
prompt is every message we sent, the output is the raw answer before any clean-up. What this
proves is origin; it does not prove that the same seed gives the same text.
"""

import re
from dataclasses import dataclass

from eth_keys.datatypes import Signature
from eth_keys.exceptions import BadSignature
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError

_SIGNATURE = re.compile(r"[0-9a-fA-F]{130}")
_CHANNEL = re.compile(r"<\|channel\|>analysis<\|message\|>.*?<\|end\|>", re.DOTALL)
_MARK = re.compile(r"<\|[a-z_]{1,20}\|>(?:assistant|final)?")


@dataclass(frozen=True)
class Statement:
    """Everything the signature covers.

    Attributes:
        chain_id: `1`, also behind the grant API.
        model: as the *answer* names it.
        prompt: contents of all messages sent, joined.
        output: contents of all choices, joined, raw.
    """

    chain_id: str
    model: str
    prompt: str
    output: str


def personal_hash(message: str) -> bytes:
    """The EIP-191 hash of a text."""
    data = message.encode()
    return keccak(b"\x19Ethereum Signed Message:\n" + str(len(data)).encode() + data)


def signer_of(statement: Statement, signature: str) -> str | None:
    """The address that signed, in lower case; None for a signature that is none."""
    plain = signature.removeprefix("0x")
    if not _SIGNATURE.fullmatch(plain):
        return None
    raw = bytes.fromhex(plain)
    recovery = raw[64] - 27 if raw[64] >= 27 else raw[64]
    message = statement.chain_id + statement.model + statement.prompt + statement.output
    try:
        found = Signature(raw[:64] + bytes([recovery]))
        public = found.recover_public_key_from_msg_hash(personal_hash(message))
    except (BadSignature, ValidationError, ValueError):
        return None
    return public.to_address().lower()


def shown(output: str) -> str:
    """The part of a verified raw output that is meant for readers."""
    return _MARK.sub("", _CHANNEL.sub("", output)).strip()
