"""HTTP/1.1 over simulated streams: as much of it as planes, clients and the conductor speak."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, cast

import httptools
import httpx

from cutover.simulator.kernel.loop import SimulationLoop

Headers = dict[str, str]
Answered = tuple[int, bytes]
Handler = Callable[[str, str, Headers, bytes], Awaitable[Answered]]


@dataclass
class Message:
    """A request or an answer as far as it has arrived."""

    url: str = ""
    headers: Headers = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)

    def on_url(self, url: bytes) -> None:
        """Called by the parser."""
        self.url += url.decode()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        self.headers[name.decode().lower()] = value.decode()

    def on_body(self, part: bytes) -> None:
        """Called by the parser."""
        self.body += part


class Server(asyncio.Protocol):
    """A plane's end of a connection: one request after another.

    Args:
        handle: answers method, path, headers and body.
    """

    def __init__(self, handle: Handler) -> None:
        self._handle = handle
        self._begin()

    def _begin(self) -> None:
        self._message = Message()
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody has connected."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take a piece of a request."""
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        """Called by the parser."""
        self._message.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        self._message.on_header(name, value)

    def on_body(self, part: bytes) -> None:
        """Called by the parser."""
        self._message.on_body(part)

    def on_message_complete(self) -> None:
        """Work on a whole request."""
        message, method = self._message, self._parser.get_method().decode()
        self._task = asyncio.get_running_loop().create_task(self._work(method, message))

    async def _work(self, method: str, message: Message) -> None:
        status, body = await self._handle(method, message.url, message.headers, bytes(message.body))
        self._begin()
        phrase = HTTPStatus(status).phrase
        head = f"HTTP/1.1 {status} {phrase}\r\ncontent-type: application/json\r\n"
        self._transport.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)


@dataclass(frozen=True)
class Reply:
    """What came back to a caller."""

    status: int
    headers: Headers
    body: bytes


class Caller(asyncio.Protocol):
    """A client's end of a connection: ask once more when the answer is there."""

    def __init__(self) -> None:
        self._waiting: asyncio.Future[Reply] | None = None
        self.usable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is connected."""
        self._transport = cast("asyncio.Transport", transport)

    async def ask(self, message: bytes) -> Reply:
        """Send a request and wait for its whole answer.

        Raises:
            ConnectionError: the connection ended before that.
        """
        self._message = Message()
        self._parser = httptools.HttpResponseParser(self)
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(message)
        try:
            return await self._waiting
        finally:
            self._waiting = None

    def close(self) -> None:
        """Hang up."""
        self.usable = False
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Take a piece of an answer; what nobody asked for is of no interest."""
        if self._waiting is not None:
            self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        self._message.on_header(name, value)

    def on_body(self, part: bytes) -> None:
        """Called by the parser."""
        self._message.on_body(part)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        status = self._parser.get_status_code()
        self.usable = self.usable and self._parser.should_keep_alive()
        if status >= 200 and self._waiting is not None and not self._waiting.done():
            message = self._message
            self._waiting.set_result(Reply(status, message.headers, bytes(message.body)))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        self.usable = False
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(exc or ConnectionResetError(104, "closed half-way"))


def request(method: str, host: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """The bytes of a request."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"{method} {path} HTTP/1.1\r\nhost: {host}\r\n{lines}content-length: {len(body)}\r\n\r\n"
    return head.encode() + body


class SimulatedTransport(httpx.AsyncBaseTransport):
    """Lets the product's httpx clients speak over the simulated network, a connection a request.

    Args:
        loop: of the simulation.
    """

    def __init__(self, loop: SimulationLoop) -> None:
        self._loop = loop

    async def handle_async_request(self, asked: httpx.Request) -> httpx.Response:
        """Send, and wait for the answer.

        Raises:
            httpx.ConnectError: nobody listens there.
            httpx.ReadError: the connection broke.
        """
        url, body = asked.url, await asked.aread()
        headers = {k: v for k, v in asked.headers.items() if k not in ("host", "content-length")}
        message = request(asked.method, url.host, url.raw_path.decode(), headers, body)
        try:
            _, caller = await self._loop.create_connection(Caller, url.host, url.port or 80)
        except OSError as error:
            raise httpx.ConnectError(str(error), request=asked) from error
        try:
            reply = await cast("Caller", caller).ask(message)
        except (OSError, httptools.HttpParserError) as error:
            raise httpx.ReadError(str(error), request=asked) from error
        finally:
            cast("Caller", caller).close()
        stream = httpx.ByteStream(reply.body)
        return httpx.Response(reply.status, headers=reply.headers, stream=stream)


def client(loop: SimulationLoop) -> httpx.AsyncClient:
    """The product's client over the simulated network."""
    transport: Any = SimulatedTransport(loop)
    return httpx.AsyncClient(transport=transport, timeout=None, trust_env=False)  # noqa: S113 - every call has a deadline of its own
