"""Nonces: random, for one plane and purpose, answered at most once, forgotten soon (§15)."""

from collections.abc import Callable
from typing import Final

from cutover.attestation.bundle import Nonce
from cutover.attestation.statement import NONCE_SIZE

OPEN_MAX: Final = 256
"""Questions kept at a time; the oldest goes first, and its answer is then nobody's."""


class NonceBook:
    """The questions that were asked and not yet answered.

    Args:
        entropy: gives that many unpredictable bytes.
    """

    def __init__(self, entropy: Callable[[int], bytes]) -> None:
        self._entropy = entropy
        self._open: dict[tuple[str, bytes], Nonce] = {}

    def issue(self, about: str, now: int) -> Nonce:
        """A new nonce for one question.

        Args:
            about: plane and purpose; an answer about anything else does not count.
            now: Unix seconds.
        """
        nonce = Nonce(self._entropy(NONCE_SIZE), now)
        while len(self._open) >= OPEN_MAX:
            del self._open[next(iter(self._open))]
        self._open[about, nonce.value] = nonce
        return nonce

    def redeem(self, about: str, nonce: Nonce) -> Nonce:
        """The nonce as it is to be judged: `used` unless this is its first answer."""
        found = self._open.pop((about, nonce.value), None)
        return Nonce(nonce.value, nonce.issued, used=True) if found is None else found
