"""Connections to one plane, most recently used first: few stay hot, the rest grow old and go.

A connection that was idle for long may have been closed by the plane while our request is on its
way, and then nobody knows whether the request was seen. So idle ones are dropped early, and what
may move money only goes out on a connection used within the last second, or on a fresh one.

A plane may have to present one TLS key (`cutover.gateway.trust`). When that changes, a connection
made before carries nothing new: what is idle is dropped, what is being opened is not used, and what
is in use ends with its exchange, whose request went to the key that was the right one then.
"""

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from cutover.gateway.config import PlaneEndpoint, address_of
from cutover.gateway.descriptors import exhausted
from cutover.gateway.heads import Heads
from cutover.gateway.message import Answer
from cutover.gateway.trust import MISMATCH, Trust, trust_of
from cutover.gateway.upstream import Upstream
from cutover.pinned import PinError

if TYPE_CHECKING:
    from cutover.gateway.board import Board
    from cutover.gateway.exchange import Exchange

MONEY_IDLE_SECONDS: Final = 1.0
CONNECT_TRIES: Final = 2
TLS_END_SECONDS: Final = 1.0
"""For a plane to hear that we close; who does not listen must not keep a place in the pool."""

log = logging.getLogger("cutover.gateway.pool")


class PlanePool:
    """The connections of one worker to one plane.

    Attributes:
        name: of the plane.
        url: of the plane, for people.
        answer_bytes: bound of an answer's body.
        board: of the worker.
        heads: of its answers, that the parser has accepted.
        process: request line and first headers of a `/process` message.
        webhook: the same of a webhook without its path; the plane's key is not in it.
    """

    def __init__(self, name: str, endpoint: PlaneEndpoint, board: "Board") -> None:
        self.name = name
        self.url = endpoint.url
        self.board = board
        self.answer_bytes = board.limits.answer_bytes
        self.heads: Heads[Answer] = Heads()
        self._address = address_of(endpoint.url)
        self._trust = trust_of(None, self._address, endpoint.url)
        self._stranger_told = False
        self._limits = board.limits
        self._loop = board.loop
        self._idle: list[Upstream] = []
        # Dicts for sets: nothing here may ever depend on the order of a set, which is chance.
        self._open: dict[Upstream, None] = {}
        self._connecting: dict[asyncio.Task[None], None] = {}
        host = f"host: {self._address.authority}\r\n"
        key = f"x-agent-api-key: {endpoint.key}\r\n"
        self.process = f"POST {self._address.base}/process HTTP/1.1\r\n{host}{key}".encode()
        self.ready = f"GET {self._address.base}/ready HTTP/1.1\r\n{host}\r\n".encode()
        self.host = host.encode()
        self.base = self._address.base.encode()

    def require(self, spki: str | None) -> bool:
        """From now on the plane must present this key; returns whether that is a change.

        Args:
            spki: as `RoutingTable.candidate_spki` has it; None for a plane that needs none.
        """
        if spki == self._trust.spki:
            return False
        self._trust = trust_of(spki, self._address, self.url)
        self._stranger_told = False
        if self._trust.barred and spki:  # a defect of the configuration; an empty one is none
            log.error("%s gets nothing: %s", self.name, self._trust.barred)
        for upstream in list(self._open):
            upstream.retire()
        return True

    def take(self, money: bool) -> Upstream | None:
        """An idle connection fit for the purpose, or None."""
        idle = self._idle
        if not idle:
            return None
        oldest = self.board.now - (MONEY_IDLE_SECONDS if money else self._limits.idle_seconds)
        while idle:
            upstream = idle[-1]
            if upstream.since < oldest and upstream.usable():
                return None  # those below are older still
            idle.pop()
            if upstream.usable():
                return upstream
        return None

    def connect(self, exchange: "Exchange") -> bool:
        """Open a connection for an exchange, which hears of it later; False when all are busy."""
        if self.size() >= self._limits.pool and not self._make_room():
            return False
        task = self._loop.create_task(self._connect(exchange))
        self._connecting[task] = None
        task.add_done_callback(self._connecting.pop)
        return True

    def size(self) -> int:
        """How many connections there are, or will be."""
        return len(self._open) + len(self._connecting)

    def give_back(self, upstream: Upstream) -> None:
        """A connection has become idle."""
        upstream.since = self.board.now
        self._idle.append(upstream)

    def add(self, upstream: Upstream) -> None:
        """A connection is open."""
        self._open[upstream] = None

    def forget(self, upstream: Upstream) -> None:
        """A connection is closed."""
        self._open.pop(upstream, None)
        if upstream in self._idle:
            self._idle.remove(upstream)

    def sweep(self, now: float) -> None:
        """Drop what has been idle for too long."""
        oldest = now - self._limits.idle_seconds
        while self._idle and self._idle[0].since < oldest:
            self._idle.pop(0).drop()

    async def _connect(self, exchange: "Exchange") -> None:
        """Connect; a failed try sent nothing, so there is a second one, to the same plane.

        There is none with whoever has presented another key: that is not the plane.
        """
        detail = ""
        for _ in range(CONNECT_TRIES):
            trust = self._trust
            if trust.barred:
                detail = trust.barred
                break
            try:
                upstream = await self._dial(trust)
            except PinError as error:
                detail = MISMATCH
                if trust is self._trust:
                    self._tell_of_stranger(error)
                    break
            except OSError as error:  # a timeout is one
                if exhausted(error):
                    exchange.shed("this gateway is out of file descriptors")
                    return
                detail = str(error) or f"no connection in {self._limits.connect_seconds:g} s"
            except UnicodeError as error:
                detail = f"{self._address.host!r} is no name that can be looked up: {error}"
            else:
                if trust is self._trust:
                    exchange.connected(upstream)
                    return
                upstream.drop()
                detail = "the TLS key that it must present changed meanwhile"
        exchange.unreachable(detail)

    async def _dial(self, trust: Trust) -> Upstream:
        address, tls = self._address, trust.context
        async with asyncio.timeout(self._limits.connect_seconds):
            _, upstream = await self._loop.create_connection(
                lambda: Upstream(self), address.host, address.port, ssl=tls,
                server_hostname=address.host if tls else None,
                ssl_shutdown_timeout=TLS_END_SECONDS if tls else None,
            )  # fmt: skip
        return upstream

    def _tell_of_stranger(self, error: PinError) -> None:
        """Say it once until another key is asked for: it may be so for every request."""
        if not self._stranger_told:
            self._stranger_told = True
            log.error("%s gets nothing: %s presented %s", self.name, self.url, error)

    def _make_room(self) -> bool:
        """Drop the oldest idle connection; its place is free once it is closed."""
        if not self._idle:
            return False
        self._idle.pop(0).drop()
        return True
