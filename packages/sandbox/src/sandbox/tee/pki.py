"""The authorities that stand for Intel's, their certificates and their revocation lists.

Same tree, same extensions and same algorithms as the real one (attestation §12): a root, two PCK
authorities and the TCB signer below it. Serial numbers follow from names, so that a service can
revoke a certificate that another process issued from the same seed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from sandbox.tee import keys

Authority = Literal["platform", "processor"]
ROOT: Final = "root-ca"
TCB_SIGNER: Final = "tcb-signer"
_YEAR_2018: Final = 1_514_764_800
_YEAR_2050: Final = 2_524_608_000
_CRL_ADDRESS: Final = "https://pki.sandbox.invalid/root.crl"
SGX_EXTENSION: Final = "1.2.840.113741.1.13.1"


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its key."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> str:
        """The certificate as PEM text."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def der(self) -> bytes:
        """The certificate as DER."""
        return self.certificate.public_bytes(Encoding.DER)


@dataclass(frozen=True)
class Pki:
    """All authorities of one seed.

    Attributes:
        seed: whoever knows it is the root.
        not_before: Unix seconds, of every certificate.
        not_after: Unix seconds, likewise.
    """

    seed: bytes
    not_before: int = _YEAR_2018
    not_after: int = _YEAR_2050

    @cached_property
    def root(self) -> Issued:
        """The root; a verifier that is given `root.der` believes everything made here."""
        return self._issue(ROOT, "Sandbox SGX Root CA", None, depth=1)

    @cached_property
    def tcb_signer(self) -> Issued:
        """Signs TCB info and QE identity."""
        return self._issue(TCB_SIGNER, "Sandbox SGX TCB Signing", self.root)

    @cached_property
    def _authorities(self) -> dict[Authority, Issued]:
        return {
            "platform": self._issue(
                pck_ca_name("platform"), "Sandbox SGX PCK Platform CA", self.root, depth=0
            ),
            "processor": self._issue(
                pck_ca_name("processor"), "Sandbox SGX PCK Processor CA", self.root, depth=0
            ),
        }

    def pck_ca(self, authority: Authority) -> Issued:
        """Return the authority that signs PCK certificates."""
        return self._authorities[authority]

    @property
    def tcb_chain(self) -> str:
        """PEM chain of the TCB signer, leaf first."""
        return self.tcb_signer.pem + self.root.pem

    def pck_ca_chain(self, authority: Authority) -> str:
        """Return the PEM chain of a PCK authority, leaf first."""
        return self.pck_ca(authority).pem + self.root.pem

    def issue_pck(self, name: str, extension: bytes, not_after: int | None = None) -> Issued:
        """Issue the certificate of a platform, with its SGX extension (DER)."""
        sgx = x509.UnrecognizedExtension(x509.ObjectIdentifier(SGX_EXTENSION), extension)
        return self._issue(
            name, "Sandbox SGX PCK Certificate", self.pck_ca("platform"), extra=sgx, end=not_after
        )

    def serial(self, name: str) -> int:
        """Return the serial number of the certificate called `name`."""
        return int.from_bytes(b"\x40" + keys.derive(self.seed, f"serial {name}", 19))

    def crl(self, issuer: Issued, revoked: Iterable[str], issued: int, next_update: int) -> bytes:
        """Return a revocation list as DER.

        Args:
            issuer: the root or a PCK authority.
            revoked: names of certificates.
            issued: Unix seconds.
            next_update: Unix seconds; the list is good until just before it.
        """
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(issuer.certificate.subject)
            .last_update(_date(issued))
            .next_update(_date(next_update))
            .add_extension(x509.CRLNumber(1), critical=False)
            .add_extension(_authority_id(issuer.key), critical=False)
        )
        for name in sorted(set(revoked)):
            entry = x509.RevokedCertificateBuilder().serial_number(self.serial(name))
            entry = entry.revocation_date(_date(issued))
            reason = x509.CRLReason(x509.ReasonFlags.key_compromise)
            builder = builder.add_revoked_certificate(
                entry.add_extension(reason, critical=False).build()
            )
        signed = builder.sign(issuer.key, hashes.SHA256(), ecdsa_deterministic=True)
        return signed.public_bytes(Encoding.DER)

    def _issue(
        self,
        name: str,
        common_name: str,
        issuer: Issued | None,
        *,
        depth: int | None = None,
        extra: x509.ExtensionType | None = None,
        end: int | None = None,
    ) -> Issued:
        key = keys.p256(self.seed, name)
        subject = _name(common_name)
        signer = key if issuer is None else issuer.key
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if issuer is None else issuer.certificate.subject)
            .public_key(key.public_key())
            .serial_number(self.serial(name))
            .not_valid_before(_date(self.not_before))
            .not_valid_after(_date(self.not_after if end is None else end))
            .add_extension(_authority_id(signer), critical=False)
            .add_extension(_crl_address(), critical=False)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(_usage(is_authority=depth is not None), critical=True)
            .add_extension(x509.BasicConstraints(depth is not None, depth), critical=True)
        )
        if extra is not None:
            builder = builder.add_extension(extra, critical=False)
        return Issued(key, builder.sign(signer, hashes.SHA256(), ecdsa_deterministic=True))


def pck_ca_name(authority: Authority) -> str:
    """Return what revocation calls a PCK authority."""
    return f"pck-{authority}-ca"


def _name(common_name: str) -> x509.Name:
    fields = (
        (NameOID.COMMON_NAME, common_name),
        (NameOID.ORGANIZATION_NAME, "Sandbox, proves nothing"),
        (NameOID.LOCALITY_NAME, "Laptop"),
        (NameOID.STATE_OR_PROVINCE_NAME, "CA"),
        (NameOID.COUNTRY_NAME, "US"),
    )
    return x509.Name([x509.NameAttribute(oid, text) for oid, text in fields])


def _authority_id(key: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _crl_address() -> x509.CRLDistributionPoints:
    where = [x509.UniformResourceIdentifier(_CRL_ADDRESS)]
    return x509.CRLDistributionPoints([x509.DistributionPoint(where, None, None, None)])


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=not is_authority,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def _date(unix: int) -> datetime:
    return datetime.fromtimestamp(unix, UTC)
