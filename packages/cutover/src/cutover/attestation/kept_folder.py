"""The folder of kept evidence: a file a record, and below `parts` a file a policy, set or root.

A file's name is the SHA-256 of its content, so that whoever reads one can tell whether it is whole.
"""

import os
import re
from pathlib import Path
from typing import Final

from cutover.attestation.keep import KeepError
from cutover.attestation.record import RECORD_BYTES_MAX, sha256

FOLDER: Final = "evidence"
"""Beside the journal, in the run's data directory."""
_NAME: Final = re.compile(r"[0-9a-f]{64}")
_SUFFIX: Final = ".json"


class KeptFolder:
    """Reads and writes kept evidence; what is not there is None, what is damaged is an error.

    Args:
        folder: need not exist to be read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._parts = folder / "parts"
        self._written: set[str] = set()

    def names(self) -> list[str]:
        """Names of all records, in order.

        Raises:
            KeepError: the folder cannot be read.
        """
        try:
            found = [one.stem for one in self._folder.iterdir() if one.suffix == _SUFFIX]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise KeepError(f"{self._folder} cannot be read: {error}") from error
        return sorted(name for name in found if _NAME.fullmatch(name))

    def record(self, name: str) -> bytes | None:
        """A record's bytes; None if it is not kept.

        Raises:
            KeepError: it cannot be read, or its content is not the one that its name says.
        """
        return self._read(self._folder / f"{name}{_SUFFIX}", name)

    def part(self, name: str) -> bytes | None:
        """A policy, a set of collateral or a root; errors as for `record`."""
        return self._read(self._parts / name, name)

    def _read(self, path: Path, name: str) -> bytes | None:
        if not _NAME.fullmatch(name):
            return None  # no name of ours, whoever wrote it down
        try:
            with path.open("rb") as file:
                raw = file.read(RECORD_BYTES_MAX + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise KeepError(f"{path} cannot be read: {error}") from error
        if (found := sha256(raw)) != name:
            raise KeepError(
                f"{path}: its SHA-256 is {found}, expected its name: it was changed. Keep a copy "
                "for those who will ask, and move it out of the folder to go on without it"
            )
        return raw

    def keep_record(self, raw: bytes) -> str:
        """Write a record, durable before this returns; its name.

        Raises:
            KeepError: it cannot be written.
        """
        name = sha256(raw)
        _write(self._folder / f"{name}{_SUFFIX}", raw)
        return name

    def keep_part(self, raw: bytes) -> str:
        """Write a part, once in a process; likewise."""
        name = sha256(raw)
        if name not in self._written:
            _write(self._parts / name, raw)
            self._written.add(name)
        return name

    def remove_record(self, name: str) -> None:
        """Thin out a record.

        Raises:
            KeepError: it cannot be removed.
        """
        try:
            (self._folder / f"{name}{_SUFFIX}").unlink(missing_ok=True)
        except OSError as error:
            raise KeepError(f"{self._folder}: {name} cannot be removed: {error}") from error

    def size(self) -> int:
        """Bytes of all records.

        Raises:
            KeepError: the folder cannot be read.
        """
        try:
            return sum((self._folder / f"{n}{_SUFFIX}").stat().st_size for n in self.names())
        except OSError as error:
            raise KeepError(f"{self._folder} cannot be read: {error}") from error


def _write(path: Path, raw: bytes) -> None:
    """Whole or not at all, for its owner's eyes only; file and name have reached the disk."""
    beside = path.with_name(f".{path.name}.new")
    try:
        _make(path.parent)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        with os.fdopen(os.open(beside, flags, 0o600), "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        _settle(path.parent)
    except OSError as error:
        raise KeepError(f"{path} cannot be written: {error}; free space on its disk") from error


def _make(folder: Path) -> None:
    """The folder, and those above it, for the owner alone; their names have reached the disk."""
    if folder.is_dir():
        return
    _make(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    _settle(folder.parent)


def _settle(folder: Path) -> None:
    """What was named in the folder has reached the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
