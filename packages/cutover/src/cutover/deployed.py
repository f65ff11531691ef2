"""How the planes of a deployment's file are reached, and what its records say that they run."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml  # type: ignore[import-untyped]  # the package carries no types

from cutover.archiving import key_of
from cutover.attestation.strict import MalformedError
from cutover.attestation.yaml_tree import read_yaml
from cutover.conductor.config import PlaneAccess
from cutover.conductor.preconditions.changes import changed_by_service
from cutover.conductor.preconditions.record import read_record
from cutover.errors import ConfigurationError
from cutover.settings import FILE_BYTES_MAX, PlaneSettings, Settings

_RECORD: Final = "its declared image"
_UNUSABLE: Final = (OSError, UnicodeDecodeError, MalformedError)


def plane_access(settings: Settings) -> Mapping[str, PlaneAccess]:
    """Both planes' addresses, keys and images by their records.

    Raises:
        ConfigurationError: a compose file or a record cannot be read, or has not what it must.
    """
    return {name: _access(name, plane, settings) for name, plane in settings.planes.items()}


def _access(name: str, plane: PlaneSettings, settings: Settings) -> PlaneAccess:
    key = key_of(plane)
    if plane.compose is not None:
        with _Named(settings.place("planes", name, "compose"), plane.compose):
            service = _service(plane.compose, plane.service)
            image = _image(service, plane.service)
        record = f"{plane.compose.name}, service {plane.service}"
        changes = tuple(changed_by_service(service, settings.preconditions.may_mount))
        return PlaneAccess(plane.url, key, image, record, plane.service, changes)
    if plane.record is not None:
        path = plane.record
        with _Named(settings.place("planes", name, "record"), path):
            read_record(_read(path))
        return PlaneAccess(
            plane.url, key, "", path.name, plane.service, inspected=lambda: _read(path)
        )
    return PlaneAccess(plane.url, key, plane.image, _RECORD, plane.service)


class _Named:
    """Says of which file, and where in it, something is wrong.

    Args:
        place: of the setting that names the file.
        path: the file.
    """

    def __init__(self, place: str, path: Path) -> None:
        self._place = place
        self._path = path

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, _UNUSABLE):
            line = _line(error)
            at = f"{self._path}:{line}" if line else str(self._path)
            raise ConfigurationError(f"{self._place}: {at}: {error}") from error


def _line(error: BaseException) -> int:
    """The line where a text stops being what it should be; 0 where there is none."""
    match error.__cause__:
        case json.JSONDecodeError(lineno=line):
            return int(line)
        case yaml.MarkedYAMLError(problem_mark=mark) if mark is not None:
            return int(mark.line) + 1
        case _:
            return 0


def _read(path: Path) -> bytes:
    """The whole of a small file.

    Raises:
        OSError: it cannot be read.
        MalformedError: it is large.
    """
    with path.open("rb") as file:
        raw = file.read(FILE_BYTES_MAX + 1)
    if len(raw) > FILE_BYTES_MAX:
        raise MalformedError("a large file", f"at most {FILE_BYTES_MAX} bytes")
    return raw


def _service(path: Path, name: str) -> dict[str, Any]:
    """The runtime's service in a compose file.

    Raises:
        OSError, UnicodeDecodeError: the file cannot be read.
        MalformedError: it is no compose file with that service.
    """
    whole = _table(read_yaml(_read(path).decode("utf-8")), "the file")
    found = _table(whole.get("services"), "services")
    return _table(found.get(name), f"service {name}")


def _table(value: object, what: str) -> dict[str, Any]:
    """A table; what else is there may be somebody's secret, and is not repeated.

    Raises:
        MalformedError: for any other value.
    """
    if not isinstance(value, dict):
        raise MalformedError(
            f"{what} {'missing' if value is None else 'of another form'}", "a table"
        )
    return value


def _image(service: Mapping[str, Any], name: str) -> str:
    """The image of a service; what the file says, with a digest or without.

    Raises:
        MalformedError: it has none.
    """
    image = service.get("image")
    if not isinstance(image, str) or not image:
        raise MalformedError(f"service {name} without an image", "NAME@sha256:…")
    return image
