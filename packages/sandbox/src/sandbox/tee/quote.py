"""TDX quotes, version 4, byte for byte as real ones are laid out (attestation §12)."""

import struct
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from sandbox.tee import keys
from sandbox.tee.platform import Platform

SIGNED_SIZE: Final = 632
"""Header and TD report: what the attestation key signs."""
QUOTE_SIZE: Final = 5006
"""Real quotes are this long; what is left over is zero and read by nobody."""
REPORT_DATA_AT: Final = 568
_VENDOR: Final = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
_DEBUG: Final = 1
_SEPT_VE_DISABLE: Final = 1 << 28


@dataclass(frozen=True, slots=True)
class TdReport:
    """What a quote says of a TD.

    Attributes:
        tee_tcb_svn: 16 bytes.
        mr_td: 48 bytes, the firmware.
        rtmrs: four registers of 48 bytes.
        report_data: 64 bytes, the guest's own.
        mr_config_id: 48 bytes, set by the host before the boot.
        debug: the host can read the guest's memory.
        sept_ve_disable: without it the host can inject faults.
    """

    tee_tcb_svn: bytes
    mr_td: bytes
    rtmrs: tuple[bytes, bytes, bytes, bytes]
    report_data: bytes
    mr_config_id: bytes = bytes(48)
    debug: bool = False
    sept_ve_disable: bool = True

    def pack(self) -> bytes:
        """Return the 584 bytes of the report body."""
        attributes = (_DEBUG if self.debug else 0) | (
            _SEPT_VE_DISABLE if self.sept_ve_disable else 0
        )
        parts = (
            (self.tee_tcb_svn, 16),
            (_MR_SEAM, 48),
            (bytes(48), 48),  # signer of the TDX module: zero means Intel
            (bytes(8), 8),
            (struct.pack("<Q", attributes), 8),
            (bytes.fromhex("e702060000000000"), 8),
            (self.mr_td, 48),
            (self.mr_config_id, 48),
            (bytes(96), 96),  # owner and owner's configuration
            *((register, 48) for register in self.rtmrs),
            (self.report_data, 64),
        )
        for part, size in parts:
            if len(part) != size:
                raise ValueError(f"a field of the TD report has {len(part)} bytes, not {size}")
        return b"".join(part for part, _ in parts)


_MR_SEAM: Final = bytes.fromhex(
    "7bf063280e94fb051f5dd7b1fc59ce9aac42bb961df8d44b709c9b0ff87a7b4d"
    "f648657ba6d1189589feab1d5a3c9a9d"
)


def make_quote(platform: Platform, report: TdReport) -> bytes:
    """Return the quote of a TD on this platform; the same one for the same report.

    Raises:
        ValueError: a field of the report has a wrong size.
    """
    return assemble(platform, report.pack(), platform.attestation_key, platform.certification)


def assemble(
    platform: Platform, body: bytes, key: ec.EllipticCurvePrivateKey, certification: bytes
) -> bytes:
    """Sign a report body with a key and join it with that (or another) key's certification."""
    user = keys.derive(platform.pki.seed, f"qe user data {platform.name}", 16) + bytes(4)
    header = struct.pack("<HHI", 4, 2, 0x81) + bytes(4) + _VENDOR + user
    signed = header + body
    signature = b"".join(
        (
            keys.sign_raw(key, signed),
            keys.raw_public(key),
            struct.pack("<HI", 6, len(certification)),
            certification,
        )
    )
    quote = signed + struct.pack("<I", len(signature)) + signature
    return quote.ljust(QUOTE_SIZE, b"\0")
