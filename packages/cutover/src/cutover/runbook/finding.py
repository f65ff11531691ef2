"""What is wrong with a runbook's text, where, and what would be right."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from cutover.errors import ConfigurationError

Loc = tuple[str | int, ...]
"""A place in the TOML document: table names, keys, and positions in arrays."""


class Severity(StrEnum):
    """An error is refused by the loader; a warning is shown and executed."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Fault:
    """A finding before its place in the text is known."""

    loc: Loc
    seen: str
    expected: str
    severity: Severity = Severity.ERROR


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to change in a runbook.

    Attributes:
        file: the name the caller gave to the text.
        line: 1-based; of the key, or of the table that should hold it.
        where: path in the document, array items by their name: `stage[canary].soak.observed`.
        seen: what is written there.
        expected: what should be, and why.
        severity: error or warning.
    """

    file: str
    line: int
    where: str
    seen: str
    expected: str
    severity: Severity

    def __str__(self) -> str:
        """One line, clickable in an editor."""
        place = f"{self.file}:{self.line}: {self.severity}: "
        path = f"{self.where}: " if self.where else ""
        return f"{place}{path}saw {self.seen}; expected {self.expected}"


class RunbookError(ConfigurationError):
    """The text is not a runbook that can be executed.

    Attributes:
        findings: every error found, in the order of the text.
    """

    def __init__(self, source: str, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        count = f"{len(self.findings)} error{'s' if len(self.findings) != 1 else ''}"
        super().__init__(
            "\n".join(str(finding) for finding in self.findings)
            + f"\n{count}; nothing was started. Change the text, then `cutover lint {source}`."
        )


def where(document: object, loc: Loc) -> str:
    """`loc` as people say it: items of arrays by their name, else by their number from 1."""
    words: list[str] = []
    at = document
    for part in loc:
        if isinstance(part, int):
            item = at[part] if isinstance(at, list) and part < len(at) else None
            words[-1:] = [f"{words[-1] if words else ''}[{_label(item, part)}]"]
            at = item
        else:
            words.append(part)
            at = at.get(part) if isinstance(at, dict) else None
    return ".".join(words)


def _label(item: object, position: int) -> str:
    if isinstance(item, dict):
        for key in ("name", "kind", "check", "intent"):
            if isinstance(item.get(key), str):
                return str(item[key])
    return f"#{position + 1}"
