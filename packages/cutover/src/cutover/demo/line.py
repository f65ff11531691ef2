"""Where a demo's progress goes."""

from typing import Protocol


class Line(Protocol):
    """Prints one line; `quiet` ones matter only to those who watch closely."""

    def __call__(self, text: str, *, quiet: bool = False) -> None:
        """Print it."""
        ...
