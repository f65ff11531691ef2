"""Quotes that lie: each differs from a good one in one way that a verifier must notice."""

import struct
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from sandbox.tee import keys
from sandbox.tee.pki import Pki
from sandbox.tee.platform import Platform
from sandbox.tee.quote import REPORT_DATA_AT, SIGNED_SIZE, TdReport, assemble, make_quote

Forge = Callable[[Platform, TdReport], bytes]


def bad_signature(platform: Platform, report: TdReport) -> bytes:
    """One bit of the attestation key's signature is wrong."""
    quote = bytearray(make_quote(platform, report))
    quote[SIGNED_SIZE + 4] ^= 1
    return bytes(quote)


def patched_report_data(platform: Platform, report: TdReport) -> bytes:
    """A quote over other report data, the asked ones written into it after it was signed."""
    quote = make_quote(platform, replace(report, report_data=bytes(64)))
    end = REPORT_DATA_AT + 64
    return quote[:REPORT_DATA_AT] + report.report_data + quote[end:]


def uncertified_key(platform: Platform, report: TdReport) -> bytes:
    """Signed by a key that the quoting enclave never saw."""
    key = keys.p256(platform.pki.seed, "a stranger's attestation key")
    return assemble(platform, report.pack(), key, platform.certification)


def foreign_pck(platform: Platform, report: TdReport) -> bytes:
    """The PCK chain of another processor under the same root."""
    other = Platform(platform.pki, f"{platform.name} neighbour")
    mine, chain = platform.certification, other.pck_chain.encode()
    before = len(mine) - len(platform.pck_chain.encode()) - 4
    swapped = mine[:before] + struct.pack("<I", len(chain)) + chain
    return assemble(platform, report.pack(), platform.attestation_key, swapped)


def foreign_root(platform: Platform, report: TdReport) -> bytes:
    """Right in every respect, under a root of somebody else."""
    seed = keys.derive(platform.pki.seed, "somebody else")
    return make_quote(replace(platform, pki=Pki(seed)), report)


def debug(platform: Platform, report: TdReport) -> bytes:
    """A TD whose memory the host can read."""
    return make_quote(platform, replace(report, debug=True))


def sept_ve_enabled(platform: Platform, report: TdReport) -> bytes:
    """A TD into which the host can inject faults."""
    return make_quote(platform, replace(report, sept_ve_disable=False))


QUOTE_FORGERIES: Final[Mapping[str, Forge]] = {
    forge.__name__: forge
    for forge in (
        bad_signature,
        patched_report_data,
        uncertified_key,
        foreign_pck,
        foreign_root,
        debug,
        sept_ve_enabled,
    )
}
"""Every way of forging a quote, by its name in a fault rule."""
