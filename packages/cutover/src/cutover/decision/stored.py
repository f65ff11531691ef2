"""The bytes of a stored state: the run, and which version folded it.

Another version may fold the same entries to another state, so its digest says nothing here.
"""

import hashlib

import msgspec

from cutover import __version__
from cutover.decision.run import Run


class Stored(msgspec.Struct, frozen=True):
    """A state beside the journal.

    Attributes:
        version: that folded it.
        run: the state as JSON.
    """

    version: str
    run: msgspec.Raw


def stored(run: Run) -> bytes:
    """A state as it is stored; the same for the same state."""
    body = msgspec.Raw(msgspec.json.encode(run, order="deterministic"))
    return msgspec.json.encode(Stored(__version__, body))


def digest(run: Run) -> str:
    """SHA-256 of the stored state, hex: what a `Snapshot` binds into the chain."""
    return hashlib.sha256(stored(run)).hexdigest()
