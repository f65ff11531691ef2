"""The clients' own HTTP connection: kept alive, strict, and it notices a second answer.

A general HTTP library throws away bytes that arrive after an answer. Here they are a finding: one
request has one answer, and whatever else arrives is reported through `on_surplus`.
"""

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import h11

IDLE_SECONDS_MAX: Final = 20.0
ANSWER_BYTES_MAX: Final = 1 << 20
_CONNECT_SECONDS_MAX: Final = 5.0


class NoAnswerError(Exception):
    """No complete answer came; the text says what was seen instead."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One complete answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, host: str, on_surplus: Callable[[bytes], None]) -> None:
        self._host = host
        self._on_surplus = on_surplus
        self._http = h11.Connection(h11.CLIENT)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Reply] | None = None
        self._head: h11.Response | None = None
        self._body = bytearray()
        self.idle_since = time.monotonic()

    @property
    def usable(self) -> bool:
        """Whether another request may be sent here."""
        return (
            self._transport is not None
            and not self._transport.is_closing()
            and self._http.our_state is h11.IDLE
            and time.monotonic() - self.idle_since < IDLE_SECONDS_MAX
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    async def post(self, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send one request and return its answer; raises NoAnswerError."""
        transport = self._transport
        if transport is None:
            raise NoAnswerError("not connected")
        self._waiter = asyncio.get_running_loop().create_future()
        self._head, self._body = None, bytearray()
        lines = [("host", self._host), ("content-length", str(len(body))), *headers.items()]
        request = h11.Request(method="POST", target=path, headers=lines)
        parts = (request, h11.Data(data=body), h11.EndOfMessage())
        transport.write(b"".join(self._http.send(part) or b"" for part in parts))
        try:
            return await self._waiter
        finally:
            self._waiter = None
            self.idle_since = time.monotonic()
            if self._http.our_state is not h11.IDLE:
                self.close()

    def data_received(self, data: bytes) -> None:
        """Take bytes: part of the awaited answer, or surplus."""
        if self._waiter is None or self._waiter.done():
            self._on_surplus(data)
            self.close()
            return
        try:
            self._http.receive_data(data)
            while self._take(self._http.next_event()):
                pass
        except h11.RemoteProtocolError as error:
            self._fail(f"not HTTP: {error}")

    def eof_received(self) -> None:
        """Take the end of the stream; an answer cut short is no answer."""
        if self._waiter is not None:
            self.data_received(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail whoever still waits."""
        name = "closed" if exc is None else type(exc).__name__
        self._fail(f"connection lost before the answer was complete: {name}")

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def _take(self, event: object) -> bool:
        match event:
            case h11.Response():
                self._head = event
            case h11.Data():
                self._body += event.data
                if len(self._body) > ANSWER_BYTES_MAX:
                    self._fail(f"the answer is longer than {ANSWER_BYTES_MAX} bytes")
                    return False
            case h11.EndOfMessage():
                self._finish()
                return False
            case h11.ConnectionClosed():
                self._fail("the connection was closed without an answer")
                return False
            case h11.InformationalResponse():
                pass
            case _:
                return False
        return True

    def _finish(self) -> None:
        surplus, _ = self._http.trailing_data
        head, waiter = self._head, self._waiter
        if head is not None and waiter is not None and not waiter.done():
            headers = {n.decode().lower(): v.decode("latin-1") for n, v in head.headers}
            waiter.set_result(Reply(head.status_code, headers, bytes(self._body)))
        if surplus:
            self._on_surplus(surplus)
            self.close()
        elif self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()

    def _fail(self, reason: str) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(NoAnswerError(reason))
        self.close()


class Pool:
    """Kept connections to one address; the newest idle one is used first."""

    def __init__(self, url: str, on_surplus: Callable[[bytes], None]) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"an http URL is expected, not {url!r}")
        self._ssl = ssl.create_default_context() if parts.scheme == "https" else None
        self._address = (parts.hostname, parts.port or (443 if self._ssl else 80))
        self._netloc = parts.netloc
        self._prefix = parts.path.rstrip("/")
        self._on_surplus = on_surplus
        self._idle: deque[Connection] = deque()

    async def post(self, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send one request, once; raises NoAnswerError."""
        connection = await self._connection()
        try:
            return await connection.post(self._prefix + path, headers, body)
        except BaseException:
            connection.close()
            raise
        finally:
            if connection.usable:
                self._idle.append(connection)

    def close(self) -> None:
        """Close every idle connection."""
        while self._idle:
            self._idle.pop().close()

    async def _connection(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            connection.close()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_CONNECT_SECONDS_MAX):
                _, connection = await loop.create_connection(
                    lambda: Connection(self._netloc, self._on_surplus),
                    *self._address,
                    ssl=self._ssl,
                )
        except (OSError, TimeoutError) as error:
            raise NoAnswerError(f"cannot connect: {type(error).__name__}") from error
        return connection
