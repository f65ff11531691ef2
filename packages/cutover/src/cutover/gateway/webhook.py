"""`POST /webhook/...`: carried to the active plane byte for byte, both ways.

The signature covers the body, so neither it nor the sender's headers are touched; only what
belongs to one connection (hop-by-hop), the host and any plane or client key are left out. Whether
the signature is right is the plane's business. A webhook has no intent and is not counted.
"""

import re
from typing import TYPE_CHECKING, Final

from cutover.evidence.outcome import Outcome
from cutover.gateway.answers import error_answer, status_line
from cutover.gateway.config import WEBHOOK_DEADLINE_MS
from cutover.gateway.exchange import Exchange, fate
from cutover.gateway.message import Answer, Request
from cutover.runbook.intent import Intent

if TYPE_CHECKING:
    from cutover.gateway.board import Board
    from cutover.gateway.client import Client

# No dot segments, no escapes, no empty segments: the plane must read the path as we did.
_PATH: Final = re.compile(rb"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]+)+/?")
_OF_ONE_HOP: Final = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization",
        b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade",
    }
)  # fmt: skip
_NOT_CARRIED: Final = _OF_ONE_HOP | {b"host", b"content-length", b"expect", b"x-agent-api-key"}


class WebhookExchange(Exchange):
    """A delivery on its way to the plane."""

    def render(self, answer: "Answer", body: bytes, close: bytes) -> bytes:
        """The plane's answer with its own headers."""
        named = _named_by_connection(answer.headers)
        lines = b"".join(
            b"%b: %b\r\n" % (name, value)
            for name, value in answer.headers
            if (lower := name.lower()) not in _OF_ONE_HOP
            and lower not in named
            and lower != b"content-length"
        )
        if answer.status in {204, 304}:
            return b"%b%b%b\r\n" % (status_line(answer.status), lines, close)
        return b"%b%b%bcontent-length: %d\r\n\r\n%b" % (
            status_line(answer.status), lines, close, len(body), body,
        )  # fmt: skip

    def apology(self, outcome: Outcome, detail: str, close: bytes) -> bytes:
        """The sender repeats by itself on an error; the plane tells repeats apart."""
        status, text, code = fate(outcome, self._pool.name, detail, Intent.UNKNOWN)
        return error_answer(status, text, code, close)

    def settle(self, outcome: Outcome) -> None:
        """A webhook has no intent; nothing is counted."""

    def settle_answer(self, status: int, body: bytes) -> None:
        """A webhook has no intent; nothing is counted."""


def take(board: "Board", client: "Client", request: Request, body: bytes) -> None:
    """Carry a delivery to the active plane."""
    standing = board.standing()
    if not _PATH.fullmatch(request.path()):
        client.say(404, "not a webhook's path", "not_found")
    elif standing is None:
        client.say(503, "this gateway has no routing table yet; nothing was sent", "no_table")
    elif board.in_flight >= board.limits.in_flight:
        client.say(503, "the gateway is at its limit; nothing was sent", "overloaded")
    else:
        plane = standing.active
        message = _message(plane.base, plane.host, request, body)
        exchange = WebhookExchange(board, client, plane, message, WEBHOOK_DEADLINE_MS)
        client.exchange = exchange
        exchange.begin(True)  # what it sets off is not known here


def _message(base: bytes, host: bytes, request: Request, body: bytes) -> bytes:
    headers = request.headers or []
    named = _named_by_connection(headers)
    lines = b"".join(
        b"%b: %b\r\n" % (name, value)
        for name, value in headers
        if name not in _NOT_CARRIED and name not in named
    )
    return b"POST %b%b HTTP/1.1\r\n%b%bcontent-length: %d\r\n\r\n%b" % (
        base, request.url, host, lines, len(body), body,
    )  # fmt: skip


def _named_by_connection(headers: list[tuple[bytes, bytes]]) -> frozenset[bytes]:
    """Headers that a Connection header declares to belong to its hop."""
    return frozenset(
        token.strip().lower()
        for name, value in headers
        if name.lower() == b"connection"
        for token in value.split(b",")
    )
