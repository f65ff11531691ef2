"""A person in the middle: answers in the candidate's place, under a TLS key of his own.

Whoever compares keys in the handshake says nothing to him. What he hears all the same, he tells.
"""

import asyncio
import hashlib
from collections.abc import Callable
from typing import Final

from cutover.simulator.kernel.network import Between

KEY: Final = hashlib.sha256(b"the key of a person in the middle").hexdigest()

Heard = Callable[[bytes], None]


class _Ear(asyncio.Protocol):
    """One connection that somebody opened to him."""

    def __init__(self, heard: Heard) -> None:
        self._heard = heard

    def data_received(self, data: bytes) -> None:
        self._heard(data)


def intruder(heard: Heard) -> Between:
    """Such a person.

    Args:
        heard: told of every piece that reaches him.
    """
    return Between(KEY, lambda: _Ear(heard))
