"""TLS keys of an app: certificates by the KMS, with evidence in them if asked (attestation §7)."""

import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sandbox.tee import keys
from sandbox.tee.der import octets
from sandbox.tee.kms import Kms

_QUOTE, _LOG, _APP = (x509.ObjectIdentifier(f"1.3.6.1.4.1.62397.1.{n}") for n in (1, 2, 3))
YEARS_10: Final = 3653 * 86_400
_LONG_AGO: Final = 1_514_764_800
_FAR_AWAY: Final = 4_102_444_800


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a certificate is asked for.

    Attributes:
        subject: common name.
        alt_names: DNS names and IP addresses.
        not_before, not_after: Unix seconds.
        evidence: quote and event log for an RA-TLS certificate.
    """

    subject: str
    not_before: int
    not_after: int
    alt_names: Sequence[str] = ()
    server: bool = True
    client: bool = False
    evidence: tuple[bytes, bytes] | None = field(default=None, repr=False)


def certificate_chain(
    kms: Kms, app_id: bytes, key: ec.EllipticCurvePrivateKey, wanted: Wanted
) -> list[str]:
    """Return the PEM chain of a TLS key: leaf, the app's authority, the root.

    Raises:
        ValueError: the validity ends before it begins, or a name is not one.
    """
    ca = kms.app_ca(app_id)
    root_name, app_name = _name("Sandbox KMS Root CA"), _name(f"Sandbox App CA {app_id.hex()}")
    certificates = (
        _leaf(app_id, key, (app_name, ca), wanted),
        _authority((app_name, ca), (root_name, kms.ca)),
        _authority((root_name, kms.ca), (root_name, kms.ca)),
    )
    return [one.public_bytes(Encoding.PEM).decode() for one in certificates]


def key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    """Return a key as PKCS#8 PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def ra_tls_report_data(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return what the quote in an RA-TLS certificate binds."""
    return hashlib.sha512(b"ratls-cert:" + keys.spki(key)).digest()


_Party = tuple[x509.Name, ec.EllipticCurvePrivateKey]


def _leaf(
    app_id: bytes, key: ec.EllipticCurvePrivateKey, issuer: _Party, wanted: Wanted
) -> x509.Certificate:
    subject = (_name(wanted.subject or "sandbox app"), key)
    builder = _builder(subject, issuer, wanted.not_before, wanted.not_after)
    builder = builder.add_extension(x509.BasicConstraints(False, None), critical=True)
    if wanted.alt_names:
        names = [_alt_name(text) for text in wanted.alt_names]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    usages = [ExtendedKeyUsageOID.SERVER_AUTH] * wanted.server
    usages += [ExtendedKeyUsageOID.CLIENT_AUTH] * wanted.client
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    values = [(_APP, app_id)]
    if wanted.evidence is not None:
        values += zip((_QUOTE, _LOG), wanted.evidence, strict=True)
    for oid, value in values:
        extension = x509.UnrecognizedExtension(oid, octets(value))
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(issuer[1], hashes.SHA256(), ecdsa_deterministic=True)


def _authority(subject: _Party, issuer: _Party) -> x509.Certificate:
    builder = _builder(subject, issuer, _LONG_AGO, _FAR_AWAY)
    builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    builder = builder.add_extension(usage, critical=True)
    return builder.sign(issuer[1], hashes.SHA256(), ecdsa_deterministic=True)


def _builder(
    subject: _Party, issuer: _Party, not_before: int, not_after: int
) -> x509.CertificateBuilder:
    public = subject[1].public_key()
    serial = int.from_bytes(b"\x40" + hashlib.sha256(keys.spki(subject[1])).digest()[:19])
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer[1].public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject[0])
        .issuer_name(issuer[0])
        .public_key(public)
        .serial_number(serial)
        .not_valid_before(datetime.fromtimestamp(not_before, UTC))
        .not_valid_after(datetime.fromtimestamp(not_after, UTC))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(issuer_id, critical=False)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _alt_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
