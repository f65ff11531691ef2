"""Do the decisions in a journal follow from what it says was seen?"""

from collections.abc import Callable, Iterable

from cutover.decision.fact import Entry
from cutover.decision.replay import replay
from cutover.errors import ConfigurationError
from cutover.runbook.load import load_text

Redecide = Callable[[Iterable[Entry]], str | None]
"""Decides again; the first divergence as a sentence, or None."""


def redecide(entries: Iterable[Entry]) -> str | None:
    """Decide again with today's rules and the adopted runbook."""
    try:
        replayed = replay(entries, lambda text: load_text(text, "runbook.toml"))
    except ConfigurationError as error:
        return f"the adopted runbook cannot be executed by this version: {error}"
    return str(replayed.divergence) if replayed.divergence else None
