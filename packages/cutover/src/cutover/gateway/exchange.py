"""One request on its way to a plane and back: a small state machine without a future.

    begin ─► (idle connection) ─► sent ─► answered | broken | expired
        └──► connecting ─► sent ...   └► unreachable | expired | client gone: nothing was sent

Lines never crossed:

1. A message is handed to a connection once. From then on its outcome is what the plane answers,
   or unknown; it is never sent again.
2. A client that hangs up after that does not stop the exchange: what the plane did with it still
   counts, and a payment is not cut off half-way.
3. The client gets its answer first; judging and counting come after.
"""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from cutover.evidence.outcome import Outcome
from cutover.gateway.answers import JSON, PAUSED, error_answer, status_line
from cutover.gateway.heads import HEAD_END
from cutover.gateway.outcomes import outcome_of
from cutover.gateway.page import OUTCOME_INDEX
from cutover.runbook.intent import RISK_OF, Intent, Risk

if TYPE_CHECKING:
    from cutover.gateway.board import Board
    from cutover.gateway.client import Client
    from cutover.gateway.message import Answer
    from cutover.gateway.pool import PlanePool
    from cutover.gateway.standing import Standing, Way
    from cutover.gateway.upstream import Upstream

_PASSED = frozenset({b"content-type", b"content-encoding", b"retry-after"})


class Exchange(ABC):
    """The part that all kinds of requests share.

    Args:
        board: of the worker.
        client: who asked.
        pool: of the plane that was chosen.
        message: complete, ready to be sent.
        deadline_ms: until the answer is given up.
    """

    __slots__ = (
        "_board", "_client", "_deadline_ms", "_message", "_pool", "_upstream", "done",
    )  # fmt: skip

    def __init__(
        self, board: "Board", client: "Client", pool: "PlanePool", message: bytes,
        deadline_ms: int,
    ) -> None:  # fmt: skip
        self._board = board
        self._client: Client | None = client
        self._pool = pool
        self._message = message
        self._deadline_ms = deadline_ms
        self._upstream: Upstream | None = None
        self.done = False

    # what kinds differ in

    @abstractmethod
    def render(self, answer: "Answer", body: bytes, close: bytes) -> bytes:
        """The client's answer, made from the plane's."""

    @abstractmethod
    def apology(self, outcome: Outcome, detail: str, close: bytes) -> bytes:
        """The client's answer when there is none from the plane."""

    def sending(self) -> None:  # noqa: B027 - most kinds have nothing to tell
        """The message is about to be sent; what may move money hears of it before that."""

    @abstractmethod
    def settle(self, outcome: Outcome) -> None:
        """Count an end without an answer."""

    @abstractmethod
    def settle_answer(self, status: int, body: bytes) -> None:
        """Judge and count an answer, which the client has already got."""

    # from the route

    def begin(self, money: bool) -> None:
        """Send the message, now or when a connection is there."""
        self._board.hold(self, self._deadline_ms)
        upstream = self._pool.take(money)
        if upstream is not None:
            self._upstream = upstream
            if money:
                self.sending()
            upstream.carry(self, self._message)
        elif not self._pool.connect(self):
            self.shed(f"all connections to {self._pool.name} are busy")

    def lapsed(self) -> bool:
        """Whether it may not be sent any more, however it was when its connection was asked for."""
        return False

    # from the pool

    def connected(self, upstream: "Upstream") -> None:
        """The connection that was asked for is there."""
        if self.done:
            self._pool.give_back(upstream)
        elif not upstream.usable():
            self.unreachable("it closed the connection at once")
        elif self.lapsed():
            self._pool.give_back(upstream)
            self._end(Outcome.REFUSED, "")
        else:
            self._send(upstream)

    def unreachable(self, detail: str) -> None:
        """There will be no connection; nothing was sent."""
        if not self.done:
            self._end(Outcome.NOT_SENT, detail)

    def shed(self, detail: str) -> None:
        """There will be no connection for want of our own means; the plane is not to blame."""
        if not self.done:
            self._end(Outcome.SHED, detail)

    # from the connection

    def answered(self, answer: "Answer", body: bytes) -> None:
        """A whole answer is there."""
        if self.done:
            return
        self.done = True
        self._board.release(self, self._deadline_ms)
        client = self._client
        try:
            if client is not None:
                client.reply(self.render(answer, body, client.ending))
        finally:
            self.settle_answer(answer.status, body)

    def broken(self, detail: str) -> None:
        """The connection failed after the message had been handed to it."""
        if not self.done:
            self._end(Outcome.UNKNOWN, detail)

    # from the clock and the client

    def expired(self) -> None:
        """The deadline has passed."""
        self._give_up(f"in {self._deadline_ms / 1000:g} s")

    def given_up(self) -> None:
        """The worker stops before the deadline."""
        self._give_up("before this gateway had to stop")

    def risky(self) -> bool:
        """Whether it was sent and may move money; what a webhook sets off is not known here."""
        return self._upstream is not None

    def client_left(self) -> None:
        """The client hung up; what was not sent yet never will be."""
        self._client = None
        if self._upstream is None:
            self._end(Outcome.CLIENT_GONE, "")

    def _send(self, upstream: "Upstream") -> None:
        self._upstream = upstream
        self.sending()
        upstream.carry(self, self._message)

    def _give_up(self, waited: str) -> None:
        upstream = self._upstream
        if upstream is None:
            self._end(Outcome.NOT_SENT, f"no connection {waited}")
        else:
            self._end(Outcome.TIMEOUT_UNKNOWN, f"no answer {waited}")
            upstream.drop()

    def _finish(self) -> None:
        self.done = True
        self._board.release(self, self._deadline_ms)

    def _end(self, outcome: Outcome, detail: str) -> None:
        self._finish()
        client = self._client
        if client is not None:
            client.reply(self.apology(outcome, detail, client.ending))
        self.settle(outcome)


class IntentExchange(Exchange):
    """A text on its way to the plane that the table chose for its intent.

    Args:
        board: of the worker.
        client: who asked.
        message: complete, ready to be sent.
        deadline_ms: until the answer is given up.
        intent: of the text.
        way: that was chosen.
        standing: the table by which it was chosen.
        request_id: that the plane and the client are told.
    """

    __slots__ = ("_intent", "_request_id", "_standing", "_way")

    def __init__(
        self, board: "Board", client: "Client", message: bytes, deadline_ms: int, intent: Intent,
        way: "Way[PlanePool]", standing: "Standing[PlanePool]", request_id: bytes,
    ) -> None:  # fmt: skip
        # As in the parent, whose call would be a tenth of what an exchange costs.
        self._board = board
        self._client = client
        self._pool = way.plane
        self._message = message
        self._deadline_ms = deadline_ms
        self._upstream = None
        self.done = False
        self._intent = intent
        self._way = way
        self._standing = standing
        self._request_id = request_id

    def risky(self) -> bool:
        """Whether it was sent and may move money."""
        return self._way.money and self._upstream is not None

    def lapsed(self) -> bool:
        """A payment to the candidate, and the conductor's word has run out while it waited."""
        return self._way.leased and self._board.lapsed()

    def sending(self) -> None:
        """Whoever wants to know what the candidate may still pay sees it from now on."""
        if self._way.exposed:
            self._board.tally.expose(1)

    def signature(self) -> bytes:
        """Header lines that say who answered, by which table."""
        return b"%b%b\r\n" % (self._way.signature, self._request_id)

    def render(self, answer: "Answer", body: bytes, close: bytes) -> bytes:
        """Status, type and body as the plane gave them."""
        opening = answer.opening
        if not opening:
            if answer.status in {204, 304}:
                return b"%b%b%b\r\n" % (status_line(answer.status), self.signature(), close)
            opening = answer.opening = _opening(answer, len(body))
        ending = b"\r\n%b\r\n" % close if close else HEAD_END
        return b"".join((opening, self._way.signature, self._request_id, ending, body))

    def apology(self, outcome: Outcome, detail: str, close: bytes) -> bytes:
        """Say what is known about the request's fate."""
        status, text, code = fate(outcome, self._pool.name, detail, self._intent)
        paused = PAUSED if outcome is Outcome.REFUSED else b""
        return error_answer(status, text, code, self.signature() + paused + close)

    def settle(self, outcome: Outcome) -> None:
        """Count it."""
        cell = self._way.cell + OUTCOME_INDEX[outcome._value_]
        self._board.tally.count(self._standing.version, cell)
        if self._way.exposed:
            self._ended()

    def settle_answer(self, status: int, body: bytes) -> None:
        """Judge the answer by its content, and count it."""
        outcome = outcome_of(self._intent, status, body)
        cell = self._way.cell + OUTCOME_INDEX[outcome._value_]
        self._board.tally.count(self._standing.version, cell)
        if self._way.exposed:
            self._ended()

    def _ended(self) -> None:
        """Only now that its outcome is counted is it in the candidate's hand no more."""
        if self._upstream is not None:
            self._board.tally.expose(-1)


def _opening(answer: "Answer", length: int) -> bytes:
    """The first lines of our answer, as far as they come from the plane's."""
    passed = [b"%b: %b\r\n" % (n, v) for n, v in answer.headers if n.lower() in _PASSED]
    return b"%b%bcontent-length: %d\r\n" % (
        status_line(answer.status), b"".join(passed) or JSON, length,
    )  # fmt: skip


def lapse(plane: str) -> str:
    """What a client is told when nobody vouches for the candidate any more."""
    return (
        f"payments are paused: this gateway has not heard lately that {plane} is attested; "
        "nothing was sent, ask again later with the same idempotency key"
    )


def fate(outcome: Outcome, plane: str, detail: str, intent: Intent) -> tuple[int, str, str]:
    """Status, text and code for a request that got no answer."""
    if outcome is Outcome.NOT_SENT:
        return 502, f"not sent: {plane} was not reached ({detail}); it may be repeated", "not_sent"
    if outcome is Outcome.REFUSED:
        return 503, lapse(plane), "payments_paused"
    if outcome is Outcome.SHED:
        return 503, f"not sent: {detail}; try again shortly", "overloaded"
    careful = RISK_OF[intent] is not Risk.LOW
    advice = "do not repeat it before its effect was looked up" if careful else "it may be repeated"
    said = (
        f"outcome unknown: the request was sent to {plane} and no whole answer came ({detail}); "
        f"{advice}"
    )
    if outcome is Outcome.TIMEOUT_UNKNOWN:
        return 504, said, "timeout"
    return 502, said, "outcome_unknown"
