"""The kinds of trouble this service tells apart.

A *refusal* is an answer: nothing was sent and the text says why. A *rail error* is another system
saying no. A *rail unknown* is another system not saying anything we can rely on; it is never
treated as a no.
"""


class Refusal(Exception):  # noqa: N818 - it is an answer, not a malfunction
    """The request is understood and declined before anything left this process."""


class Busy(Refusal):
    """Declined for now: what came before is not settled yet. Nothing was signed; ask again."""


class RailError(Exception):
    """Another system answered, and the answer is a definite no.

    Attributes:
        service: which system, in the words of `/health`.
        said: what it said, short enough to show to a user.
    """

    def __init__(self, service: str, said: str) -> None:
        super().__init__(f"{service}: {said}")
        self.service = service
        self.said = said


class RailUnknown(RailError):  # noqa: N818 - the word of the design: unknown is its own outcome
    """No usable answer: a deadline, a reset, a 5xx, a body that is not what was promised."""


class ApiError(Exception):
    """A request this service refuses at its door.

    Attributes:
        status: HTTP status to answer with.
        code: slug for programs.
        text: sentence for people; never an internal detail.
    """

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.code = code
        self.text = text


class SettingsError(Exception):
    """The environment does not make a valid configuration.

    Attributes:
        faults: one sentence for each variable that is wrong.
    """

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class StartError(Exception):
    """The settings are fine, and still this process cannot serve as they say; it ends.

    The text says what was seen and what to do.
    """
