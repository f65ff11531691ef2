"""The bytes of a TDX quote: header and TD report, by offset (attestation §12).

Only the signed part is read here: everything behind it is malleable and none of our business. The
registers found here are compared with those that the signature's verifier reports, so that the two
readers can never disagree about what was signed.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from cutover.attestation.strict import MalformedError
from cutover.attestation.verdict import Reason, Step, failed, passed

HEADER_SIZE: Final = 48
TDX: Final = 0x81
_QE_VENDOR: Final = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
_ECDSA_P256: Final = 2
_BODY_SIZES: Final = {2: 584, 3: 648}
"""Of a version 5 quote: TD report 1.0 and 1.5."""
_FIELDS: Final = (
    ("tee_tcb_svn", 16), ("mr_seam", 48), ("mr_signer_seam", 48), ("seam_attributes", 8),
    ("td_attributes", 8), ("xfam", 8), ("mr_td", 48), ("mr_config_id", 48), ("mr_owner", 48),
    ("mr_owner_config", 48), ("rt_mr0", 48), ("rt_mr1", 48), ("rt_mr2", 48), ("rt_mr3", 48),
    ("report_data", 64),
)  # fmt: skip
_FIELDS_15: Final = (("tee_tcb_svn2", 16), ("mr_service_td", 48))
_SEPT_VE_DISABLE: Final = 1 << 28


@dataclass(frozen=True, slots=True)
class Report:
    """The TD report's registers; the last two are empty in a 1.0 report."""

    tee_tcb_svn: bytes
    mr_seam: bytes
    mr_signer_seam: bytes
    seam_attributes: bytes
    td_attributes: bytes
    xfam: bytes
    mr_td: bytes
    mr_config_id: bytes
    mr_owner: bytes
    mr_owner_config: bytes
    rt_mr0: bytes
    rt_mr1: bytes
    rt_mr2: bytes
    rt_mr3: bytes
    report_data: bytes
    tee_tcb_svn2: bytes = b""
    mr_service_td: bytes = b""

    def rtmr(self, index: int) -> bytes:
        """One of the four run-time registers."""
        return (self.rt_mr0, self.rt_mr1, self.rt_mr2, self.rt_mr3)[index]


@dataclass(frozen=True, slots=True)
class Quote:
    """A quote whose outer form is right.

    Attributes:
        raw: all its bytes.
        version: 4 or 5.
        signed_size: how many bytes from the front are signed.
        report: the TD report.
    """

    raw: bytes
    version: int
    signed_size: int
    report: Report

    def evidence_id(self) -> str:
        """SHA-256 of the signed part; the same for every malleated copy."""
        return hashlib.sha256(self.raw[: self.signed_size]).hexdigest()


def parse_quote(raw: bytes) -> Quote:
    """Read header and TD report of a version 4 or 5 TDX quote.

    Raises:
        MalformedError: for anything else, an SGX quote included.
    """
    if len(raw) < HEADER_SIZE:
        raise MalformedError(f"{len(raw)} bytes", "at least a quote's header, 48 bytes")
    version = int.from_bytes(raw[0:2], "little")
    key_type = int.from_bytes(raw[2:4], "little")
    tee = int.from_bytes(raw[4:8], "little")
    if tee != TDX or version not in {4, 5}:
        raise MalformedError(f"version {version}, TEE {tee:#x}", "a TDX quote, version 4 or 5")
    if key_type != _ECDSA_P256 or raw[12:28] != _QE_VENDOR:
        seen = f"key type {key_type}, quoting enclave vendor {raw[12:28].hex()}"
        raise MalformedError(seen, "an ECDSA P-256 key and Intel's quoting enclave")
    begin, size = _body(raw, version)
    if len(raw) < begin + size:
        raise MalformedError(f"{len(raw)} bytes", f"at least {begin + size}")
    return Quote(raw, version, begin + size, _report(raw[begin : begin + size]))


def _body(raw: bytes, version: int) -> tuple[int, int]:
    """Where the report begins, and its size."""
    if version == 4:
        return HEADER_SIZE, _BODY_SIZES[2]
    kind, size = int.from_bytes(raw[48:50], "little"), int.from_bytes(raw[50:54], "little")
    if _BODY_SIZES.get(kind) != size:
        raise MalformedError(f"body type {kind} of {size} bytes", "a TD report 1.0 or 1.5")
    return HEADER_SIZE + 6, size


def _report(body: bytes) -> Report:
    fields = _FIELDS if len(body) == _BODY_SIZES[2] else (*_FIELDS, *_FIELDS_15)
    found, at = {}, 0
    for name, size in fields:
        found[name] = body[at : at + size]
        at += size
    return Report(**found)


def judge_format(quote: Quote) -> list[Reason]:
    """No debug mode, no foreign TDX module, no service TD (attestation §5, §10)."""
    step, report = Step.QUOTE_FORMAT, quote.report
    reasons = []
    if report.td_attributes[0] != 0:
        seen = f"td_attributes {report.td_attributes.hex()}"
        expected = "no debug bit: a debugged TD can be read and changed by its host"
        reasons.append(failed(step, "debug", seen, expected))
    if not int.from_bytes(report.td_attributes, "little") & _SEPT_VE_DISABLE:
        seen = f"td_attributes {report.td_attributes.hex()}"
        reasons.append(failed(step, "sept_ve", seen, "SEPT_VE_DISABLE set"))
    if any(report.mr_signer_seam):
        seen = f"mr_signer_seam {report.mr_signer_seam.hex()}"
        reasons.append(failed(step, "seam_signer", seen, "zeros: Intel's own TDX module"))
    if any(report.mr_service_td):
        seen = f"mr_service_td {report.mr_service_td.hex()}"
        reasons.append(failed(step, "service_td", seen, "zeros: no service TD bound"))
    return reasons or [passed(step, "tdx", f"TDX quote version {quote.version}, no debug")]
