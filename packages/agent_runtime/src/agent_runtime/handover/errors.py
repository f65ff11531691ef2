"""Why a hand-over is not done."""


class HandoverRefusal(Exception):  # noqa: N818 - it is an answer, not a malfunction
    """Nothing was changed; the text says what was seen, what was expected, and what to do."""


class HandoverUnknown(Exception):  # noqa: N818 - the word of the design: unknown is its own outcome
    """It is not known whether it was done; doing it again finds out, and does nothing twice."""
