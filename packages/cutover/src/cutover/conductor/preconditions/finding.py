"""One thing that was found out about a precondition, and what several amount to."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding.

    Attributes:
        ok: whether it is as it must be; None when that cannot be told.
        text: what was seen, and where it is not enough what was expected.
    """

    ok: bool | None
    text: str


def holds(text: str) -> Finding:
    """It is as it must be."""
    return Finding(ok=True, text=text)


def fails(text: str) -> Finding:
    """It is definitely not."""
    return Finding(ok=False, text=text)


def unknown(text: str) -> Finding:
    """It cannot be told, which is no yes."""
    return Finding(ok=None, text=text)


def believed(text: str, *, rehearsal: bool) -> Finding:
    """Good enough for play money on loopback; anywhere else it cannot be told."""
    return holds(f"{text}; reported only") if rehearsal else unknown(text)


def amounts_to(findings: Iterable[Finding]) -> bool | None:
    """The worst of all; nothing found out is not known."""
    seen = {finding.ok for finding in findings}
    if False in seen:
        return False
    return None if None in seen or not seen else True


def gravest_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """What fails, then what is unknown, then what holds; each in its own order."""
    return tuple(sorted(findings, key=lambda found: (False, None, True).index(found.ok)))
