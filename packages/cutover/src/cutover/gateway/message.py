"""A request's head as a client sent it and what may be carried over from it; an answer's head."""

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from cutover.gateway.board import Board
    from cutover.gateway.client import Client

    Route = Callable[[Board, Client, "Request", bytes], None]

PLAIN: Final = 0  # nearly every request has it
SPECIAL: Final = 1  # needs a closer look
REPEATABLE: Final = 2  # may come twice, and needs a closer look

KIND: Final = {
    b"accept": REPEATABLE,
    b"connection": REPEATABLE,
    b"content-encoding": SPECIAL,
    b"content-length": PLAIN,
    b"content-type": PLAIN,
    b"expect": SPECIAL,
    b"host": PLAIN,
    b"idempotency-key": SPECIAL,
    b"traceparent": SPECIAL,
    b"transfer-encoding": SPECIAL,
    b"x-agent-api-key": PLAIN,
    b"x-request-id": SPECIAL,
}
"""Headers that mean something to the gateway; all others are read past."""

CARRIED: Final = (b"accept", b"idempotency-key", b"traceparent")
"""The allow-list: what a plane gets to see besides type, length, key and request id."""

VALUE_BYTES_MAX: Final = 512
SHORT: Final = 4
"""Digits of a content length that need no look here: the body's pieces are counted anyway."""
WEBHOOK: Final = b"/webhook/"

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{8,64}")


class Request:
    """A request's head, filled by the parser's callbacks; the body comes apart from it.

    Attributes:
        method: upper-case token.
        url: as in the request line.
        fields: the headers in `KIND`, by lower-case name.
        headers: every header in order, names in lower case; kept for webhooks only.
        lines: number of header lines.
        special: whether there is a header that needs a closer look.
        repeated: a header that came twice and must not, or empty.
        length: bytes of the body, once the head is remembered.
        route: that takes such requests; set when the head is whole.
        framing: what a plane is told of type and length of the body; kept by the route.
    """

    # Class attributes are the defaults: most requests never touch them, and none pays for them.
    method = b""
    url = b""
    headers: list[tuple[bytes, bytes]] | None = None
    lines = 0
    special = False
    repeated = b""
    length = 0
    framing = b""
    route: "Route"

    def __init__(self) -> None:
        self.fields: dict[bytes, bytes] = {}
        self._passed: tuple[bytes, bytes] | None = None

    def path(self) -> bytes:
        """The part of the url before the query."""
        return self.url.partition(b"?")[0]

    def passed(self) -> tuple[bytes, bytes]:
        """Header lines that a plane gets to see, and the client's request id.

        Both may be empty; an id that is not fit to be passed on is none.
        """
        if self._passed is None:
            fields = self.fields
            lines = [b"%b: %b\r\n" % (name, fields[name]) for name in CARRIED if name in fields]
            said = fields.get(b"x-request-id")
            fit = said if said is not None and _REQUEST_ID.fullmatch(said) else b""
            self._passed = b"".join(lines), fit
        return self._passed

    def repeats(self) -> bool:
        """Whether the next request may well have the same head, and all that matters is in it."""
        fields = self.fields
        return (
            self.headers is None  # a webhook's signature never comes twice
            and b"content-length" in fields
            and b"transfer-encoding" not in fields
            and b"expect" not in fields
        )

    def foreign(self, version: str) -> tuple[int, str, str] | None:
        """What keeps the head from being HTTP/1.1 or 1.0 as their texts have it; None if nothing.

        A version of another major number is not ours to answer (RFC 9110 §15.6.6), and a request
        of 1.1 that names no host is to be refused (RFC 9112 §3.2); 1.0 knew no such line.
        """
        if version == "1.1":
            said = "an HTTP/1.1 request names its host; send a `host` header"
            return None if b"host" in self.fields else (400, said, "malformed")
        if version == "1.0":
            return None
        return 505, f"this server speaks HTTP/1.1, not HTTP/{version}", "unsupported_version"

    def plain(self, headers_max: int) -> bool:
        """Whether the head is surely in order: the quick half of `problem`."""
        return not (
            self.special
            or self.repeated
            or self.lines > headers_max
            or len(self.fields.get(b"content-length", b"")) > SHORT
        )

    def problem(self, headers_max: int, body_max: int) -> tuple[int, str, str] | None:
        """What is wrong with the head, as status, text and code; None if nothing is."""
        fields = self.fields
        if self.lines > headers_max:
            return 431, f"{self.lines} headers, at most {headers_max}", "head_too_large"
        if self.repeated:
            return 400, f"header {self.repeated.decode()} was sent more than once", "malformed"
        if b"content-length" in fields:
            length = fields[b"content-length"]
            if len(length) > 18 or int(length) > body_max:
                return 413, f"a body may have {body_max} bytes", "body_too_large"
        return self._special_problem() if self.special else None

    def _special_problem(self) -> tuple[int, str, str] | None:
        fields = self.fields
        if fields.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
            return 501, "of the transfer encodings only `chunked` is understood", "malformed"
        if fields.get(b"content-encoding", b"identity").lower() != b"identity":
            return 415, "a compressed body cannot be judged; send it plain", "unsupported_encoding"
        if fields.get(b"expect", b"100-continue").lower() != b"100-continue":
            return 417, "of the expectations only `100-continue` is understood", "malformed"
        for name in CARRIED:
            if len(fields.get(name, b"")) > VALUE_BYTES_MAX:
                said = f"header {name.decode()} may have {VALUE_BYTES_MAX} bytes"
                return 400, said, "malformed"
        return None


class Answer:
    """The head of a plane's answer.

    Attributes:
        status: of the answer.
        headers: names as sent, in order.
        length: bytes of the body, once the head is remembered.
        opening: what it becomes at the head of our answer; kept by whoever makes it.
    """

    __slots__ = ("headers", "length", "opening", "status")

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.length = 0
        self.opening = b""

    def framed(self) -> bool:
        """Whether the head says where the body ends."""
        return any(name.lower() in _FRAMING for name, _ in self.headers)

    def repeats(self) -> bool:
        """Whether the head alone says that a body of known length follows."""
        names = [name.lower() for name, _ in self.headers]
        return (
            self.status >= 200
            and self.status not in {204, 304}
            and b"content-length" in names
            and b"transfer-encoding" not in names
        )


_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})
