"""What can be wrong with an archive, one word and one sentence each."""

from enum import StrEnum

import msgspec


class Flaw(StrEnum):
    """What happened to a part."""

    CHANGED = "changed"
    MISSING = "missing"
    REORDERED = "reordered"
    TRUNCATED = "truncated"
    INSERTED = "inserted"
    EXTRA = "extra"
    DUPLICATE = "duplicate"
    OVERSIZED = "oversized"
    UNREADABLE = "unreadable"
    UNKNOWN = "unknown"  # sound, but of a kind that this version does not know
    DIVERGES = "diverges"  # sound, but the decisions do not follow from what was seen


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong.

    Attributes:
        part: the part's name, or `archive`.
        flaw: what happened to it.
        text: what was seen and what was expected.
    """

    part: str
    flaw: Flaw
    text: str

    def __str__(self) -> str:
        return f"{self.part} {self.flaw}: {self.text}"


def differ(part: str, seen: bytes, expected: bytes) -> Finding | None:
    """How a derived part differs from what the journal says, by lines."""
    if seen == expected:
        return None
    has, wants = seen.splitlines(keepends=True), expected.splitlines(keepends=True)
    at = next(
        (n for n, (a, b) in enumerate(zip(has, wants, strict=False)) if a != b),
        min(len(has), len(wants)),
    )
    if sorted(has) == sorted(wants):
        flaw = Flaw.REORDERED
    elif expected.startswith(seen):
        flaw = Flaw.TRUNCATED
    elif has[at:] == wants[at + 1 :][: len(has) - at] and len(has) < len(wants):
        flaw = Flaw.MISSING
    elif has[at + 1 :] == wants[at:] or at == len(wants):
        flaw = Flaw.INSERTED
    else:
        flaw = Flaw.CHANGED
    return Finding(part, flaw, f"line {at + 1} is not what the journal says")
