"""TLS towards one key and no other: who presents another key gets not a byte of what is said.

The other end is known by the SHA-256 of its key's SubjectPublicKeyInfo, which its attestation
vouches for (attestation §15), not by a name that an authority certifies. The comparison is part of
the handshake, so whatever carries the bytes (asyncio, uvloop, httpx) cannot send before it.
"""

import hashlib
import hmac
import ssl
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


class PinError(ssl.SSLError):
    """The other end has another key than the pinned one, or one that cannot be read."""

    def __str__(self) -> str:
        """What was seen and expected, without the numbers of an operating system's error."""
        return str(self.args[-1]) if self.args else "another TLS key"


class PinnedContext(ssl.SSLContext):
    """A client's TLS context that accepts exactly one key.

    Attributes:
        spki: SHA-256 of its SubjectPublicKeyInfo, lower-case hex.
    """

    spki: str

    def __new__(cls, spki: str) -> Self:
        """Make a context for the key with this SHA-256.

        Raises:
            ValueError: it is not 64 lower-case hex digits.
        """
        if len(spki) != 64 or not set(spki) <= set("0123456789abcdef"):
            raise ValueError(f"a pin of {len(spki)} characters, expected 64 lower-case hex digits")
        context = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)
        context.spki = spki
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # the attested quote vouches for the key
        context.sslobject_class = _PinnedObject
        context.sslsocket_class = _PinnedSocket
        return context

    def __init__(self, spki: str) -> None:
        """Nothing is left to do; see `__new__`."""

    def compare(self, presented: str) -> None:
        """Compare a presented key's SHA-256 with the pin.

        Raises:
            PinError: it is another one.
        """
        if not hmac.compare_digest(presented, self.spki):
            raise PinError(f"TLS key {presented[:16]}…, expected {self.spki[:16]}… as attested")


def spki_sha256(certificate: bytes) -> str:
    """SHA-256 (hex) of the SubjectPublicKeyInfo of a certificate in DER.

    Raises:
        PinError: it cannot be read.
    """
    try:
        key = x509.load_der_x509_certificate(certificate).public_key()
        spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except Exception as error:  # the library raises a dozen kinds for what a stranger sends
        raise PinError(f"a certificate that cannot be read ({type(error).__name__})") from error
    return hashlib.sha256(spki).hexdigest()


def _judge(held: Any) -> None:
    """Compare the key that the other end has just proved to hold."""
    certificate = held.getpeercert(binary_form=True)
    if not certificate:
        raise PinError("no certificate, expected the attested TLS key")
    held.context.compare(spki_sha256(certificate))


class _PinnedObject(ssl.SSLObject):
    def do_handshake(self) -> None:
        super().do_handshake()
        _judge(self)


class _PinnedSocket(ssl.SSLSocket):
    def do_handshake(self, block: bool = False) -> None:
        super().do_handshake(block)
        _judge(self)
