"""File descriptors: a worker must never be short of one for a request that it has taken.

Clients are turned away beyond `Limits.connections`, planes get at most `Limits.pool` connections
each; together with what a process needs for itself that has to fit the system's limit.
"""

import errno
import logging
import resource
from dataclasses import replace
from typing import Final

from cutover.errors import ConfigurationError
from cutover.gateway.config import Limits
from cutover.gateway.page import PLANES

OWN: Final = 64
"""For a worker itself, and for clients who are just being turned away."""
CONNECTIONS_MIN: Final = 64
"""A node that could serve fewer clients at once is not worth starting."""

log = logging.getLogger("cutover.gateway.descriptors")


def raise_limit() -> int:
    """Let this process and its children have as many descriptors as the system allows them."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def fitting(limits: Limits, descriptors: int) -> Limits:
    """The limits, with as many client connections as there are descriptors for.

    Raises:
        ConfigurationError: there are too few to serve anybody.
    """
    room = descriptors - OWN - PLANES * limits.pool
    if descriptors == resource.RLIM_INFINITY or room >= limits.connections:
        return limits
    if room < CONNECTIONS_MIN:
        raise ConfigurationError(
            f"a process may have {descriptors} file descriptors, but {PLANES} planes with "
            f"{limits.pool} connections each and {CONNECTIONS_MIN} clients need "
            f"{OWN + PLANES * limits.pool + CONNECTIONS_MIN}; raise the limit (ulimit -Hn) or "
            "lower the pool"
        )
    log.warning(
        "at most %d clients at once in a worker instead of %d: a process may have %d file "
        "descriptors; raise the limit (ulimit -Hn) for more",
        room, limits.connections, descriptors,
    )  # fmt: skip
    return replace(limits, connections=room)


def exhausted(error: OSError) -> bool:
    """Whether an error says that there is no descriptor left, here or in the whole system."""
    return error.errno in {errno.EMFILE, errno.ENFILE}
