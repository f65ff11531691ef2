"""The text that a quote is made over, and the answer around it (attestation §15). Pure."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

PURPOSE = "cutover.report_data.v1"
VERSION = 1


def canonical_json(value: Any) -> bytes:
    """Sorted names, no blanks, UTF-8: the one spelling of a statement."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def report_data(statement: bytes) -> bytes:
    """The 64 bytes that bind a statement to a quote."""
    return hashlib.sha512(statement).digest()


def key_set_digest(tls_spki: str, wallets: Sequence[bytes]) -> str:
    """SHA-256 of the sorted names of all keys.

    Args:
        tls_spki: SHA-256 of the TLS key, hex.
        wallets: compressed secp256k1 public keys.
    """
    names = [f"tls:{tls_spki}", *(f"secp256k1:{key.hex()}" for key in wallets)]
    return hashlib.sha256(canonical_json(sorted(names))).hexdigest()
