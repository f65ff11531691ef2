"""Our own connectivity, behind the `Reference` port."""


class SimulatedReference:
    """Answers as it is told to.

    Attributes:
        fine: whether it answers.
    """

    def __init__(self) -> None:
        self.fine = True

    async def reachable(self, deadline_ms: int) -> tuple[bool, str]:
        """Whether the reference answered."""
        del deadline_ms  # it answers at once
        return self.fine, "as told"
