"""What a plane's answers amount to: parsed once, at the edge, into observations.

Nothing here believes a status alone. A canary's `ok` is checked against each check's detail, and
attestation is what the texts literally say (`reported` evidence) until a verifier concludes it.
"""

import re
from typing import Any, Final

import msgspec

from cutover.evidence.observation import Attestation, CanaryVerdict, Readiness, Verdict
from cutover.runbook.gate import Evidence

DETAIL_CHARS_MAX: Final = 200
WORD_CHARS_MAX: Final = 100
"""What is kept of a single value; a plane must not be able to fill the journal."""


class Answer(msgspec.Struct, frozen=True):
    """A plane's answer, or how asking for it failed.

    Attributes:
        status: HTTP status; None when no whole answer came.
        body: parsed JSON; None when there was none.
        text: the first characters of the body, for people.
        error: how the connection failed; empty when it did not.
        asked: False when nothing was sent: then it says nothing about the plane.
        media: kind of content that the plane named, without parameters; empty when it named none.
    """

    status: int | None
    body: Any = None
    text: str = ""
    error: str = ""
    asked: bool = True
    media: str = ""

    def field(self, *path: str) -> Any:
        """A value inside the body, None where the path leads nowhere."""
        value = self.body
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def summary(self) -> str:
        """What happened, in one line."""
        if self.status is None:
            return self.error[:DETAIL_CHARS_MAX] or "no answer"
        return f"{self.status} {self.text}"[:DETAIL_CHARS_MAX].strip()


def read_readiness(plane: str, ready: Answer, health: Answer) -> Readiness:
    """Judge `/ready` and `/health` of one look."""
    said, deep = ready.field("ready"), health.field("readiness", "ready")
    reasons = ready.field("reasons")
    detail = ready.summary()
    if ready.status is not None and isinstance(reasons, list):
        detail = f"{ready.status} {'; '.join(str(r) for r in reasons)}"[:DETAIL_CHARS_MAX].strip()
    return Readiness(
        plane=plane,
        status=ready.status,
        ready=said if isinstance(said, bool) else None,
        health_ready=deep if isinstance(deep, bool) and health.status == 200 else None,
        detail=detail,
    )


_NEEDED: Final = ("github", "near", "eigenai")
_RAILS: Final = ("pingpay", "hotpay")
_LIES: Final = re.compile(
    r'"mock"\s*:\s*true|"success"\s*:\s*false|"hasGrant"\s*:\s*false|<!doctype|<html'
    r'|"error"\s*:\s*["{]|"(?:status|statusCode|code)"\s*:\s*"?[45]\d\d\b'
    r'|"message"\s*:\s*"Not Found"|\bNOT_FOUND\b|mock EigenAI|0xmocksignature|0x0{40}\b|^0x0+$',
    re.IGNORECASE,
)
"""Details that contradict a check's `ok` (controller-contract §7, §10)."""


def read_canary(plane: str, answer: Answer) -> CanaryVerdict:
    """Judge a canary run: `ok` and every needed check, each against its own detail."""
    checks = answer.field("checks")
    if answer.status is None or answer.field("ok") is None or not isinstance(checks, dict):
        return CanaryVerdict(plane, ok=False, failed=("no_verdict",), detail=answer.summary())
    failed = [name for name in _NEEDED if not _passed(checks.get(name))]
    if not any(_passed(checks.get(name)) for name in _RAILS):
        failed.append("payment_rail")
    ok = answer.field("ok") is True and answer.status == 200 and not failed
    if not ok and not failed:
        failed.append("ok")
    words = [f"{name}: {_detail(checks.get(name))}" for name in failed if name in checks]
    detail = "; ".join(words) or (f"{answer.status}, {', '.join(failed)}" if failed else "ok")
    return CanaryVerdict(plane, ok=ok, failed=tuple(failed), detail=detail[:DETAIL_CHARS_MAX])


def _passed(check: object) -> bool:
    if not isinstance(check, dict) or check.get("ok") is not True:
        return False
    return not _LIES.search(_detail(check))


def _detail(check: object) -> str:
    details = check.get("details") if isinstance(check, dict) else None
    if details is None:
        return ""
    return details if isinstance(details, str) else msgspec.json.encode(details).decode()


_ATTESTED: Final = re.compile(r"\b(secure\s+tee|tee|dstack|tdx|attested)\b", re.IGNORECASE)
_DENIED: Final = re.compile(r"\b(no|non|not|without|mock|simulated?|simulator)\b", re.IGNORECASE)


def read_attestation(plane: str, health: Answer, needed: Evidence) -> Attestation:
    """Judge what `/health` says about attestation: reported evidence, never more.

    A plane that answers and does not claim to be attested is `missing`; one that does not answer,
    or whose word is not enough for the runbook, is `unverifiable`.
    """
    identity = "|".join(
        str(health.field(key) or "")[:WORD_CHARS_MAX]
        for key in ("version", "plane", "build", "instance")
    )
    if health.status != 200 or not isinstance(health.body, dict):
        reasons = (f"/health gave no usable answer: {health.summary()}",)
        return Attestation(plane, Verdict.UNVERIFIABLE, Evidence.REPORTED, "", reasons)
    wallet, compute = health.field("services", "teeWallet"), health.field("compute")
    if wallet != "tee":
        reasons = (f"/health reports teeWallet={_word(wallet)}, expected 'tee'",)
        return Attestation(plane, Verdict.MISSING, Evidence.REPORTED, identity, reasons)
    if not isinstance(compute, str) or not _ATTESTED.search(compute) or _DENIED.search(compute):
        reasons = (f"/health reports compute={_word(compute)}, expected an attested runtime",)
        return Attestation(plane, Verdict.MISSING, Evidence.REPORTED, identity, reasons)
    said = f"/health reports teeWallet=tee, compute={_word(compute)}"
    if needed is Evidence.VERIFIED:
        reasons = (f"{said}; the runbook asks for a verified quote, and only the report is there",)
        return Attestation(plane, Verdict.UNVERIFIABLE, Evidence.REPORTED, identity, reasons)
    return Attestation(plane, Verdict.VERIFIED, Evidence.REPORTED, identity, (said,))


def _word(value: object) -> str:
    return repr(value)[:WORD_CHARS_MAX]
