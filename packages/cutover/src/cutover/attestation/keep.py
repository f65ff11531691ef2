"""Small JSON files that survive a crash: written whole beside, then moved into place."""

import json
import os
from pathlib import Path
from typing import Any, Final

from cutover.attestation.strict import MalformedError, read_json, table_of
from cutover.errors import CutoverError

FILE_BYTES_MAX: Final = 1024 * 1024


class KeepError(CutoverError):
    """A file of ours that cannot be read or written; unknown is not healthy."""


def read(path: Path) -> dict[str, Any] | None:
    """The file's table; None if there is no such file.

    Raises:
        KeepError: when there is one and it cannot be used.
    """
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise KeepError(f"{path}: larger than {FILE_BYTES_MAX} bytes; move it away")
        return table_of(read_json(path.read_bytes(), path.name), path.name)
    except FileNotFoundError:
        return None
    except (OSError, MalformedError) as error:
        raise KeepError(f"{path} cannot be used: {error}; move it away to begin afresh") from error


def write(path: Path, table: dict[str, Any]) -> None:
    """Replace the file, or leave the old one as it was.

    Raises:
        KeepError: when the file cannot be written.
    """
    beside = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("w", encoding="utf-8") as file:
            json.dump(table, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise KeepError(f"{path} cannot be written: {error}") from error
