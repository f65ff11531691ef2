"""The socket of the control API; a conductor comes back to the address it had."""

import socket
from pathlib import Path

import structlog

from cutover.conductor.address import PORT_FILE
from cutover.errors import ConfigurationError


def listen(host: str, port: int, data: Path) -> socket.socket:
    """Bind the control API's address.

    Port 0 means the port of the last start, if it is still free: gateway nodes keep the address
    that they were started with, so a conductor comes back to where it was.

    Raises:
        ConfigurationError: the address cannot be had.
    """
    before = port_before(data) if port == 0 else 0
    if before:
        try:
            return _bound(host, before)
        except OSError as error:
            structlog.get_logger().warning("port_taken", port=before, error=str(error))
    try:
        return _bound(host, port)
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(
            f"the control API cannot listen on {host} port {port}: {error}; choose another "
            "conductor.host or conductor.port, or stop what holds it"
        ) from error


def port_before(data: Path) -> int:
    """The port of the last start with this data directory; 0 when there was none."""
    try:
        return int((data / PORT_FILE).read_bytes()[:8])
    except (FileNotFoundError, ValueError):
        return 0


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With its protocol named, asyncio sets TCP_NODELAY: every answer comes 40 ms sooner.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except BaseException:
        listener.close()
        raise
    return listener
