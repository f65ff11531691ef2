"""Outgoing HTTP/1.1 connections: kept open, one request at a time on each, whole answers only.

Small on purpose: what leaves is one write, what comes back is parsed by llhttp. Nothing is sent
again here; a connection that breaks under a request leaves that request without an answer.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import cast
from urllib.parse import urlsplit

import certifi
import httptools

from agent_runtime.watching import Nobody, Watch

HEAD_MAX_BYTES = 64 * 1024
IDLE_SECONDS = 20.0
PER_ORIGIN_MAX = 64


class NoAnswer(Exception):  # noqa: N818 - it says what came, not that something is broken here
    """No whole answer came; the request may have been acted upon. The text says what was seen."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where to connect. `socket` is a path and replaces host and port."""

    secure: bool
    host: str
    port: int
    socket: str = ""


@dataclass(slots=True)
class Reply:
    """One answer; header names in lower case, of a repeated one the last value."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Connection(asyncio.Protocol):
    """One connection; `idle_since` is loop time."""

    def __init__(self, body_max_bytes: int) -> None:
        self._most = body_max_bytes + HEAD_MAX_BYTES
        self._transport = cast("asyncio.Transport", None)  # set by connection_made
        self._waiter: asyncio.Future[Reply] | None = None
        self.idle_since = 0.0
        self._begin()

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._reply = Reply()
        self._chunks: list[bytes] = []
        self._received = 0
        self._whole = self._head_done = self._keep = False

    @property
    def usable(self) -> bool:
        """Whether another request may be sent on it."""
        return self._waiter is None and not self._transport.is_closing()

    async def exchange(self, message: bytes) -> Reply:
        """Send one request and wait for its answer.

        Raises:
            NoAnswer: the connection ended first, or what came is no answer.
        """
        self._begin()
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(message)
        try:
            return await self._waiter
        finally:
            self._waiter = None
            if not (self._whole and self._keep):
                self._transport.abort()

    def close(self) -> None:
        """End it."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Read on; bytes that nobody asked for end the connection."""
        if self._waiter is None or self._whole:
            self._keep = False
            self._transport.abort()
            return
        self._received += len(data)
        if self._received > self._most:
            self._fail(f"an answer larger than {self._most} bytes")
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._keep = False
            if not self._whole:
                self._fail(f"an answer that is not HTTP ({type(error).__name__})")

    def eof_received(self) -> bool:
        """The peer sends no more: the end of an answer that told no length."""
        told = self._reply.headers
        if self._head_done and not {"content-length", "transfer-encoding"} & told.keys():
            self.on_message_complete()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection ended."""
        self._fail("the connection was reset" if exc else "the connection was closed")

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line."""
        if not self._head_done:
            self._reply.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._head_done = True

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        self._chunks.append(data)

    def on_message_complete(self) -> None:
        """A message is whole; one of the 1xx only announces the answer."""
        status = self._parser.get_status_code()
        if self._whole:
            self._keep = False  # a second answer to one request: never use this peer's stream again
            return
        if status < 200:
            self._reply, self._head_done = Reply(), False
            return
        self._whole, self._keep = True, self._parser.should_keep_alive()
        self._reply.status, self._reply.body = status, b"".join(self._chunks)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(self._reply)

    def _fail(self, seen: str) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(NoAnswer(seen))


class Connections:
    """Open connections by origin.

    Args:
        body_max_bytes: an answer whose body is larger is none.
        socket: path of a Unix socket that every connection goes to; empty for the network.
        watch: is told of calls by who makes them (`wire.ask`).
    """

    def __init__(self, body_max_bytes: int, socket: str = "", watch: Watch | None = None) -> None:
        self.watch = watch or Nobody()
        self._body_max_bytes = body_max_bytes
        self._socket = socket
        self._idle: dict[Origin, deque[Connection]] = {}
        self._slots: dict[Origin, asyncio.Semaphore] = {}
        self._tls: ssl.SSLContext | None = None

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Reply:
        """Send one request; the caller sets the deadline.

        Raises:
            NoAnswer: no whole answer came.
            OSError: no connection.
            ValueError: the address or a header cannot be sent.
        """
        origin, host, target = _split(url, self._socket)
        message = _message(method, target, {"host": host, **headers}, body)
        slots = self._slots.setdefault(origin, asyncio.Semaphore(PER_ORIGIN_MAX))
        async with slots:
            connection = self._kept(origin) or await self._connect(origin)
            try:
                return await connection.exchange(message)
            finally:
                self._keep(origin, connection)

    async def aclose(self) -> None:
        """Close every idle connection."""
        for kept in self._idle.values():
            while kept:
                kept.pop().close()

    def _kept(self, origin: Origin) -> Connection | None:
        kept = self._idle.get(origin, deque())
        oldest = asyncio.get_running_loop().time() - IDLE_SECONDS
        while kept and (kept[0].idle_since < oldest or not kept[0].usable):
            kept.popleft().close()
        while kept:
            connection = kept.pop()
            if connection.usable:
                return connection
        return None

    def _keep(self, origin: Origin, connection: Connection) -> None:
        if connection.usable:
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle.setdefault(origin, deque()).append(connection)

    async def _connect(self, origin: Origin) -> Connection:
        loop = asyncio.get_running_loop()
        if origin.socket:
            _, made = await loop.create_unix_connection(self._new, origin.socket)
            return made
        tls = self._context() if origin.secure else None
        _, made = await loop.create_connection(self._new, origin.host, origin.port, ssl=tls)
        return made

    def _new(self) -> Connection:
        return Connection(self._body_max_bytes)

    def _context(self) -> ssl.SSLContext:
        """One context for all: reading the authorities takes longer than many requests."""
        if self._tls is None:
            self._tls = ssl.create_default_context(cafile=certifi.where())
        return self._tls


@lru_cache(maxsize=1024)
def _split(url: str, socket: str) -> tuple[Origin, str, str]:
    """Origin, `Host` and request target of an address.

    Raises:
        ValueError: no http(s) address, or one that names a user.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
        raise ValueError("not an address; expected http(s)://host[:port]/path")
    secure = parts.scheme == "https"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    origin = Origin(secure, parts.hostname, parts.port or (443 if secure else 80), socket)
    return origin, parts.netloc, target


def _message(method: str, target: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """Head and body in one piece.

    Raises:
        ValueError: a character that would end a line or a target, or is not ASCII.
    """
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {text}" for name, text in headers.items())]
    if body or method not in {"GET", "HEAD"}:
        lines.append(f"content-length: {len(body)}")
    if " " in target or not all(line.isprintable() and line.isascii() for line in lines):
        raise ValueError("a space, control or foreign character in an address or header")
    return "\r\n".join((*lines, "", "")).encode("ascii") + body
