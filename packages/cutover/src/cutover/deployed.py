"""How the planes of a deployment's file are reached, and what its records say that they run."""

from collections.abc import Mapping
from typing import Final

from cutover.archiving import key_of
from cutover.attestation.strict import MalformedError, table_of
from cutover.attestation.yaml_tree import read_yaml
from cutover.conductor.config import PlaneAccess
from cutover.errors import ConfigurationError
from cutover.settings import FILE_BYTES_MAX, PlaneSettings, Settings


def plane_access(settings: Settings) -> Mapping[str, PlaneAccess]:
    """Both planes' addresses, keys and images by their records.

    Raises:
        ConfigurationError: a compose file cannot be read, or has no such service.
    """
    return {name: _access(name, plane, settings) for name, plane in settings.planes.items()}


_RECORD: Final = "its deployment record"


def _access(name: str, plane: PlaneSettings, settings: Settings) -> PlaneAccess:
    if plane.compose is None:
        return PlaneAccess(plane.url, key_of(plane), plane.image, _RECORD, plane.service)
    try:
        image = _image_in(plane)
    except (OSError, UnicodeDecodeError, MalformedError) as error:
        place = settings.place("planes", name, "compose")
        raise ConfigurationError(f"{place}: {plane.compose}: {error}") from error
    record = f"{plane.compose.name}, service {plane.service}"
    return PlaneAccess(plane.url, key_of(plane), image, record, plane.service)


def _image_in(plane: PlaneSettings) -> str:
    """The image of the runtime's service; what the file says, with a digest or without.

    Raises:
        OSError, UnicodeDecodeError: the file cannot be read.
        MalformedError: it is no compose file with that service and an image.
    """
    assert plane.compose is not None  # noqa: S101 - the caller looked
    if plane.compose.stat().st_size > FILE_BYTES_MAX:
        raise MalformedError("a large file", f"at most {FILE_BYTES_MAX} bytes")
    whole = table_of(read_yaml(plane.compose.read_text(encoding="utf-8")), "compose")
    found = table_of(whole.get("services"), "compose: services")
    service = table_of(found.get(plane.service), f"service {plane.service}")
    image = service.get("image")
    if not isinstance(image, str) or not image:
        raise MalformedError(f"service {plane.service} without an image", "NAME@sha256:…")
    return image
