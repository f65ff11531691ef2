"""The signatures under a quote, by dcap-qvl; its texts become codes, its report becomes ours."""

import json
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, Final

import dcap_qvl  # type: ignore[import-untyped]  # stubs, but no py.typed
from cryptography import x509

from cutover.attestation.certificates import UNREADABLE
from cutover.attestation.collateral import Collateral
from cutover.attestation.quote import Quote, Report
from cutover.attestation.strict import MalformedError, shown

INTEL_ROOT_SHA256: Final = "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3"
"""SHA-256 of the Intel SGX Root CA's certificate, which dcap-qvl carries."""
_CODES: Final = (
    ("No matching TCB level", "no_tcb_level"),
    ("Revoked", "revoked"),
    ("Debug", "debug"),
    ("Fmspc mismatch", "other_fmspc"),
    ("expired", "expired"),
    ("Expired", "expired"),
    ("in the future", "not_yet_valid"),
    ("Signature", "bad_signature"),
    ("signature", "bad_signature"),
    ("certificate chain", "bad_chain"),
)
"""Which words of the verifier's text mean which code; anything else is `rejected`."""

_NAMES: Final = tuple(field.name for field in fields(Report))


class RejectedError(ValueError):
    """The quote does not verify.

    Attributes:
        code: a short word for the cause.
        text: the verifier's own.
    """

    def __init__(self, text: str) -> None:
        self.text = shown(" ".join(text.split()))
        self.code = next((code for word, code in _CODES if word in text), "rejected")
        super().__init__(self.text)


@dataclass(frozen=True, slots=True)
class Platform:
    """Where a quote comes from, as its certificate chain says; unverified.

    Attributes:
        fmspc: platform family, upper-case hex.
        ca: `platform` or `processor`.
        ends: Unix seconds at which the first certificate of the chain ends.
    """

    fmspc: str
    ca: str
    ends: int


@dataclass(frozen=True, slots=True)
class Signed:
    """What holds once the signatures do."""

    status: str
    advisory_ids: tuple[str, ...]


def platform_of(quote: Quote) -> Platform:
    """Family and CA of the machine, which say which collateral to fetch.

    Raises:
        MalformedError: when the certification data cannot be read.
    """
    try:
        chain: bytes | None = dcap_qvl.parse_quote(quote.raw).cert_chain_pem_bytes()
    except ValueError as error:
        raise MalformedError(f"certification data: {shown(str(error))}", "PCK chain") from error
    if not chain:
        raise MalformedError("a quote without certificates", "the PCK certificate chain")
    return _platform(chain)


@lru_cache(maxsize=64)
def _platform(chain: bytes) -> Platform:
    """A machine shows the same chain at every look, and reading it is a third of the check."""
    try:
        certificates = x509.load_pem_x509_certificates(chain)
        fmspc = dcap_qvl.parse_pck_extension_from_pem(chain).fmspc
        ends = min(one.not_valid_after_utc for one in certificates)
        issuer = certificates[0].issuer.rfc4514_string()
    except UNREADABLE as error:
        raise MalformedError(f"certification data: {shown(str(error))}", "PCK chain") from error
    for ca in ("Platform", "Processor"):
        if f"PCK {ca} CA" in issuer:
            return Platform(bytes(fmspc).hex().upper(), ca.lower(), int(ends.timestamp()))
    raise MalformedError(f"a PCK certificate by {shown(issuer)}", "a platform or processor CA")


def verify(quote: Quote, collateral: Collateral, root: bytes | None, at: int) -> Signed:
    """Check every signature, revocation and level at a moment.

    Args:
        quote: parsed by us.
        collateral: fetched by us.
        root: a test root in DER; None for Intel's.
        at: Unix seconds.

    Raises:
        RejectedError: when anything does not hold.
    """
    try:
        if root is None:
            found = dcap_qvl.verify(quote.raw, collateral.parsed, at)
        else:
            found = dcap_qvl.verify_with_root_ca(quote.raw, collateral.parsed, root, at)
        document = found.to_json()
    except (ValueError, OverflowError) as error:
        raise RejectedError(str(error)) from error
    _same_report(quote.report, document)
    return Signed(str(found.status), tuple(str(one) for one in found.advisory_ids))


def _same_report(ours: Report, document: str) -> None:
    """Both readers saw the same registers; what was not signed must not be judged."""
    # The library's own text; it need not be read as a stranger's.
    reports: dict[str, Any] = json.loads(document)["report"]
    theirs = reports.get("TD15") or reports.get("TD10")
    if theirs is None:
        raise RejectedError(f"a verified report of kind {next(iter(reports), None)}")
    said = {**theirs.get("base", {}), **theirs}
    for name in _NAMES:
        value: bytes = getattr(ours, name)
        if said.get(name, "") != value.hex():
            raise RejectedError(f"the verifier read another {name} than we did")
