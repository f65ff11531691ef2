"""`/app` and `/receipts/...`: what a person's browser loads, carried from the plane that has it.

The page must come from the origin that takes its requests, and a candidate's attested key is none
that a browser believes; so both are read through the gateway. Only these paths are, only whole and
without a query, and nothing of the browser's goes along but whether it wants JSON. What a browser
may do with the answer is said here, not taken over from the plane.
"""

import re
from typing import TYPE_CHECKING, Final

from cutover.evidence.outcome import Outcome
from cutover.gateway.answers import error_answer, status_line
from cutover.gateway.exchange import Exchange, fate
from cutover.gateway.message import Answer, Request
from cutover.runbook.intent import Intent

if TYPE_CHECKING:
    from cutover.gateway.board import Board
    from cutover.gateway.client import Client
    from cutover.gateway.pool import PlanePool

APP: Final = (b"/app", b"/app/app.js", b"/app/style.css")
RECEIPTS: Final = b"/receipts/"
DEADLINE_MS: Final = 8_000
GUARDS: Final = (
    b"content-security-policy: default-src 'none'; script-src 'self'; style-src 'self';"
    b" connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none';"
    b" frame-ancestors 'none'\r\n"
    b"x-content-type-options: nosniff\r\n"
    b"referrer-policy: no-referrer\r\n"
    b"cache-control: no-store\r\n"
    b"vary: accept\r\n"
)

_RECEIPT: Final = re.compile(rb"/receipts/([A-Za-z0-9._-]{1,128})-[0-9a-f]{32}")
_MEDIA: Final = re.compile(
    rb"(?:text/(?:html|css|javascript)|application/json)(?:; ?charset=utf-8)?", re.IGNORECASE
)


class ViewExchange(Exchange):
    """A page or a receipt on its way to a browser."""

    def render(self, answer: "Answer", body: bytes, close: bytes) -> bytes:
        """The plane's status and body, as a kind of text that is expected here, guarded."""
        media = next((v for n, v in answer.headers if n.lower() == b"content-type"), b"")
        if not _MEDIA.fullmatch(media) or answer.status in {204, 304}:
            said = f"{self._pool.name} gave no page"
            return error_answer(502, said, "plane_error", close)
        return b"%bcontent-type: %b\r\n%b%bcontent-length: %d\r\n\r\n%b" % (
            status_line(answer.status), media, GUARDS, close, len(body), body,
        )  # fmt: skip

    def apology(self, outcome: Outcome, detail: str, close: bytes) -> bytes:
        """The page could not be had; asking again does no harm."""
        status, text, code = fate(outcome, self._pool.name, detail, Intent.HELP)
        return error_answer(status, text, code, close)

    def risky(self) -> bool:
        """Looking moves nothing."""
        return False

    def settle(self, outcome: Outcome) -> None:
        """A look has no intent; nothing is counted."""

    def settle_answer(self, status: int, body: bytes) -> None:
        """A look has no intent; nothing is counted."""


def take_app(board: "Board", client: "Client", request: Request, body: bytes) -> None:  # noqa: ARG001 (a Route)
    """The page, from the active plane."""
    standing = board.standing()
    if standing is None:
        client.say(503, "this gateway has no routing table yet", "no_table")
    elif request.url not in APP:
        client.say(404, "nothing is served here", "not_found")
    else:
        _carry(board, client, standing.active, request)


def take_receipt(board: "Board", client: "Client", request: Request, body: bytes) -> None:  # noqa: ARG001 (a Route)
    """A receipt, from the plane that its address names: no other one knows it."""
    named = _RECEIPT.fullmatch(request.url)
    plane = board.pools.get(named[1].decode()) if named else None
    if board.standing() is None:  # until then no plane's TLS key is known
        client.say(503, "this gateway has no routing table yet", "no_table")
    elif plane is None:
        client.say(404, "there is no receipt at this address", "not_found")
    else:
        _carry(board, client, plane, request)


def _carry(board: "Board", client: "Client", plane: "PlanePool", request: Request) -> None:
    if board.in_flight >= board.limits.in_flight:
        client.say(503, "the gateway is at its limit", "overloaded")
        return
    wanted = b"application/json" in request.fields.get(b"accept", b"")
    message = b"GET %b%b HTTP/1.1\r\n%baccept: %b\r\n\r\n" % (
        plane.base, request.url, plane.host, b"application/json" if wanted else b"text/html",
    )  # fmt: skip
    exchange = ViewExchange(board, client, plane, message, DEADLINE_MS)
    client.exchange = exchange
    exchange.begin(False)
