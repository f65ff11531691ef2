"""The bytes of a stored state: the run, and which version folded it.

Another version may fold the same entries to another state, so a state of another version is none:
the journal is folded from its beginning instead.
"""

import msgspec

from cutover import __version__
from cutover.decision.run import Run


class _Stored(msgspec.Struct, frozen=True):
    version: str
    run: msgspec.Raw


def stored(run: Run) -> bytes:
    """A state as it is stored; the same for the same state."""
    body = msgspec.Raw(msgspec.json.encode(run, order="deterministic"))
    return msgspec.json.encode(_Stored(__version__, body))


def unstored(data: bytes) -> Run | None:
    """The state, None when another version stored it or this one cannot read it."""
    try:
        found = msgspec.json.decode(data, type=_Stored)
        if found.version != __version__:
            return None
        return msgspec.json.decode(found.run, type=Run)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
