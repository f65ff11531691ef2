"""One connection to a plane: carries one message at a time and finds the end of its answer.

Rules:

1. After `carry` the message counts as sent, whatever becomes of it. It is never sent again.
2. An answer is whole when its framing says so; closed without a length it is whole at a clean end.
   Anything else (reset, cut, unparsable, too large) is an unknown outcome.
3. Interim answers (1xx) are read past; 101 is no answer to anything that we send.
4. Bytes that nobody asked for condemn the connection, never the answer before them.
5. Within TLS the end is clean only if the plane itself said so: a bare end of the connection can be
   brought about by anybody on the way.
6. A head that the parser has accepted before is recognised by its bytes (`cutover.gateway.heads`).
"""

import ssl
from asyncio import BaseTransport, Protocol, Transport
from typing import TYPE_CHECKING, Final, cast

import httptools

from cutover.gateway.heads import HEAD_END, HEAD_END_BYTES, Heads
from cutover.gateway.message import Answer

if TYPE_CHECKING:
    from cutover.gateway.exchange import Exchange
    from cutover.gateway.pool import PlanePool

HEAD_BYTES_MAX: Final = 64 * 1024


class Upstream(Protocol):
    """A connection of a pool.

    Attributes:
        since: loop time when it last became idle.
    """

    __slots__ = (
        "_answer", "_board", "_chunks", "_complete", "_exchange", "_head_done", "_heads", "_keep",
        "_last", "_parser", "_pool", "_received", "_size", "_surplus", "_transport", "since",
    )  # fmt: skip

    def __init__(self, pool: "PlanePool") -> None:
        self._pool = pool
        self._board = pool.board
        self._heads = pool.heads
        self._parser = httptools.HttpResponseParser(self)
        self._transport: Transport = cast("Transport", None)  # set by connection_made
        self._exchange: Exchange | None = None
        self._last = False
        self.since = 0.0
        self._reset()

    def _reset(self) -> None:
        self._answer = Answer()
        self._chunks: list[bytes] = []
        self._received = self._size = 0
        self._complete = self._head_done = self._keep = self._surplus = False

    # what the pool and the exchange ask for

    def usable(self) -> bool:
        """Whether a message may still be written to it."""
        return not self._transport.is_closing()

    def carry(self, exchange: "Exchange", message: bytes) -> None:
        """Send the exchange's message, in one write."""
        self._exchange = exchange
        board = self._board
        if board.outbox:
            board.outbox.append((self._transport, message))
        else:
            board.write_soon(self._transport, message)

    def retire(self) -> None:
        """Carry nothing more: close now or, with an exchange in hand, when that has its answer."""
        if self._exchange is None:
            self.drop()
        else:
            self._last = True
            self._heads = Heads()  # the answer is to take the way on which `_last` is looked at

    def drop(self) -> None:
        """Close at once; whatever the plane still says is not wanted."""
        self._exchange = None
        self._transport.abort()

    # transport's callbacks

    def connection_made(self, transport: BaseTransport) -> None:
        """Begin."""
        self._transport = cast("Transport", transport)
        self._pool.add(self)

    def data_received(self, data: bytes) -> None:
        """Read on; when the answer is whole, hand it over and become idle."""
        exchange = self._exchange
        if exchange is None:
            self._transport.abort()
            return
        if not self._received:
            end = data.find(HEAD_END) + HEAD_END_BYTES
            answer = self._heads.known.get(data[:end])
            if answer is not None and len(data) - end == answer.length:
                self._exchange = None
                exchange.answered(answer, data[end:])
                self._pool.give_back(self)
                return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._surplus = True
            if not self._complete:
                self._fail(f"its answer cannot be read ({type(error).__name__}: {error})")
                return
        if self._complete:
            if self._keep and self._received == len(data) and self._answer.repeats():
                self._heads.remember(data, self._answer, self._size)
            self._deliver()
        elif self._received > self._pool.answer_bytes + HEAD_BYTES_MAX:
            self._fail(f"its answer exceeds {self._pool.answer_bytes} bytes")

    def eof_received(self) -> bool:
        """The plane sends no more: the end of an answer without a length."""
        if (
            self._exchange is not None
            and self._head_done
            and not self._answer.framed()
            and _ends_cleanly(self._transport)
        ):
            self._complete = True
            self._deliver()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed by either side; an exchange still waiting has an unknown outcome."""
        self._pool.forget(self)
        if self._exchange is not None:
            how = "was reset" if exc is not None else "was closed"
            self._fail(f"the connection {how} before a whole answer came")

    # parser's callbacks

    def on_message_begin(self) -> None:
        """A message begins; after a whole answer it is one too many."""
        self._surplus = self._complete

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line of the answer."""
        if not self._complete and not self._head_done:
            self._answer.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is there; what looks like a header from now on is a trailer."""
        self._head_done = True

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        if not self._complete:
            self._chunks.append(data)
            self._size += len(data)

    def on_message_complete(self) -> None:
        """The message is whole."""
        if self._complete:
            return
        status = self._parser.get_status_code()
        if 100 <= status < 200:
            received = self._received
            self._reset()
            self._received = received
            return
        self._answer.status = status
        self._keep = self._parser.should_keep_alive()
        self._complete = True

    # ends

    def _deliver(self) -> None:
        exchange, self._exchange = self._exchange, None
        answer, chunks = self._answer, self._chunks
        if not answer.status:
            answer.status = self._parser.get_status_code()
        if exchange is not None:
            exchange.answered(answer, chunks[0] if len(chunks) == 1 else b"".join(chunks))
        keep = self._keep and not self._surplus and not self._last
        self._reset()
        if keep and self.usable():
            self._pool.give_back(self)
        else:
            self._transport.close()

    def _fail(self, detail: str) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.broken(detail)
        self._transport.abort()


def _ends_cleanly(transport: Transport) -> bool:
    """Whether it is the plane that sends no more; without TLS nobody can tell, and it counts as so.

    asyncio's own loop tells of the connection's bare end as of the end that TLS announces.
    """
    tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    if tls is None:
        return True
    try:
        return not tls.read(1)
    except ssl.SSLZeroReturnError:
        return True
    except ssl.SSLError:  # it could have said more
        return False
