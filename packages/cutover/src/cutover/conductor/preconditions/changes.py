"""What a deployment changes of the code that its image carries.

A digest says which bytes were handed over, not that they are what runs: a mount over the code, a
command of somebody's own or a variable that a loader reads make another program of the same image
(rails §7). Everything here is a list of such changes, in words; an empty list is what must be.
"""

from collections.abc import Collection, Mapping
from posixpath import isabs, normpath
from typing import Any, Final

MAY_MOUNT: Final = ("/run", "/tmp", "/var/lib/agent", "/var/run/dstack.sock")  # noqa: S108 - places in a container
"""Where data belongs in our image; nothing that runs is looked for there."""

LOADERS: Final = (
    "LD_AUDIT", "LD_LIBRARY_PATH", "LD_PRELOAD", "NODE_OPTIONS", "NODE_PATH", "PATH", "PYTHONHOME",
    "PYTHONPATH", "PYTHONSTARTUP", "PYTHONUSERBASE",
)  # fmt: skip
"""Variables that decide which code is loaded; `deploy/record.sh` brings these and no others."""

_KEYS: Final = (
    "build", "command", "develop", "entrypoint", "extends", "post_start", "privileged", "provider",
    "volumes_from", "working_dir",
)  # fmt: skip
"""Keys of a compose service by which something else may run than the image's own command."""

_PLACES: Final = {"volumes": "", "tmpfs": "", "configs": "/", "secrets": "/run/secrets/"}
"""Keys by which something is put into the container, and where when no place is named."""


def changed_by_service(service: Mapping[str, Any], may_mount: Collection[str]) -> list[str]:
    """What a service of a compose file changes.

    Args:
        service: as the file has it, every scalar as text.
        may_mount: places where data may be mounted.
    """
    found = [key for key in _KEYS if _given(service.get(key))]
    for key, default in _PLACES.items():
        found += changed_by_mounts(_targets(service.get(key), default), may_mount)
    told = service.get("environment")
    names = told if isinstance(told, dict) else [str(one).partition("=")[0] for one in told or ()]
    return [*found, *(f"the variable {name}" for name in LOADERS if name in names)]


def changed_by_mounts(places: Collection[str], may_mount: Collection[str]) -> list[str]:
    """Mounts that may lie over code: all that are not at or below a place for data."""
    return [f"a mount at {place[:100]!r}" for place in places if not _below(place, may_mount)]


def _given(value: object) -> bool:
    return value is not None and value not in ("", "false")


def _targets(value: object, default: str) -> list[str]:
    """Where entries of a service are put; an entry that cannot be read gives itself."""
    entries = value if isinstance(value, list) else [value] if _given(value) else []
    return [_target(entry, default) for entry in entries]


def _target(entry: object, default: str) -> str:
    if isinstance(entry, dict):
        named = entry.get("target")
        place = str(named if _given(named) else entry.get("source", ""))
    else:
        parts = str(entry).split(":")
        place = parts[1] if len(parts) > 1 and isabs(parts[1]) else parts[0]
    return place if isabs(place) or not default else default + place


def _below(place: str, allowed: Collection[str]) -> bool:
    if not isabs(place) or "$" in place:
        return False
    plain = normpath(place)
    return any(plain == one or plain.startswith(f"{one}/") for one in allowed)
