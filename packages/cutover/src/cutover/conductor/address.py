"""Where a conductor listens, and how those of its machine find it."""

import os
import socket
from pathlib import Path

import msgspec

from cutover.errors import UnreachableError

ADDRESS_FILE = "conductor.json"
PORT_FILE = "conductor.port"


def url_of(host: str, port: int) -> str:
    """An address as a client writes it."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def write_address(data: Path, listener: socket.socket) -> None:
    """Tell the CLI and gateways of this machine where the conductor listens."""
    host, port = listener.getsockname()[:2]
    address = {"url": url_of(host, port), "pid": os.getpid()}
    _put(data / PORT_FILE, str(port).encode())
    _put(data / ADDRESS_FILE, msgspec.json.encode(address))


def _put(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content)
    temporary.replace(path)


class _Address(msgspec.Struct):
    url: str


def conductor_url(data: Path) -> str:
    """Where the conductor of a data directory listens.

    Raises:
        UnreachableError: none does.
    """
    path = data / ADDRESS_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Address).url
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreachableError(
            f"no conductor runs with data directory {data} (no usable {path.name}): start one "
            "with `cutover run RUNBOOK`, or name another directory with --data"
        ) from error
