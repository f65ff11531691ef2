"""A request as a client sent it, and what may be carried over from it."""

import re
from typing import Final

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
    """One message, filled by the parser's callbacks.

    Attributes:
        method: upper-case token.
        url: as in the request line.
        fields: the headers in `KIND`, by lower-case name.
        headers: every header in order, names in lower case; kept for webhooks only.
        lines: number of header lines.
        special: whether there is a header that needs a closer look.
        repeated: a header that came twice and must not, or empty.
        chunks: pieces of the body.
        size: bytes of the body so far.
    """

    # Class attributes are the defaults: most requests never touch them, and none pays for them.
    method = b""
    url = b""
    headers: list[tuple[bytes, bytes]] | None = None
    lines = 0
    special = False
    repeated = b""
    size = 0

    def __init__(self) -> None:
        self.fields: dict[bytes, bytes] = {}
        self.chunks: list[bytes] = []

    def path(self) -> bytes:
        """The part of the url before the query."""
        return self.url.partition(b"?")[0]

    def body(self) -> bytes:
        """The whole body."""
        chunks = self.chunks
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def request_id(self) -> bytes:
        """The client's request id if it is fit to be passed on, else empty."""
        said = self.fields.get(b"x-request-id")
        return said if said is not None and _REQUEST_ID.fullmatch(said) else b""

    def carried(self) -> bytes:
        """Header lines that a plane gets to see."""
        fields = self.fields
        return b"".join(
            [b"%b: %b\r\n" % (name, fields[name]) for name in CARRIED if name in fields]
        )

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
