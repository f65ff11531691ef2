"""The grammar as Markdown, so that the reference page cannot differ from the code."""

from collections.abc import Iterable

from cutover.routing.classify import forms
from cutover.routing.grammar import PARTS
from cutover.runbook.intent import RISK_OF


def tables() -> str:
    """Two tables, the forms and the parts in them; ends without a line end."""
    said = (
        (form.intent, RISK_OF[form.intent], form.name, _code(form.pattern), _code(form.example))
        for form in forms()
    )
    parts = ((_code(name), part.meaning) for name, part in PARTS.items())
    return "\n\n".join(
        (
            _table(("intent", "risk", "form", "the whole text", "example"), said),
            _table(("part", "stands for"), parts),
        )
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = (head, tuple("---" for _ in head), *rows)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _code(text: str) -> str:
    """Code in a table cell, where a bar would end the cell even between back-ticks."""
    return f"`{text}`".replace("|", r"\|")
