"""What a node keeps in its state directory: the last table, its address, the lock of its owner."""

import fcntl
import os
from pathlib import Path

import msgspec

from cutover.crashpoint import crashpoint
from cutover.errors import ConfigurationError, TableError
from cutover.gateway.page import TABLE_BYTES_MAX
from cutover.routing.table import RoutingTable


def write_whole(path: Path, text: bytes) -> None:
    """Replace a file so that a crash leaves the old or the new one, whole and on disk."""
    fresh = path.with_name(path.name + ".tmp")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


class Store:
    """The state directory of one node.

    Raises:
        ConfigurationError: another node is using the directory.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.directory = directory
        self._lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"{directory} is in use by another gateway node; give each its own state directory"
            ) from None

    def close(self) -> None:
        """Let another node use the directory."""
        os.close(self._lock)

    def table(self) -> RoutingTable | None:
        """The last accepted table, None when there never was one.

        Raises:
            ConfigurationError: the file is damaged. Starting without it would forget the term and
                generation that fence off older tables, so a person must look at it.
        """
        path = self.directory / "table.json"
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            return _read_table(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TableError) as error:
            raise ConfigurationError(
                f"{path} is no routing table ({error}); if the conductor's table is to be taken "
                "as it comes, remove the file and start again"
            ) from error

    def keep_table(self, table: RoutingTable) -> None:
        """Write the accepted table."""
        crashpoint("node.keep.before")
        write_whole(self.directory / "table.json", msgspec.json.encode(table))
        crashpoint("node.keep.after")

    def keep_address(self, url: str, boot: str) -> None:
        """Say where the node answers and who it is."""
        said = {"url": url, "pid": os.getpid(), "boot": boot}
        write_whole(self.directory / "node.json", msgspec.json.encode(said))

    def drop_address(self) -> None:
        """The node does not answer any more."""
        (self.directory / "node.json").unlink(missing_ok=True)


def _read_table(text: bytes) -> RoutingTable:
    if len(text) > TABLE_BYTES_MAX:
        raise TableError(f"{len(text)} bytes, at most {TABLE_BYTES_MAX}")
    return msgspec.json.decode(text, type=RoutingTable).checked()
