"""The sockets that clients connect to: one a worker, all on one port, owned by the supervisor.

The supervisor opens them all and hands one to each worker. While a worker is being replaced, the
connections waiting at its socket wait for its successor instead of being reset.
"""

import errno
import socket

from cutover.errors import ConfigurationError

BACKLOG = 1024


class Doors:
    """A node's listening sockets.

    Attributes:
        listeners: one a worker.
        url: the address that they answer at.
    """

    def __init__(self, listeners: list[socket.socket]) -> None:
        self.listeners = listeners
        self.url = url_of(listeners[0])

    def close(self) -> None:
        """Close them here; a worker that has one keeps it open."""
        for listener in self.listeners:
            listener.close()


def listen(host: str, port: int, count: int) -> list[socket.socket]:
    """Open `count` listening sockets on one port; port 0 takes a free one.

    Raises:
        ConfigurationError: another process holds the port, or the address is not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        _prove_free(family, host, port)
        first = _listener(family, host, port)
        bound = first.getsockname()[1]
        return [first, *(_listener(family, host, bound) for _ in range(count - 1))]
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            said = "is held by another process; stop that one or choose another port"
        else:
            said = f"cannot be listened on ({error}); check host and port"
        raise ConfigurationError(f"{host}:{port} {said}") from error


def url_of(listener: socket.socket) -> str:
    """The address that a listener answers at."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _prove_free(family: socket.AddressFamily, host: str, port: int) -> None:
    """Fail if anybody listens there.

    SO_REUSEPORT alone would let us in beside a left-over process of the same user, which would
    then silently take its share of the traffic. Binding is enough to be told; a probe that listened
    would let clients in who are waiting for us, and hang up on them.
    """
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))


def _listener(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    # named, because asyncio sets TCP_NODELAY only where the protocol is known to be TCP
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((host, port))
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener
