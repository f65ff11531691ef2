"""Answers of the gateway itself, and the frame around a plane's answers. Pure bytes.

Every error has one shape, `{"error": text for people, "code": word for programs}`.
"""

from http import HTTPStatus
from typing import Final

import msgspec

STATUS_LINE: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
CLOSE: Final = b"connection: close\r\n"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
JSON: Final = b"content-type: application/json\r\n"
RETRY_SECONDS: Final = 5
PAUSED_RETRY_SECONDS: Final = 60
PAUSED: Final = b"retry-after: %d\r\n" % PAUSED_RETRY_SECONDS
"""Header lines of an answer that refuses a payment for now."""


def status_line(status: int) -> bytes:
    """The first line of an answer, for statuses without a name too."""
    return STATUS_LINE.get(status) or b"HTTP/1.1 %d \r\n" % status


encode: Final = msgspec.json.Encoder().encode
"""A value as JSON bytes."""


def error_body(error: str, code: str) -> bytes:
    """The one shape of an error."""
    return encode({"error": error, "code": code})


def json_answer(status: int, body: bytes, headers: bytes = b"") -> bytes:
    """A whole answer with a JSON body; `headers` are complete lines."""
    return b"%b%b%bcontent-length: %d\r\n\r\n%b" % (
        status_line(status), JSON, headers, len(body), body,
    )  # fmt: skip


def error_answer(status: int, error: str, code: str, headers: bytes = b"") -> bytes:
    """A whole error answer; `headers` are complete lines."""
    if status in {429, 503} and b"retry-after" not in headers:
        headers += b"retry-after: %d\r\n" % RETRY_SECONDS
    return json_answer(status, error_body(error, code), headers)


def bodiless(answer: bytes) -> bytes:
    """The same without its body, which is what HEAD gets."""
    return answer[: answer.index(b"\r\n\r\n") + 4]
