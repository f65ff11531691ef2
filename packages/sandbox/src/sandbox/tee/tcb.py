"""TCB info and QE identity: the documents that say which patch levels are good (attestation §12).

The platform never changes; the documents are written around it. "OutOfDate" therefore means what it
means in a real recovery: a higher level exists, and the platform's own is listed below it.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from sandbox.tee import keys
from sandbox.tee.pki import Pki
from sandbox.tee.platform import QE_MRSIGNER, QE_PRODUCT, QE_SVN, Platform, Svns
from sandbox.tee.settings import DAY, EvaluationSet

Kind = Literal["TDX", "SGX"]
_BEHIND: Final = frozenset({"OutOfDate", "OutOfDateConfigurationNeeded", "Revoked"})
_OLDER: Final = ("INTEL-SA-00837", "INTEL-SA-01036")
_LEVEL_AGE_SECONDS: Final = 90 * DAY


@dataclass(frozen=True, slots=True)
class Signed:
    """A document and its signature over exactly these bytes.

    Attributes:
        text: compact JSON.
        signature: r and s, 64 bytes.
    """

    text: str
    signature: bytes

    def envelope(self, name: str) -> bytes:
        """Return what the collateral service answers: the document under `name`, signed."""
        return f'{{"{name}":{self.text},"signature":"{self.signature.hex()}"}}'.encode()


def tcb_info(
    platform: Platform, found: EvaluationSet, issued: int, next_update: int, kind: Kind = "TDX"
) -> Signed:
    """Return signed TCB info for the platform's FMSPC."""
    document: dict[str, Any] = {
        "id": kind,
        "version": 3,
        "issueDate": date(issued),
        "nextUpdate": date(next_update),
        "fmspc": platform.fmspc,
        "pceId": "0000",
        "tcbType": 0,
        "tcbEvaluationDataNumber": found.number,
    }
    if kind == "TDX":
        zero = {"mrsigner": "00" * 48, "attributes": "00" * 8, "attributesMask": "FF" * 8}
        document["tdxModule"] = zero
        document["tdxModuleIdentities"] = [_module(platform.svns, found, issued, zero)]
    document["tcbLevels"] = _platform_levels(platform.svns, found, issued, kind)
    return _sign(platform.pki, document)


def qe_identity(pki: Pki, found: EvaluationSet, issued: int, next_update: int) -> Signed:
    """Return the signed identity of the TD quoting enclave."""
    document = {
        "id": "TD_QE",
        "version": 2,
        "issueDate": date(issued),
        "nextUpdate": date(next_update),
        "tcbEvaluationDataNumber": found.number,
        "miscselect": "00000000",
        "miscselectMask": "FFFFFFFF",
        "attributes": "11000000000000000000000000000000",
        "attributesMask": "FBFFFFFFFFFFFFFF0000000000000000",
        "mrsigner": QE_MRSIGNER.hex().upper(),
        "isvprodid": QE_PRODUCT,
        "tcbLevels": _svn_levels(QE_SVN, found.qe_status, _level_date(found, issued)),
    }
    return _sign(pki, document)


def evaluation_numbers(
    pki: Pki, found: list[EvaluationSet], issued: int, next_update: int
) -> Signed:
    """Return the signed list of evaluation data sets, newest first."""
    numbers = [
        {
            "tcbEvaluationDataNumber": one.number,
            "tcbRecoveryEventDate": date(_level_date(one, issued)),
            "tcbDate": date(_level_date(one, issued)),
        }
        for one in sorted(found, key=lambda one: -one.number)
    ]
    document = {
        "id": "TDX",
        "version": 1,
        "issueDate": date(issued),
        "nextUpdate": date(next_update),
        "tcbEvalNumbers": numbers,
    }
    return _sign(pki, document)


def date(unix: int) -> str:
    """Return a date as the documents write it."""
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _sign(pki: Pki, document: dict[str, Any]) -> Signed:
    text = json.dumps(document, separators=(",", ":"))
    return Signed(text, keys.sign_raw(pki.tcb_signer.key, text.encode()))


def _level_date(found: EvaluationSet, issued: int) -> int:
    return issued - _LEVEL_AGE_SECONDS if found.tcb_date is None else found.tcb_date


def _platform_levels(
    svns: Svns, found: EvaluationSet, issued: int, kind: Kind
) -> list[dict[str, Any]]:
    """Return levels, highest first: perhaps a better one, the platform's, and an older one."""
    when = _level_date(found, issued)
    better, older = svns.patched(), svns.patched(-1)
    levels = []
    if found.status == "NoMatchingLevel":
        return [_level(better, "UpToDate", when, (), kind)]
    if found.status in _BEHIND:
        levels.append(_level(better, "UpToDate", issued, (), kind))
    levels.append(_level(svns, found.status, when, found.advisories, kind))
    levels.append(_level(older, "OutOfDate", when - 365 * DAY, _OLDER, kind))
    return levels


def _level(
    svns: Svns, status: str, when: int, advisories: tuple[str, ...], kind: Kind
) -> dict[str, Any]:
    tcb: dict[str, Any] = {
        "sgxtcbcomponents": [{"svn": svn} for svn in svns.sgx],
        "pcesvn": svns.pce,
    }
    if kind == "TDX":
        # The module's own two components are judged by tdxModuleIdentities.
        tcb["tdxtcbcomponents"] = [{"svn": svn} for svn in (0, 0, *svns.tdx[2:])]
    level: dict[str, Any] = {"tcb": tcb, "tcbDate": date(when), "tcbStatus": status}
    if advisories:
        level["advisoryIDs"] = list(advisories)
    return level


def _module(
    svns: Svns, found: EvaluationSet, issued: int, signer: dict[str, str]
) -> dict[str, Any]:
    levels = _svn_levels(svns.tdx[0], found.module_status, _level_date(found, issued))
    return {"id": f"TDX_{svns.tdx[1]:02d}", **signer, "tcbLevels": levels}


def _svn_levels(svn: int, status: str, when: int) -> list[dict[str, Any]]:
    levels = [{"tcb": {"isvsvn": svn}, "tcbDate": date(when), "tcbStatus": status}]
    if status in _BEHIND:
        better = {"tcb": {"isvsvn": svn + 1}, "tcbDate": date(when), "tcbStatus": "UpToDate"}
        levels.insert(0, better)
    return levels
