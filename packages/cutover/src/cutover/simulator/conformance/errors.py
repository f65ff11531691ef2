"""A scenario file that cannot be used, and one that does not hold."""

from collections.abc import Iterable

from cutover.errors import ConfigurationError, CutoverError


class ScenarioError(ConfigurationError):
    """A file that is no scenario: the message names file, line, word and what is expected."""


class UnmetError(CutoverError):
    """A step that did not come out as the file says.

    Attributes:
        word: of the expectation, or the step's own.
        expected: what the file says.
        seen: what was so.
    """

    def __init__(self, word: str, expected: str, seen: str) -> None:
        super().__init__(f"{word}: expected {expected}, saw {seen}")
        self.word, self.expected, self.seen = word, expected, seen


def listed(words: Iterable[str]) -> str:
    """Known words for a message."""
    return ", ".join(sorted(words))
