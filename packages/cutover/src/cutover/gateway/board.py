"""What all connections of one worker share: the table in force, the pools, the counters."""

import asyncio
import logging
from collections.abc import Iterable
from hmac import compare_digest
from typing import TYPE_CHECKING

from cutover.clock import Clock
from cutover.gateway.config import GatewayConfig
from cutover.gateway.heads import Heads
from cutover.gateway.message import Request
from cutover.gateway.page import ALIVE, IN_FLIGHT, MONEY_UNTIL, VERSION, Page
from cutover.gateway.pool import PlanePool
from cutover.gateway.standing import Standing
from cutover.gateway.tally import Tally
from cutover.runbook.intent import Intent

if TYPE_CHECKING:
    from cutover.gateway.agent import StatusExchange
    from cutover.gateway.client import Client
    from cutover.gateway.exchange import Exchange


log = logging.getLogger("cutover.gateway.board")


class Board:
    """A worker's state.

    Args:
        config: of the node.
        page: shared with the supervisor.
        worker: number of its block in the page.
        loop: that its connections live on.
        clock: the machine's, as the supervisor reads it: a lease is judged by it.
        ids_prefix: begins each request id that is given here; no other worker's may be the same.

    Attributes:
        config: of the node.
        pools: by plane name.
        clients: connected now, in the order of their coming.
        heads: of requests, that the parser has accepted.
        draining: no request is taken any more.
        in_flight: requests worked on.
        statuses: what `/api/agent` last said of a plane: until when it holds, status, body.
        looks: at a plane's readiness that are under way, by the plane's name.
        deadlines_ms: by the value of an intent.
        now: loop time, as of the last sweep: exact enough for whatever waits, and free.
        outbox: what is to be written after the events at hand have been dealt with. Every write
            wakes its receiver, and a receiver on another core that has been woken for one message
            is asleep again before the next; written together, one wake-up serves many. Whoever
            finds it empty uses `write_soon`, which sees to its being emptied.
        waits: exchanges by deadline length in milliseconds, oldest first, with the loop time when
            each ends. Insertion order is deadline order, so a sweep looks only at the front, and
            what has ended is not there any more: no timer and no garbage per request.
    """

    def __init__(
        self, config: GatewayConfig, page: Page, worker: int, loop: asyncio.AbstractEventLoop,
        clock: Clock, ids_prefix: bytes,
    ) -> None:  # fmt: skip
        self.config = config
        self.limits = config.limits
        self.loop = loop
        self.tally = Tally(page, worker)
        self.clients: dict[Client, None] = {}  # a set's order would be chance
        self.heads: Heads[Request] = Heads()
        self.draining = False
        self.in_flight = 0
        self.now = loop.time()
        self.pools = {
            name: PlanePool(name, config.planes[name], self) for name in sorted(config.planes)
        }
        self.statuses: dict[str, tuple[float, int, bytes]] = {}
        self.looks: dict[str, StatusExchange] = {}
        self.deadlines_ms = {intent.value: config.deadline_ms(intent) for intent in Intent}
        self.clock = clock
        self.waits: dict[int, dict[Exchange, float]] = {}
        self._page = page
        self.outbox: list[tuple[asyncio.Transport, bytes]] = []
        self._words = page.words
        self._in_flight_at = page.block_at(worker) + IN_FLIGHT
        self._version = 0
        self._standing: Standing[PlanePool] | None = None
        self._keys = [key.encode() for key in config.client_keys]
        self._ids_prefix = ids_prefix
        self._ids = 0

    def standing(self) -> Standing[PlanePool] | None:
        """The table in force now; None when there never was one."""
        if self._words[VERSION] != self._version:
            self._adopt()
        return self._standing

    def _adopt(self) -> None:
        version, table = self._page.table()
        # first of all: nothing may go by this table to a key that it does not name
        for name, pool in self.pools.items():
            if pool.require(table.candidate_spki if name == table.candidate else None):
                self.statuses.pop(name, None)  # said by whoever had the key before
        self._standing = Standing(version, table, self.pools)
        self._version = version
        self.tally.adopt(version)

    def lapsed(self) -> bool:
        """Whether the conductor's word, which lets payments go to the candidate, holds no more."""
        return self.clock.monotonic_ms() >= self._words[MONEY_UNTIL]

    def admits(self, key: bytes | None) -> bool:
        """Whether a client's key is one of ours; each is compared, in constant time."""
        admitted = False
        for known in self._keys:
            admitted |= compare_digest(known, key or b"")
        return admitted

    def fresh_id(self) -> bytes:
        """A request id for a client that sent none."""
        self._ids += 1
        return b"%b-%08x" % (self._ids_prefix, self._ids)

    def hold(self, exchange: "Exchange", deadline_ms: int) -> None:
        """An exchange begins."""
        self.in_flight += 1
        self._words[self._in_flight_at] = self.in_flight
        waiting = self.waits.get(deadline_ms)
        if waiting is None:
            waiting = self.waits[deadline_ms] = {}
        waiting[exchange] = self.now + deadline_ms / 1000

    def release(self, exchange: "Exchange", deadline_ms: int) -> None:
        """An exchange has ended."""
        del self.waits[deadline_ms][exchange]
        self.in_flight -= 1
        self._words[self._in_flight_at] = self.in_flight

    def money_waits(self) -> bool:
        """Whether something that was sent and may move money has not ended yet."""
        return any(exchange.risky() for waiting in self.waits.values() for exchange in waiting)

    def give_up(self) -> None:
        """End every exchange now: its client is told, and it is counted."""
        for waiting in self.waits.values():
            for exchange in list(waiting):
                exchange.given_up()
        self.flush()

    def workers_alive(self) -> int:
        """How many workers the supervisor has running."""
        return self._words[ALIVE]

    def write_soon(self, transport: asyncio.Transport, data: bytes) -> None:
        """Write after the events at hand have been dealt with; see `outbox`."""
        if not self.outbox:
            self.loop.call_soon(self.flush)
        self.outbox.append((transport, data))

    def flush(self) -> None:
        """Write what is in the outbox."""
        outbox, self.outbox = self.outbox, []
        for transport, data in outbox:
            if not transport.is_closing():
                try:
                    transport.write(data)
                except Exception:  # whatever is wrong with one must not cost the rest theirs
                    log.exception("a connection took no message; it is given up")
                    transport.abort()

    def sweep(self) -> None:
        """Adopt a table that came while no request did; end what is overdue."""
        self.standing()
        now = self.now = self.loop.time()
        for waiting in self.waits.values():
            for exchange in _overdue(waiting, now):
                exchange.expired()

    def at_rest(self) -> bool:
        """Whether sweeps will find nothing to do until a client comes or a table does."""
        return not (
            self.clients
            or self.in_flight
            or self.outbox
            or self._words[VERSION] != self._version
            or any(pool.size() for pool in self.pools.values())
        )

    def sweep_connections(self) -> None:
        """Close clients that are silent and plane connections that are old."""
        self.flush()
        now = self.now
        for client in list(self.clients):
            client.sweep(now)
        for pool in self.pools.values():
            pool.sweep(now)


def _overdue(waiting: "dict[Exchange, float]", now: float) -> "Iterable[Exchange]":
    overdue = []
    for exchange, deadline in waiting.items():
        if deadline > now:
            break
        overdue.append(exchange)
    return overdue
