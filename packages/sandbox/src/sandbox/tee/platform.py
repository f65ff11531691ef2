"""One processor: its patch levels, its PCK certificate, its quoting enclave (attestation §12)."""

import hashlib
import re
import struct
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from sandbox.tee import der, keys
from sandbox.tee.pki import Issued, Pki

FMSPC: Final = "B0C06F000000"
_FMSPC: Final = re.compile(r"[0-9A-F]{12}")
QE_MRSIGNER: Final = bytes.fromhex(
    "dc9e2a7c6f948f17474e34a7fc43ed030f7c1563f1babddf6340c82e0e54a8c5"
)
QE_PRODUCT: Final = 2
QE_SVN: Final = 6
_SGX: Final = (1, 2, 840, 113741, 1, 13, 1)
_QE_AUTH: Final = bytes(range(32))


@dataclass(frozen=True, slots=True)
class Svns:
    """Patch levels of a platform.

    Attributes:
        sgx: 16 components of the processor.
        pce: of the provisioning enclave.
        tdx: 16 components of the TEE; the first is the TDX module's, the second its generation.
    """

    sgx: tuple[int, ...] = (4, 4, 2, 2, 4, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0)
    pce: int = 11
    tdx: tuple[int, ...] = (11, 1, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)

    def patched(self, steps: int = 1) -> "Svns":
        """Return the levels after so many microcode updates; fewer than none: before them."""
        sgx = (max(0, self.sgx[0] + steps), *self.sgx[1:])
        tdx = (*self.tdx[:2], max(0, self.tdx[2] + steps), *self.tdx[3:])
        return Svns(sgx, self.pce, tdx)


@dataclass(frozen=True)
class Platform:
    """A processor under a test root.

    Attributes:
        name: decides its keys and PPID; revocation knows the platform by it.
        fmspc: 12 hex digits, upper case; collateral is looked up by it.
        pck_not_after: Unix seconds, the end of its certificate if not the authorities'.
    """

    pki: Pki
    name: str = "platform-1"
    svns: Svns = field(default_factory=Svns)
    fmspc: str = FMSPC
    pck_not_after: int | None = None

    def __post_init__(self) -> None:
        """Refuse an FMSPC that no certificate could carry; raises ValueError."""
        if not _FMSPC.fullmatch(self.fmspc):
            raise ValueError(f"fmspc {self.fmspc!r}: 12 hex digits, upper case, are expected")

    @property
    def ppid(self) -> bytes:
        """The processor's identity, 16 bytes."""
        return keys.derive(self.pki.seed, f"ppid {self.name}", 16)

    @cached_property
    def pck(self) -> Issued:
        """The certificate that ties the quoting enclave to the root."""
        return self.pki.issue_pck(self.name, self._extension(), self.pck_not_after)

    @property
    def pck_chain(self) -> str:
        """PEM chain, leaf first, root included."""
        return self.pck.pem + self.pki.pck_ca_chain("platform")

    @cached_property
    def attestation_key(self) -> ec.EllipticCurvePrivateKey:
        """The key that signs quotes."""
        return keys.p256(self.pki.seed, f"attestation {self.name}")

    def certify(self, attestation_public: bytes) -> bytes:
        """Return the certification data of an attestation key: QE report to PCK chain."""
        report = _qe_report(bytes(self.svns.sgx), attestation_public)
        chain = self.pck_chain.encode()
        return b"".join(
            (
                report,
                keys.sign_raw(self.pck.key, report),
                struct.pack("<H", len(_QE_AUTH)),
                _QE_AUTH,
                struct.pack("<HI", 5, len(chain)),
                chain,
            )
        )

    @cached_property
    def certification(self) -> bytes:
        """Certification data of this platform's own attestation key."""
        return self.certify(keys.raw_public(self.attestation_key))

    def _extension(self) -> bytes:
        instance = keys.derive(self.pki.seed, f"instance {self.name}", 16)
        flags = [_item((7, n), der.boolean(flag)) for n, flag in ((1, True), (2, True), (3, True))]
        return der.sequence(
            _item((1,), der.octets(self.ppid)),
            _item((2,), self._tcb()),
            _item((3,), der.octets(bytes(2))),
            _item((4,), der.octets(bytes.fromhex(self.fmspc))),
            _item((5,), der.enumerated(1)),
            _item((6,), der.octets(instance)),
            _item((7,), der.sequence(*flags)),
        )

    def _tcb(self) -> bytes:
        svns = [_item((2, n), der.integer(svn)) for n, svn in enumerate(self.svns.sgx, 1)]
        svns.append(_item((2, 17), der.integer(self.svns.pce)))
        svns.append(_item((2, 18), der.octets(bytes(self.svns.sgx))))
        return der.sequence(*svns)


def _item(path: tuple[int, ...], value: bytes) -> bytes:
    return der.sequence(der.oid((*_SGX, *path)), value)


def _qe_report(cpu_svn: bytes, attestation_public: bytes) -> bytes:
    """Return the quoting enclave's report, 384 bytes, over the attestation key."""
    bound = hashlib.sha256(attestation_public + _QE_AUTH).digest()
    return b"".join(
        (
            cpu_svn,
            bytes(4 + 28),
            bytes.fromhex("1500000000000000e700000000000000"),
            hashlib.sha256(b"sandbox quoting enclave").digest(),
            bytes(32),
            QE_MRSIGNER,
            bytes(96),
            struct.pack("<HH", QE_PRODUCT, QE_SVN),
            bytes(60),
            bound,
            bytes(32),
        )
    )
