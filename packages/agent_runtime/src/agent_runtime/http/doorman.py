"""Connections that cost more than they bring are ended: slow, endless, silent, or too many.

uvicorn's protocol waits without end for the head of a first request, reads a head of any size, and
for a peer that does not take its answer. None of the limits here is felt by a client that means
well; each is one by its name.
"""

import asyncio
import json
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 10.0
HEAD_BYTES_MAX = 32 * 1024
HEADERS_MAX = 128
LINGER_SECONDS = 5.0
"""For the rest of a body that was refused: cut off at once, the refusal itself would be lost."""
TAKE_SECONDS = 10.0
CONNECTIONS_MAX = 800
"""Below the 1,024 open files that many systems give, with room for rails and the store."""


class Doorman(HttpToolsProtocol):
    """One connection, with its limits.

    Attributes:
        since: loop time of its newest answer, or of its begin.
    """

    _timer: asyncio.TimerHandle | None = None
    _taking: asyncio.TimerHandle | None = None
    _in_head = True
    _got_on = False
    _head_bytes = 0
    since = 0.0

    @property
    def silent(self) -> bool:
        """Whether no request of it is being answered."""
        cycle: object = self.cycle  # None before the first request, whatever its type says
        return cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; if there are too many, the one that has been silent longest has to go."""
        super().connection_made(cast("asyncio.Transport", transport))
        self.since = self.loop.time()
        self._expect(HEAD_SECONDS)
        if len(self.connections) > CONNECTIONS_MAX:
            others = (cast("Doorman", one) for one in self.connections)
            silent = [one for one in others if one.silent]
            min(silent, key=lambda one: one.since).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._expect_nothing()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, unless a head has become too large."""
        self._got_on = False
        super().data_received(data)
        if self._got_on or not self._in_head or self.transport.is_closing():
            self._head_bytes = 0
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES_MAX:
            self._refuse(431, "head_too_large", f"more than {HEAD_BYTES_MAX} bytes of head")
        elif self._timer is None:  # bytes between two requests, which begin none
            self._expect(HEAD_SECONDS)

    def on_message_begin(self) -> None:
        """A head begins."""
        self._expect(HEAD_SECONDS)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A head is there: from now on whoever answers sees to the time."""
        self._in_head, self._got_on = False, True
        self._expect_nothing()
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > HEAD_BYTES_MAX or len(self.headers) > HEADERS_MAX:
            raise ValueError("a head that is too large, in one piece")  # the parser makes it a 400
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """A request is whole; what comes now is the next head."""
        self._in_head, self._got_on = True, True
        if self.silent:
            self._expect_nothing()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer is out; whoever still sends a body may do so for a little while."""
        self.since = self.loop.time()
        unread = self.cycle.more_body
        super().on_response_complete()
        if unread:
            self._expect(LINGER_SECONDS)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, in the one shape of errors."""
        self._refuse(400, "invalid_http", msg)

    def pause_writing(self) -> None:
        """The peer does not take its answer."""
        super().pause_writing()
        self._taking = self.loop.call_later(TAKE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """The peer takes its answer again."""
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None
        super().resume_writing()

    def _expect(self, seconds: float) -> None:
        self._expect_nothing()
        self._timer = self.loop.call_later(seconds, self._give_up)

    def _expect_nothing(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        if self.silent:
            self.transport.abort()
        else:  # half of a second request came while the first is being answered
            self._expect(HEAD_SECONDS)

    def _refuse(self, status: int, code: str, text: str) -> None:
        body = json.dumps({"error": text, "code": code}).encode()
        head = (
            f"HTTP/1.1 {status} {code}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
