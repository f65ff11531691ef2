"""One client connection: reads a bounded request completely, then lets the surface answer it.

One request at a time. A client that sends the next one before its answer has come (pipelining)
gets that answer and then the end of the connection: nothing that follows is looked at, so there
is nothing to smuggle. Framing is llhttp's strict reading; what it refuses is answered 400. A head
that it has accepted before is recognised by its bytes (`cutover.gateway.heads`).
"""

from asyncio import BaseTransport, Protocol, Transport
from typing import TYPE_CHECKING, Final, cast

import httptools

from cutover.gateway.answers import CLOSE, CONTINUE, bodiless, error_answer
from cutover.gateway.heads import HEAD_END, HEAD_END_BYTES
from cutover.gateway.message import KIND, REPEATABLE, WEBHOOK, Request

if TYPE_CHECKING:
    from cutover.gateway.board import Board
    from cutover.gateway.exchange import Exchange
    from cutover.gateway.surface import Surface

IDLE: Final = 0  # between requests
READING: Final = 1  # a request has begun to arrive
WORKING: Final = 2  # it is whole and being answered
LEAVING: Final = 3  # answered for the last time; what still comes is not looked at

TURNED_AWAY_MAX: Final = 32
"""Clients beyond the limit who are told so at the same time; half of what a worker has spare."""
LINGER_SECONDS: Final = 2.0
FRAMING_FACTOR: Final = 8
"""A chunked body may take so many times its size on the wire."""


class Client(Protocol):
    """A connected client.

    Attributes:
        ending: header line that announces the end of the connection, or nothing.
        exchange: its request on the way to a plane, if there is one.
    """

    __slots__ = (
        "_board", "_chunks", "_head_done", "_head_size", "_heads", "_parser", "_paused",
        "_received", "_request",
        "_since", "_size", "_start", "_state", "_surface", "_transport", "ending",
        "exchange",
    )  # fmt: skip

    def __init__(self, board: "Board", surface: "Surface") -> None:
        self._board = board
        self._heads = board.heads
        self._surface = surface
        self._parser = httptools.HttpRequestParser(self)
        self._transport: Transport = cast("Transport", None)  # set by connection_made
        self._request = Request()
        self._chunks: list[bytes] = []
        self._size = 0
        self._start = b""  # the read with which the request began
        self._state = IDLE
        self._since = 0.0
        self._received = 0
        self._head_done = False
        self._paused = False
        self.ending = b""
        self.exchange: Exchange | None = None

    # what an answer needs

    def reply(self, answer: bytes) -> None:
        """Give the one answer to the request being worked on."""
        self.exchange = None
        self._since = self._board.now
        if not self.ending:
            board = self._board
            if board.outbox:
                board.outbox.append((self._transport, answer))
            else:
                board.write_soon(self._transport, answer)
            self._state = IDLE
        else:
            self._board.flush()  # what was said before comes first
            self._transport.write(answer)
            self._leave()

    def say(self, status: int, error: str, code: str, headers: bytes = b"") -> None:
        """Answer with an error; the connection goes on."""
        self.reply(error_answer(status, error, code, headers + self.ending))

    def interrupt(self) -> None:
        """The node stops: leave now if idle, after the answer otherwise."""
        if self._state == IDLE:
            self._transport.close()
        self.ending = CLOSE

    def dismiss(self) -> None:
        """The worker ends: no more is read, and what was said is all there is."""
        self._transport.close()

    def busy(self) -> bool:
        """Whether a request is arriving or being answered, or an answer still being taken."""
        return self._state in {READING, WORKING} or self.writing()

    def gone(self) -> bool:
        """Whether nobody is there to be answered."""
        return self._transport.is_closing()

    def writing(self) -> bool:
        """Whether an answer is still being taken."""
        return self._transport.get_write_buffer_size() > 0

    def sweep(self, now: float) -> None:
        """Enforce the limits on waiting."""
        waited = now - self._since
        limits = self._board.limits
        if self._paused and waited > limits.read_seconds:
            self._transport.abort()
        elif self._state == READING and waited > limits.read_seconds:
            said = f"no whole request in {limits.read_seconds:g} s"
            self.refuse(408, said, "request_timeout")
        elif self._state == IDLE and waited > limits.client_idle_seconds:
            self._transport.close()
        elif self._state == LEAVING and waited > LINGER_SECONDS:
            self._transport.abort()

    # transport's callbacks

    def connection_made(self, transport: BaseTransport) -> None:
        """A client has connected; turn it away if there are too many."""
        self._transport = cast("Transport", transport)
        self._since = self._board.now
        clients = self._board.clients
        clients[self] = None
        if self._board.draining:
            self.ending = CLOSE
        if len(clients) > self._board.limits.connections + TURNED_AWAY_MAX:
            self._transport.abort()  # too many even to be told
        elif len(clients) > self._board.limits.connections:
            self.refuse(503, "too many connections; try again shortly", "overloaded")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio names it)
        """The client has gone; its exchange decides what that means."""
        self._board.clients.pop(self, None)
        self._state = LEAVING
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.client_left()

    def data_received(self, data: bytes) -> None:
        """Recognise a whole request, or feed the parser, which calls back below."""
        state = self._state
        if state == IDLE and not self.ending and not self._paused:
            end = data.find(HEAD_END) + HEAD_END_BYTES
            request = self._heads.known.get(data[:end])
            if request is not None and len(data) - end == request.length:
                self._state = WORKING
                request.route(self._board, self, request, data[end:])
                return
            self._start = data
        elif state >= WORKING:
            self._not_looked_at()
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._misread(error)
            return
        finally:
            self._start = b""
        if self._state == READING:
            self._check_size()

    def eof_received(self) -> bool:
        """The client sends no more; it may still wait for its answer."""
        self.ending = CLOSE
        return self._state == WORKING

    def pause_writing(self) -> None:
        """The client does not take its answers: read no more from it."""
        self._paused = True
        self._since = self._board.now
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The client takes its answers again."""
        self._paused = False
        if not self._transport.is_closing():
            self._transport.resume_reading()

    # parser's callbacks

    def on_message_begin(self) -> None:
        """A request begins, unless one is being worked on."""
        if self._state == IDLE and not self._paused and not self.ending:
            self._state = READING
            self._since = self._board.now
            self._request = Request()
            self._chunks = []
            self._size = 0
            self._head_done = False
            self._head_size = 0
        else:
            self.ending = CLOSE

    def on_url(self, url: bytes) -> None:
        """A piece of the request target."""
        if self._state == READING:
            request = self._request
            request.url += url
            self._head_size += len(url)
            if request.url.startswith(WEBHOOK):
                request.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header line; those after the body are not looked at."""
        if self._state != READING or self._head_done:
            return
        request, name = self._request, name.lower()
        request.lines += 1
        self._head_size += len(name) + len(value)
        if request.headers is not None:
            request.headers.append((name, value))
        kind = KIND.get(name)
        if kind is not None:
            if kind:
                request.special = True
            if name in request.fields and kind != REPEATABLE:
                request.repeated = name
            request.fields[name] = value

    def on_headers_complete(self) -> None:
        """The head is whole: refuse early what cannot be taken."""
        if self._state != READING:
            return
        self._head_done = True
        request, limits = self._request, self._board.limits
        request.method = self._parser.get_method()
        if self._head_size > limits.head_bytes:  # one read may bring more than a whole head
            self._head_too_large()
            return
        if self._parser.should_upgrade():
            self.refuse(400, "this server upgrades to no other protocol", "malformed")
            return
        foreign = request.foreign(self._parser.get_http_version())
        if foreign is not None:
            self.refuse(*foreign)
            return
        if request.plain(limits.headers):
            return
        problem = request.problem(limits.headers, limits.body_bytes)
        if problem is not None:
            self.refuse(*problem)
        elif b"expect" in request.fields:
            self._board.write_soon(self._transport, CONTINUE)

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        if self._state != READING:
            return
        self._chunks.append(data)
        self._size += len(data)
        if self._size > self._board.limits.body_bytes:
            said = f"a body may have {self._board.limits.body_bytes} bytes"
            self.refuse(413, said, "body_too_large")

    def on_message_complete(self) -> None:
        """The request is whole: let the surface answer it, or begin to."""
        if self._state != READING:
            return
        # llhttp knows this only inside the callback; 1.0 clients do not expect our keep-alive
        request, chunks = self._request, self._chunks
        request.route = self._surface.route(request)
        keep = self._parser.should_keep_alive() and (
            b"connection" not in request.fields or self._parser.get_http_version() == "1.1"
        )
        if not keep or self._board.draining:
            self.ending = CLOSE
        elif self._start and request.repeats():
            self._heads.remember(self._start, request, self._size)
        self._state = WORKING
        self._received = 0
        self._chunks = []
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        request.route(self._board, self, request, body)

    # ends

    def refuse(self, status: int, error: str, code: str, headers: bytes = b"") -> None:
        """Answer with an error and end the connection."""
        self.ending = CLOSE
        answer = error_answer(status, error, code, headers + CLOSE)
        self.reply(bodiless(answer) if self._request.method == b"HEAD" else answer)

    def _misread(self, error: Exception) -> None:
        if self._state == LEAVING:
            return
        if self._state == WORKING:
            self._not_looked_at()
            return
        self.refuse(400, f"not an HTTP/1.1 request: {error}", "malformed")

    def _not_looked_at(self) -> None:
        """Something followed a request: its answer comes first, and is the last one.

        No more is read until then, however much the client sends.
        """
        if self._state == WORKING:
            self.ending = CLOSE
            self._transport.pause_reading()

    def _check_size(self) -> None:
        limits = self._board.limits
        if not self._head_done and self._received > limits.head_bytes:
            self._head_too_large()
        elif self._received > limits.head_bytes + FRAMING_FACTOR * limits.body_bytes:
            self.refuse(413, "the body's framing is larger than any body", "body_too_large")

    def _head_too_large(self) -> None:
        said = f"a head may have {self._board.limits.head_bytes} bytes"
        self.refuse(431, said, "head_too_large")

    def _leave(self) -> None:
        """Say that no more is sent and let the client read on for a moment.

        Closing at once while the client still sends would reset the connection, and the answer
        with it.
        """
        self._state = LEAVING
        if self._transport.is_closing():
            return
        if not self._paused:
            self._transport.resume_reading()  # to throw it away
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()
