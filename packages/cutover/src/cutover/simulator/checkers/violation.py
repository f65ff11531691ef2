"""The one way in which a checker speaks."""


class Violation(AssertionError):  # noqa: N818 - it names what happened; a broken invariant, no condition
    """A line that must never be crossed was crossed.

    A defect of ours, never expected trouble: nothing in the product catches it to go on.

    Attributes:
        line: number of the line, see `CHECKERS`.
        text: what was seen, and what should have been.
    """

    def __init__(self, line: int, text: str) -> None:
        super().__init__(f"line {line}: {text}")
        self.line, self.text = line, text

    def __reduce__(self) -> tuple[type["Violation"], tuple[int, str]]:
        """Cross a process boundary whole."""
        return Violation, (self.line, self.text)


def never(line: int, crossed: bool, text: str) -> None:
    """Raise unless all is well.

    Raises:
        Violation: `crossed` is true.
    """
    if crossed:
        raise Violation(line, text)
