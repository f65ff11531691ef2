"""Intel's word about a platform family: TCB levels, quoting enclave, revocations (attestation §10).

Collateral is ours: fetched by us, never taken from the plane, since of several valid sets an
attester would choose the one that flatters it. The chain of one machine's PCK certificate, which
some services add, is cut off before anything is kept: it would be preferred over the quote's own.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import dcap_qvl  # type: ignore[import-untyped]  # stubs, but no py.typed
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cutover.attestation.certificates import UNREADABLE
from cutover.attestation.limits import COLLATERAL_BYTES_MAX
from cutover.attestation.strict import (
    MalformedError,
    canonical_json,
    hex_bytes,
    read_json,
    shown,
    table_of,
    text_of,
)

PARTS: Final = (
    "pck_crl_issuer_chain", "root_ca_crl", "pck_crl", "tcb_info_issuer_chain", "tcb_info",
    "tcb_info_signature", "qe_identity_issuer_chain", "qe_identity", "qe_identity_signature",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Floor:
    """Evaluation numbers below which nothing is accepted again; they never go down."""

    tcb: int = 0
    qe: int = 0

    def raised(self, other: "Floor") -> "Floor":
        """The higher of both, part by part."""
        return Floor(max(self.tcb, other.tcb), max(self.qe, other.qe))

    def above(self, other: "Floor") -> bool:
        """True if `other` falls below this floor in any part."""
        return other.tcb < self.tcb or other.qe < self.qe


@dataclass(frozen=True, slots=True)
class Collateral:
    """One complete set, its signatures not yet verified: that happens with the quote.

    Attributes:
        text: as it is kept, without any PCK chain.
        fmspc: platform family, upper-case hex.
        tee: `TDX` or `SGX`.
        issued: Unix seconds; the oldest issue date of TCB info and enclave identity.
        begins: Unix seconds; no part is from later.
        ends: Unix seconds; the first second at which some part is no longer valid.
        evaluation: evaluation numbers of TCB info and of the enclave identity.
        parsed: what the verifier takes.
    """

    text: str
    fmspc: str
    tee: str
    issued: int
    begins: int
    ends: int
    evaluation: Floor
    parsed: Any


def parse_collateral(text: str | bytes) -> Collateral:
    """Read a set in the form of `QuoteCollateralV3`.

    Raises:
        MalformedError: for anything else.
    """
    if len(text) > COLLATERAL_BYTES_MAX:
        raise MalformedError(f"{len(text)} bytes", f"at most {COLLATERAL_BYTES_MAX}")
    table = table_of(read_json(text, "collateral"), "collateral")
    kept = {name: text_of(table, name, "collateral") for name in PARTS}
    info = table_of(read_json(kept["tcb_info"], "tcb_info"), "tcb_info")
    enclave = table_of(read_json(kept["qe_identity"], "qe_identity"), "qe_identity")
    crls = [_crl(kept, "root_ca_crl"), _crl(kept, "pck_crl")]
    issued = [_date(part, "issueDate") for part in (info, enclave)]
    # TCB info and identity hold through nextUpdate, a CRL until just before it.
    ends = [_date(part, "nextUpdate") + 1 for part in (info, enclave)]
    stripped = canonical_json(kept).decode()
    return Collateral(
        stripped,
        text_of(info, "fmspc", "tcb_info").upper(),
        text_of(info, "id", "tcb_info") if "id" in info else "SGX",
        min(issued),
        max(*issued, *(begin for begin, _ in crls)),
        min(*ends, *(end for _, end in crls), *_chain_ends(kept)),
        Floor(_number(info), _number(enclave)),
        _parsed(stripped),
    )


def _crl(kept: dict[str, str], name: str) -> tuple[int, int]:
    try:
        crl = x509.load_der_x509_crl(hex_bytes(kept[name], name))
        begins, ends = crl.last_update_utc, crl.next_update_utc
    except MalformedError:
        raise
    except UNREADABLE as error:
        raise MalformedError(f"{name}: {shown(str(error))}", "a revocation list in DER") from error
    if ends is None:
        raise MalformedError(f"{name} without nextUpdate", "a list that ends")
    return int(begins.timestamp()), int(ends.timestamp())


def _chain_ends(kept: dict[str, str]) -> list[int]:
    ends = []
    for name in PARTS:
        if name.endswith("_chain"):
            try:
                chain = x509.load_pem_x509_certificates(kept[name].encode())
                ends += [int(one.not_valid_after_utc.timestamp()) + 1 for one in chain]
            except UNREADABLE as error:
                raise MalformedError(f"{name}: {shown(str(error))}", "certificates") from error
    return ends


def _date(part: dict[str, Any], name: str) -> int:
    text = text_of(part, name, "collateral")
    try:
        return int(datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp())
    except ValueError as error:
        raise MalformedError(f"{name} {shown(text)}", "a date like 2026-08-14T00:00:00Z") from error


def _number(part: dict[str, Any]) -> int:
    number = part.get("tcbEvaluationDataNumber")
    if type(number) is not int or not 0 <= number < 2**31:
        raise MalformedError(f"tcbEvaluationDataNumber {shown(number)}", "a whole number")
    return number


def _parsed(text: str) -> Any:
    try:
        return dcap_qvl.QuoteCollateralV3.from_json(text)
    except ValueError as error:
        raise MalformedError(f"collateral: {shown(str(error))}", "QuoteCollateralV3") from error


@lru_cache(maxsize=4)
def root_sha256(der: bytes) -> str:
    """The name of a root: SHA-256 of its certificate in DER, lower-case hex.

    Raises:
        MalformedError: when it is no certificate.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
    except UNREADABLE as error:
        raise MalformedError(f"root: {shown(str(error))}", "a certificate in DER") from error
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()
