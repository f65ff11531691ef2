"""`POST /process`: the runtime's own route, answered by the plane that the table names."""

from functools import lru_cache
from typing import TYPE_CHECKING

from cutover.evidence.outcome import Outcome
from cutover.gateway.answers import PAUSED
from cutover.gateway.asked import UnreadableError, read_process
from cutover.gateway.exchange import IntentExchange, lapse
from cutover.gateway.heads import HEAD_END
from cutover.gateway.message import Request
from cutover.gateway.page import OUTCOME_INDEX
from cutover.gateway.standing import NO_BUCKET
from cutover.routing.classify import classify
from cutover.runbook.intent import Intent

if TYPE_CHECKING:
    from cutover.gateway.board import Board
    from cutover.gateway.client import Client
    from cutover.gateway.pool import PlanePool
    from cutover.gateway.standing import Way

TEXTS_REMEMBERED = 4096


@lru_cache(maxsize=TEXTS_REMEMBERED)
def intent_of(text: str) -> Intent:
    """`classify`, which depends on the text alone, remembered: clients repeat themselves."""
    return classify(text)


def take(board: "Board", client: "Client", request: Request, body: bytes) -> None:
    """Answer a client that talks as the runtime's clients do (contract §1)."""
    if not board.admits(request.fields.get(b"x-agent-api-key")):
        client.say(401, "x-agent-api-key is missing or not a client's key", "unauthorized")
        return
    try:
        asked = read_process(body)
    except UnreadableError as error:
        client.say(400, str(error), "malformed")
        return
    intent = intent_of(asked.text)
    if not request.framing:
        # not the client's word for it: the plane must read the body as it was read here
        request.framing = framing(b"application/json", len(body))
    deadline_ms = board.deadlines_ms[intent._value_]
    forward(
        board, client, request, IntentExchange, intent, asked.author or "",
        request.framing, body, deadline_ms,
    )  # fmt: skip


def framing(content_type: bytes, length: int) -> bytes:
    """Header lines about a body; the request id is to follow."""
    return b"content-type: %b\r\ncontent-length: %d\r\nx-request-id: " % (content_type, length)


def forward(
    board: "Board", client: "Client", request: Request, kind: type[IntentExchange],
    intent: Intent, author: str, framing: bytes, body: bytes, deadline_ms: int,
) -> None:  # fmt: skip
    """Send a classified text to its plane, unless the table or a limit forbids it."""
    standing = board.standing()
    if standing is None:
        client.say(503, "this gateway has no routing table yet; nothing was sent", "no_table")
        return
    way, bucket = standing.choose(intent, author)
    if way.barred and (why := _barred(board, way)):
        board.tally.count(standing.version, way.cell + OUTCOME_INDEX[Outcome.REFUSED.value])
        client.say(503, why, "payments_paused", PAUSED)
        return
    if board.in_flight >= board.limits.in_flight:
        board.tally.count(standing.version, way.cell + OUTCOME_INDEX[Outcome.SHED.value])
        client.say(503, "the gateway is at its limit; nothing was sent", "overloaded")
        return
    if request.special:
        carried, request_id = request.passed()
        request_id = request_id or board.fresh_id()
        ending = b"\r\n%b\r\n" % carried
    else:
        request_id, ending = board.fresh_id(), HEAD_END
    message = b"".join((way.plane.process, framing, request_id, ending, body))
    exchange = kind(board, client, message, deadline_ms, intent, way, standing, request_id)
    client.exchange = exchange
    if bucket != NO_BUCKET:
        board.tally.converse(way.pair, bucket)
    exchange.begin(way.money)


def _barred(board: "Board", way: "Way[PlanePool]") -> str:
    """What stands against sending it there now; empty when nothing does."""
    if way.refusal is not None:
        return way.refusal
    return lapse(way.plane.name) if board.lapsed() else ""
