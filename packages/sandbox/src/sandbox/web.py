"""The smallest HTTP vocabulary the stand-ins need, and a server that can also misbehave.

A stand-in sees a whole `Request` and gives a whole `Answer`. The server hands the connection's
transport along, because some faults (a reset, half a body) live in the socket, not in HTTP.
"""

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

BODY_BYTES_MAX: Final = 1 << 20
_STOP_SECONDS_MAX: Final = 2.0

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class BodyTooLargeError(Exception):
    """The peer sent more than `BODY_BYTES_MAX`; answer 413 and read no further."""


@dataclass(frozen=True, slots=True)
class Request:
    """One whole request; header names are lower case, a repeated name keeps its last value."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the decoded body; raises ValueError when it is not JSON."""
        return json.loads(self.body)

    def json_object(self) -> dict[str, Any]:
        """Return the body as an object, or an empty one when it is anything else."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    def bearer(self, *schemes: str) -> str | None:
        """Return the credential of `Authorization` under one of these schemes (lower case)."""
        scheme, _, credential = self.headers.get("authorization", "").partition(" ")
        return credential.strip() or None if scheme.lower() in schemes else None


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def json_answer(
    value: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Answer:
    """Return `value` as a JSON answer."""
    body = json.dumps(value, separators=(",", ":")).encode()
    return Answer(status, body, {"content-type": "application/json", **(headers or {})})


async def read_request(scope: Scope, receive: Receive) -> Request:
    """Read one whole request; raises BodyTooLargeError past the limit."""
    body = bytearray()
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > BODY_BYTES_MAX:
            raise BodyTooLargeError
        more = bool(message.get("more_body", False))
    query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    return Request(
        method=scope["method"],
        path=scope["path"],
        query={name: values[-1] for name, values in query.items()},
        headers={n.decode("latin-1").lower(): v.decode("latin-1") for n, v in scope["headers"]},
        body=bytes(body),
    )


async def send_answer(send: Send, answer: Answer, *, length: int | None = None) -> None:
    """Send a whole answer; `length` overrides the announced length to promise more than comes."""
    announced = len(answer.body) if length is None else length
    headers = {**answer.headers}
    if answer.status not in {204, 304}:
        headers["content-length"] = str(announced)
    await send(
        {
            "type": "http.response.start",
            "status": answer.status,
            "headers": [(n.lower().encode(), v.encode("latin-1")) for n, v in headers.items()],
        }
    )
    more = announced > len(answer.body)
    await send({"type": "http.response.body", "body": answer.body, "more_body": more})


def cut(scope: Scope, *, hard: bool) -> None:
    """Close the request's connection now: with a TCP reset if `hard`, after a flush if not."""
    transport: asyncio.Transport = scope["state"]["transport"]
    if not hard:
        transport.close()
        return
    raw = transport.get_extra_info("socket")
    if raw is not None and not transport.is_closing():  # the peer may have left first
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class _OpenConnection(H11Protocol):
    """uvicorn's HTTP/1.1 connection, its transport visible to the application."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the base class
        super().connection_made(transport)
        self.app_state = {"transport": transport}


class Server:
    """One listening socket for one application; lives in the caller's event loop.

    Args:
        uds: listen on this Unix socket instead of an address.
    """

    def __init__(
        self,
        application: Application,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        uds: Path | None = None,
    ) -> None:
        self._config = Config(
            application,
            interface="asgi3",
            lifespan="off",
            log_level="error",
            access_log=False,
            timeout_keep_alive=75,
        )
        self._state = ServerState()
        self._host = host
        self._port = port
        self._uds = uds
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """The base URL, known once started; for a Unix socket, its path."""
        return f"http://{self._host}:{self._port}" if self._uds is None else str(self._uds)

    @property
    def is_listening(self) -> bool:
        """Whether connections are taken."""
        return self._server is not None

    async def start(self) -> None:
        """Listen, where it listened before if it did; raises OSError when the address is taken."""
        loop = asyncio.get_running_loop()
        if self._uds is not None:
            self._server = await loop.create_unix_server(self._connection, self._uds, backlog=1024)
            return
        self._server = await loop.create_server(
            self._connection, self._host, self._port, backlog=1024
        )
        self._port = self._server.sockets[0].getsockname()[1]

    def _connection(self) -> _OpenConnection:
        return _OpenConnection(self._config, self._state, {})

    async def stop(self) -> None:
        """Stop listening, let open answers finish for two seconds, then close every connection."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        if self._uds is not None:
            self._uds.unlink(missing_ok=True)
        for connection in list(self._state.connections):
            connection.shutdown()
        if self._state.tasks:
            await asyncio.wait(self._state.tasks, timeout=_STOP_SECONDS_MAX)
        for task in list(self._state.tasks):
            task.cancel()
        for connection in list(self._state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        await server.wait_closed()
