"""Whether what the conductor must ask of a plane answers at all; how well is for the gates.

A status is no answer: a proxy's page, a parked domain or a log-in form have one, too. So each is
recognised by what it says, in the contract's form (contract §1, §2, §7).
"""

import re
from typing import Final

from cutover.conductor.preconditions.finding import Finding, fails, holds
from cutover.evidence.planes import Answer, read_canary

_SHOWN_CHARS_MAX: Final = 40
_JSON: Final = re.compile(r"application/([a-z0-9.+-]+\+)?json")


def judge_endpoints(plane: str, ready: Answer, health: Answer, canary: Answer) -> Finding:
    """Whether `/ready`, `/health` and `/canary/run` of a plane are the endpoints that they seem."""
    seen = {
        "/ready": (ready, _ready(ready)),
        "/health": (health, _health(health)),
        "/canary/run": (canary, _canary(plane, canary)),
    }
    said = {path: wrong or str(answer.status) for path, (answer, wrong) in seen.items()}
    text = f"{plane}: " + ", ".join(f"{path} {word}" for path, word in said.items())
    return fails(text) if any(wrong for _, wrong in seen.values()) else holds(text)


def _ready(answer: Answer) -> str:
    """What is wrong with `/ready`; empty when it is one."""
    told = isinstance(answer.field("ready"), bool)
    return _wrong(answer, (200, 503)) or ("" if told else "says no `ready`")


def _health(answer: Answer) -> str:
    told = isinstance(answer.field("services"), dict) and isinstance(answer.field("status"), str)
    return _wrong(answer, (200,)) or ("" if told else "lists no `status` and `services`")


def _canary(plane: str, answer: Answer) -> str:
    told = read_canary(plane, answer).failed != ("no_verdict",)
    return _wrong(answer, (200, 503)) or ("" if told else "gives no verdict")


def _wrong(answer: Answer, expected: tuple[int, ...]) -> str:
    """What no endpoint of the contract answers, whichever it is."""
    if answer.status is None:
        return _unanswered(answer.error)
    if answer.status not in expected:
        words = " or ".join(map(str, expected))
        return f"{answer.status}, expected {words}{_hint(answer.status)}"
    if answer.media and not _JSON.fullmatch(answer.media):
        return f"{answer.status} as {answer.media[:_SHOWN_CHARS_MAX]}, expected JSON"
    if not isinstance(answer.body, dict):
        return f"{answer.status} without JSON: something else answers there"
    return ""


def _unanswered(error: str) -> str:
    """How asking failed; what somebody sent in place of HTTP is not repeated."""
    kind = error.partition(":")[0]
    if kind.endswith("ProtocolError"):
        return f"{kind}: what comes is no whole HTTP answer"
    return error or "gives no answer"


def _hint(status: int) -> str:
    if 300 <= status < 400:
        return ": redirects are not followed, give the address that they lead to"
    return ": the key of the configuration is refused" if status in (401, 403) else ""
