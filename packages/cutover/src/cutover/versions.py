"""What executes a run: the versions that a journal and an archive name."""

import platform
from importlib.metadata import version

from cutover import __version__


def versions() -> dict[str, str]:
    """What executes a run."""
    names = ("httpx", "httptools", "msgspec", "uvloop")
    found = {name: version(name) for name in names}
    return {"cutover": __version__, "python": platform.python_version(), **found}
