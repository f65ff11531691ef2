"""The plane's statement, and the 64 bytes of the quote that bind it (attestation §15).

`report_data` is the SHA-512 of the statement's bytes. The statement carries our nonce, so the quote
is as fresh as the nonce; and the TLS key, so that the plane which proved itself is the endpoint
that answers.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cutover.attestation.strict import (
    MalformedError,
    canonical_json,
    hex_bytes,
    read_json,
    shown,
    table_of,
    text_of,
)

PURPOSE: Final = "cutover.report_data.v1"
NONCE_SIZE: Final = 32
_NAMES: Final = frozenset({
    "app", "expires", "instance", "keys", "nonce", "plane", "purpose", "release", "tls_spki",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Statement:
    """What the plane says of itself, and of nothing else.

    Attributes:
        raw: the very bytes.
        app: app id, raw bytes.
        expires: Unix seconds.
        instance: instance id, raw bytes; may be empty.
        keys: SHA-256 of the key set.
        nonce: ours.
        plane, release: as the plane was deployed.
        tls_spki: SHA-256 of its TLS key's SubjectPublicKeyInfo.
    """

    raw: bytes
    app: bytes
    expires: int
    instance: bytes
    keys: bytes
    nonce: bytes
    plane: str
    release: str
    tls_spki: bytes


def parse_statement(raw: bytes) -> Statement:
    """Read a statement; it must be its own canonical form, so that there is one text for it.

    Raises:
        MalformedError: for anything else.
    """
    what = "statement"
    fields = table_of(read_json(raw, what), what)
    if set(fields) != _NAMES:
        odd = ", ".join(sorted(set(fields) ^ _NAMES))
        raise MalformedError(
            f"statement with {shown(odd)} missing or too many", "exactly its names"
        )
    expires = fields["expires"]
    if type(expires) is not int or not 0 < expires < 2**40:
        raise MalformedError(f"statement: expires {shown(expires)}", "Unix seconds")
    purpose = text_of(fields, "purpose", what)
    if purpose != PURPOSE:
        raise MalformedError(f"statement: purpose {shown(purpose)}", PURPOSE)
    if not hmac.compare_digest(canonical_json(fields), raw):
        raise MalformedError("a statement in another spelling", "canonical JSON")
    return Statement(
        raw,
        hex_bytes(fields["app"], "statement: app", 20),
        expires,
        hex_bytes(fields["instance"], "statement: instance", 0, 20),
        hex_bytes(fields["keys"], "statement: keys", 32),
        hex_bytes(fields["nonce"], "statement: nonce", NONCE_SIZE),
        text_of(fields, "plane", what),
        text_of(fields, "release", what),
        hex_bytes(fields["tls_spki"], "statement: tls_spki", 32),
    )


def report_data(raw: bytes) -> bytes:
    """The 64 bytes that a quote over this statement carries."""
    return hashlib.sha512(raw).digest()


def key_set_digest(tls_spki: bytes, wallets: Sequence[tuple[str, bytes]]) -> bytes:
    """SHA-256 of the canonical list of `tls:…` and `algorithm:public key`, sorted."""
    names = [f"tls:{tls_spki.hex()}", *(f"{kind}:{key.hex()}" for kind, key in wallets)]
    return hashlib.sha256(canonical_json(sorted(names))).digest()
