"""Reading a stored state: one of another version is none, the journal is folded instead."""

import msgspec

from cutover import __version__
from cutover.decision.run import Run
from cutover.decision.stored import Stored, stored

__all__ = ["stored", "unstored"]


def unstored(data: bytes) -> Run | None:
    """The state, None when another version stored it or this one cannot read it."""
    try:
        found = msgspec.json.decode(data, type=Stored)
        if found.version != __version__:
            return None
        return msgspec.json.decode(found.run, type=Run)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
