"""Whether another runbook can be compared with a record at all; each misfit with its line."""

from collections.abc import Iterable, Iterator
from enum import StrEnum

from cutover.decision.whatif.book import Book
from cutover.runbook.document import Runbook
from cutover.runbook.finding import Fault, Finding, where
from cutover.runbook.gate import LiveIntentGate
from cutover.runbook.lines import key_lines, line_of
from cutover.runbook.shape import parse_toml


def misfits(book: Book, recorded: Runbook, other: Runbook, source: str) -> list[Finding]:
    """Why the record says nothing about another runbook's rules; empty when it does.

    Args:
        book: notes of a first reading of the record.
        recorded: the runbook that the run adopted.
        other: the rules to compare with.
        source: their file's name.
    """
    faults = [*_planes(recorded, other), *_asked(book, other)]
    lines, values = key_lines(other.text), parse_toml(other.text)
    found = [
        Finding(source, line_of(lines, f.loc), where(values, f.loc), f.seen, f.expected, f.severity)
        for f in faults
    ]
    return sorted(found, key=lambda finding: finding.line)


def _planes(recorded: Runbook, other: Runbook) -> Iterator[Fault]:
    for role in ("fallback", "candidate"):
        seen, was = getattr(other, role), getattr(recorded, role)
        if seen != was:
            text = f"{was!r}, the {role} of the recorded run: of other planes it says nothing"
            yield Fault(("runbook", role), repr(seen), text)


def _asked(book: Book, other: Runbook) -> Iterator[Fault]:
    """What the record carried out others of, but never this one, would be waited for forever."""
    for number, pre in enumerate(other.preconditions):
        if book.preconditions and pre.check not in book.preconditions:
            yield Fault(
                ("precondition", number, "check"), repr(pre.check.value), _only(book.preconditions)
            )
    executed = {intent for _, intent in book.live}
    for number, gate in enumerate(other.gates):
        if not isinstance(gate, LiveIntentGate) or not executed:
            continue
        for intent in gate.intents:
            if intent not in executed:
                yield Fault(("gate", number, "intents"), repr(intent.value), _only(executed))
    for number, check in enumerate(other.post_checks):
        if book.post_checks and check.name not in book.post_checks:
            yield Fault(
                ("post_check", number, "check"), repr(check.name.value), _only(book.post_checks)
            )


def _only(known: Iterable[StrEnum]) -> str:
    return f"one that the record carried out: {', '.join(sorted(known))}"
