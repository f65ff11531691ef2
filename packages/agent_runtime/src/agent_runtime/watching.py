"""Who is told of a call to another system: its service, how it went, how long it took.

Nothing of an address, a header or a body is told: any of them may hold a key.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

AMBIGUOUS = frozenset({408, 425, 429})
Told = Callable[[int], None]


class Watch(Protocol):
    """Is asked before a call, and told its HTTP status if an answer comes."""

    def call(self, service: str, method: str) -> AbstractContextManager[Told]:
        """Around one call; leaving it untold, or by an exception, means that no answer came."""
        ...


class Nobody:
    """Watches nothing."""

    def call(self, service: str, method: str) -> AbstractContextManager[Told]:  # noqa: ARG002 - by the protocol
        """Take no note."""
        return nullcontext(_forget)


def outcome_of(status: int) -> str:
    """`answered`, `refused`, or `unknown` for no answer (0) and for one that decides nothing."""
    if status == 0 or status >= 500 or status in AMBIGUOUS:
        return "unknown"
    return "answered" if status < 400 else "refused"


def _forget(_status: int) -> None:
    """Nothing is kept."""
