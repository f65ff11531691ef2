"""`POST /process`: the runtime's own route, answered by the plane that the table names."""

from typing import TYPE_CHECKING

from cutover.evidence.outcome import Outcome
from cutover.gateway.answers import PAUSED_RETRY_SECONDS
from cutover.gateway.asked import UnreadableError, read_process
from cutover.gateway.exchange import IntentExchange
from cutover.gateway.message import Request
from cutover.routing.classify import classify
from cutover.runbook.intent import RISK_OF, Intent, Risk

if TYPE_CHECKING:
    from cutover.gateway.board import Board
    from cutover.gateway.client import Client

_PAUSED_HEADERS = b"retry-after: %d\r\n" % PAUSED_RETRY_SECONDS
_MONEY = frozenset(intent for intent in Intent if RISK_OF[intent] is Risk.MONEY)


def take(board: "Board", client: "Client", request: Request) -> None:
    """Answer a client that talks as the runtime's clients do (contract §1)."""
    if not board.admits(request.fields.get(b"x-agent-api-key")):
        client.say(401, "x-agent-api-key is missing or not a client's key", "unauthorized")
        return
    body = request.body()
    try:
        asked = read_process(body)
    except UnreadableError as error:
        client.say(400, str(error), "malformed")
        return
    intent = classify(asked.text)
    content_type = request.fields.get(b"content-type", b"application/json")
    deadline_ms = board.deadlines_ms[intent]
    forward(
        board, client, request, IntentExchange, intent=intent, author=asked.author or "",
        content_type=content_type, body=body, deadline_ms=deadline_ms,
    )  # fmt: skip


def forward(
    board: "Board", client: "Client", request: Request, kind: type[IntentExchange],
    *, intent: Intent, author: str, content_type: bytes, body: bytes, deadline_ms: int,
) -> None:  # fmt: skip
    """Send a classified text to its plane, unless the table or a limit forbids it."""
    standing = board.standing()
    if standing is None:
        client.say(503, "this gateway has no routing table yet; nothing was sent", "no_table")
        return
    way, bucket = standing.choose(intent, author)
    plane, version = way.plane, standing.version
    if way.refusal is not None:
        board.count(version, plane, intent, Outcome.REFUSED)
        client.say(503, way.refusal, "payments_paused", _PAUSED_HEADERS)
        return
    if board.in_flight >= board.limits.in_flight:
        board.count(version, plane, intent, Outcome.SHED)
        client.say(503, "the gateway is at its limit; nothing was sent", "overloaded")
        return
    request_id = request.request_id() or board.fresh_id()
    message = b"%bcontent-type: %b\r\ncontent-length: %d\r\nx-request-id: %b\r\n%b\r\n%b" % (
        plane.process, content_type, len(body), request_id, request.carried(), body,
    )  # fmt: skip
    exchange = kind(
        board, client, plane, message, deadline_ms, intent=intent, version=version,
        generation=standing.generation, request_id=request_id,
    )  # fmt: skip
    client.exchange = exchange
    board.converse(version, plane, intent, bucket)
    exchange.begin(money=intent in _MONEY)
