"""TLS that ends in this process, under a key that belongs to this instance (attestation §7, §15).

The key is derived from what the KMS gives this app for the instance's own path: it is the same
after a restart, another one on another instance, and no disk ever has it. Nobody is asked to
believe the certificate, which signs itself; the quote names the key. Every replica of the app could
derive the key of every other one: the app is trusted, the instance only told apart.
"""

import hashlib
import ipaddress
import os
import ssl
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
LABEL = b"agent-runtime tls p256 v1 "
VALID = timedelta(days=90)
RENEW_BEFORE_END = timedelta(days=30)
SKEW = timedelta(minutes=5)
COMMON_NAME_MAX = 64


def derive_key(secret: bytes, instance_id: str) -> ec.EllipticCurvePrivateKey:
    """The P-256 key of an instance.

    Args:
        secret: 32 bytes that the KMS gave for this instance's path.
        instance_id: hex.
    """
    # 16 bytes more than the order has: the remainder is then as good as evenly spread.
    wide = HKDF(hashes.SHA256(), 48, None, LABEL + instance_id.encode()).derive(secret)
    scalar = int.from_bytes(wide) % (P256_ORDER - 1) + 1
    return ec.derive_private_key(scalar, ec.SECP256R1())


def certificate(
    key: ec.EllipticCurvePrivateKey, plane: str, names: Sequence[str], now: datetime
) -> x509.Certificate:
    """A certificate by the key itself, in force for 90 days.

    Args:
        key: its key.
        plane: id of the plane, the common name; an alternative name, too, if it can be one.
        names: DNS names and IP addresses.
        now: it begins five minutes earlier, for clocks that are behind.
    """
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, plane[:COMMON_NAME_MAX])])
    alternatives = [_alternative(text) for text in dict.fromkeys((*_dns(plane), *names))]
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + VALID)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    if alternatives:
        extension = x509.SubjectAlternativeName(alternatives)
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, hashes.SHA256())


class Channel:
    """The TLS side of this process.

    Args:
        key: this instance's.
        plane: common name of the certificate.
        names: further names in it.
        clock: the moment, with its zone.

    Attributes:
        spki: SHA-256 of the key's SubjectPublicKeyInfo, hex.
        context: for the server; its certificate is replaced in place.

    Raises:
        OSError: this system has no files in memory, or no path to them.
    """

    def __init__(
        self,
        key: ec.EllipticCurvePrivateKey,
        plane: str,
        names: Sequence[str],
        clock: Callable[[], datetime],
    ) -> None:
        self._key, self._plane, self._names, self._clock = key, plane, names, clock
        public = key.public_key()
        der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.spki = hashlib.sha256(der).hexdigest()
        self.context = _server_context()
        self._ends = clock()
        self.renew_if_due()

    def renew_if_due(self) -> None:
        """See that the certificate, which is for the same key always, does not run out."""
        now = self._clock()
        if now < self._ends - RENEW_BEFORE_END:
            return
        made = certificate(self._key, self._plane, self._names, now)
        private = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        _load(self.context, (made.public_bytes(Encoding.PEM), private))
        self._ends = made.not_valid_after_utc


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0  # no session is resumed: every connection proves the key itself
    context.set_alpn_protocols(["http/1.1"])
    return context


def _load(context: ssl.SSLContext, pem: Iterable[bytes]) -> None:
    """Hand key and certificate over; OpenSSL wants a path, so the path is of a file in memory."""
    handle = os.memfd_create("tls", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(handle), "wb") as file:
            file.writelines(pem)
        context.load_cert_chain(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)


def _dns(plane: str) -> tuple[str, ...]:
    """The plane's id, if it can stand for a host."""
    return (plane,) if plane.replace("-", "").replace(".", "").isalnum() else ()


def _alternative(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
