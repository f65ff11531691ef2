"""`/api/agent`: the web client's route, as it is today (contract §9), with an honest `plane`."""

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from cutover.evidence.outcome import Outcome
from cutover.gateway.answers import (
    PAUSED,
    RETRY_SECONDS,
    encode,
    error_answer,
    error_body,
    json_answer,
)
from cutover.gateway.asked import AgentBody, UnreadableError, read_agent
from cutover.gateway.exchange import Exchange, IntentExchange, fate
from cutover.gateway.message import Answer, Request
from cutover.gateway.process import forward, framing
from cutover.routing.classify import classify
from cutover.runbook.intent import RISK_OF, Intent

if TYPE_CHECKING:
    from cutover.gateway.board import Board
    from cutover.gateway.client import Client
    from cutover.gateway.pool import PlanePool

MENTION: Final = "@gitsplits "
DEADLINE_MS: Final = 25_000
STATUS_DEADLINE_MS: Final = 8_000
STATUS_KEPT_SECONDS: Final = 15.0
SOURCE: Final = "agent-upstream"
PAY_HINT: Final = "payments are not taken here; use /splits"
USER_DEFAULT: Final = "web_user"

_PLANNED: Final = frozenset({Intent.CREATE, Intent.PAY, Intent.UNKNOWN})
"""What goes out as a wish for a plan where plans are asked for; nobody acts on what comes so."""

_STARTS_PAY: Final = re.compile(r"\s*(?:@\S+\s+)?pay\b", re.IGNORECASE)


class _Answer(msgspec.Struct):
    """What of a plane's answer goes on; only `response` is every plane's."""

    response: str
    eventId: object = None  # noqa: N815 (the wire's name)
    paymentId: object = None  # noqa: N815 (the wire's name)
    final: object = None


class _Error(msgspec.Struct):
    error: str


class AgentExchange(IntentExchange):
    """An intent whose answer is put into the web client's frame."""

    def render(self, answer: "Answer", body: bytes, close: bytes) -> bytes:
        """The plane's answer in the web client's frame; an error keeps its status."""
        headers = self.signature() + close
        if answer.status != 200:
            fault = _error_of(body) or f"{self._pool.name} answered {answer.status}"
            return error_answer(answer.status, fault, "plane_error", headers)
        try:
            said = msgspec.json.decode(body, type=_Answer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            fault = f"{self._pool.name} gave an answer that cannot be read; its effect is unknown"
            return error_answer(502, fault, "outcome_unknown", headers)
        return json_answer(200, encode(self._frame(said)), headers)

    def apology(self, outcome: Outcome, detail: str, close: bytes) -> bytes:
        """As on `/process`, but a plane that cannot be reached is 503 here."""
        status, text, code = fate(outcome, self._pool.name, detail, self._intent)
        if outcome is Outcome.NOT_SENT:
            status = 503
        paused = PAUSED if outcome is Outcome.REFUSED else b""
        return error_answer(status, text, code, self.signature() + paused + close)

    def _frame(self, said: _Answer) -> dict[str, object]:
        more = {"eventId": said.eventId, "paymentId": said.paymentId, "final": said.final}
        return {
            "success": True,
            "response": said.response,
            **{name: value for name, value in more.items() if isinstance(value, str | bool)},
            "execution": {
                "plane": self._pool.name,
                "upstream": self._pool.url,
                "risk": RISK_OF[self._intent],
                "intent": self._intent,
                "generation": self._standing.table.generation,
                "requestId": self._request_id.decode(),
                "fallbackUsed": False,
                "routing": "table",
            },
            "source": SOURCE,
            "timestamp": _timestamp(self._board),
        }


def take(board: "Board", client: "Client", request: Request, body: bytes) -> None:
    """Answer the web client; no text moves money here, but the approval of a plan may.

    A plan is asked for in a member that a plane which knows no plans does not read. It goes the way
    of `approve`, whatever it plans: a plan lives on the plane that made it.
    """
    if not board.admits(request.fields.get(b"x-agent-api-key")):
        client.say(401, "x-agent-api-key is missing or not a client's key", "unauthorized")
        return
    try:
        asked = read_agent(body)
    except UnreadableError as error:
        client.say(400, str(error), "malformed")
        return
    said = (asked.text or asked.message or "").strip()
    if not said:
        client.say(400, "text is missing or empty", "malformed")
        return
    text = MENTION + said
    intent = classify(text)
    planned = asked.plan and intent in _PLANNED
    if planned:
        intent = Intent.PLAN
    elif intent is Intent.PAY or _STARTS_PAY.match(said):
        client.say(400, PAY_HINT, "use_splits")
        return
    author = asked.userId or USER_DEFAULT
    deadline_ms = min(DEADLINE_MS, board.deadlines_ms[intent._value_])
    asking = _process_body(asked, text, author, planned)
    forward(
        board, client, request, AgentExchange, intent, author,
        framing(b"application/json", len(asking)), asking, deadline_ms,
    )  # fmt: skip


class StatusExchange(Exchange):
    """A look at the active plane's `/ready` on behalf of all web clients that ask meanwhile."""

    __slots__ = ("_others", "_told")

    def __init__(self, board: "Board", client: "Client", plane: "PlanePool") -> None:
        super().__init__(board, client, plane, plane.ready, STATUS_DEADLINE_MS)
        self._others: list[Client] = []
        self._told: tuple[int, bytes] | None = None
        board.looks[plane.name] = self

    def join(self, client: "Client") -> None:
        """One more client wants to know the same."""
        self._others.append(client)

    def client_left(self) -> None:
        """The look goes on: others may wait for it, and the next will ask soon."""
        self._client = None

    def render(self, answer: "Answer", body: bytes, close: bytes) -> bytes:
        """The plane's readiness in the web client's frame."""
        return self._say(self._judge(answer.status, body), close)

    def apology(self, outcome: Outcome, detail: str, close: bytes) -> bytes:
        """The plane said nothing, so it is not ready; unless it was not even asked."""
        return self._say(self._silent(outcome, detail), close)

    def risky(self) -> bool:
        """A look moves nothing."""
        return False

    def settle(self, outcome: Outcome) -> None:
        """A look is not an intent, nothing is counted; but others may wait for it."""
        self._tell_others(self._told or self._silent(outcome, "no answer"))

    def settle_answer(self, status: int, body: bytes) -> None:
        """A look is not an intent, nothing is counted; but others may wait for it."""
        self._tell_others(self._told or self._judge(status, body))

    def _tell_others(self, told: tuple[int, bytes]) -> None:
        self._board.looks.pop(self._pool.name, None)
        for other in self._others:
            if not other.gone():
                other.reply(self._say(told, other.ending))

    def _say(self, told: tuple[int, bytes], close: bytes) -> bytes:
        self._told = told
        return _status_answer(*told, close)

    def _silent(self, outcome: Outcome, detail: str) -> tuple[int, bytes]:
        if outcome is Outcome.SHED:  # says nothing about the plane
            return 503, error_body(f"the plane was not asked: {detail}", "overloaded")
        return self._frame(False, None, f"{outcome}: {detail}")

    def _judge(self, status: int, body: bytes) -> tuple[int, bytes]:
        try:
            details = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            details = "the plane's answer is not JSON"
        ready = status == 200 and isinstance(details, dict) and details.get("ready") is True
        return self._frame(ready, status, details)

    def _frame(self, ready: bool, status: int | None, details: object) -> tuple[int, bytes]:
        body = encode(
            {
                "status": "ok" if ready else "degraded",
                "service": SOURCE,
                "controller": {
                    "configured": True, "ready": ready, "status": status, "details": details,
                },
                "timestamp": _timestamp(self._board),
            }
        )  # fmt: skip
        until = self._board.loop.time() + STATUS_KEPT_SECONDS
        kept = (until, 200 if ready else 503, body)
        self._board.statuses[self._pool.name] = kept
        return kept[1:]


def take_status(
    board: "Board",
    client: "Client",
    request: Request,  # noqa: ARG001 (a Route)
    body: bytes,  # noqa: ARG001 (a Route)
) -> None:
    """Tell a web client how the active plane is; at most one look in 15 s."""
    standing = board.standing()
    if standing is None:
        client.say(503, "this gateway has no routing table yet", "no_table")
        return
    plane = standing.active
    until, status, said = board.statuses.get(plane.name, (0.0, 503, b""))
    if until > board.loop.time():
        client.reply(_status_answer(status, said, client.ending))
    elif (look := board.looks.get(plane.name)) is not None:
        look.join(client)
    elif board.in_flight >= board.limits.in_flight:
        client.say(503, "the gateway is at its limit", "overloaded")
    else:
        exchange = StatusExchange(board, client, plane)
        client.exchange = exchange
        exchange.begin(False)


def _status_answer(status: int, body: bytes, close: bytes) -> bytes:
    retry = b"retry-after: %d\r\n" % RETRY_SECONDS if status == 503 else b""
    return json_answer(status, body, retry + close)


def _process_body(asked: AgentBody, text: str, author: str, planned: bool) -> bytes:
    body = {"plan" if planned else "text": text, "author": author, "type": "web"}
    accounts = {
        "walletAddress": asked.walletAddress,
        "nearAccountId": asked.nearAccountId,
        "evmAddress": asked.evmAddress,
    }
    return encode(body | {name: value for name, value in accounts.items() if value})


def _error_of(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Error).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""  # the caller then names the status instead


def _timestamp(board: "Board") -> str:
    moment = datetime.fromtimestamp(board.clock.wall_ms() / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
