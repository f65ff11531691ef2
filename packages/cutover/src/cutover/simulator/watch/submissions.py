"""Line 6: a payment id is submitted at most once without an intervening proof of definite failure.

Clients of a simulation never repeat a request, so whatever comes twice was made twice by us. The
conductor may repeat its own payments under their key, on the plane that took them and no other.
"""

from cutover.simulator.checkers.violation import never


class Submissions:
    """What planes were asked to execute."""

    def __init__(self) -> None:
        self._by_key: dict[str, str] = {}

    def __call__(self, plane: str, key: str) -> None:
        """A plane was asked to execute something under a key.

        Raises:
            Violation: it is a second submission.
        """
        before = self._by_key.get(key)
        if key.startswith("client-"):
            never(6, before is not None, f"{key} was submitted to {before} and again to {plane}")
        elif key:
            moved = before not in (None, plane)
            never(6, moved, f"{key} was submitted to {before}, then to {plane}")
        self._by_key[key] = plane
