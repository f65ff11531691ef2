"""Clients on the internet: each asks something of the gateway and notes what came of it."""

import asyncio
from dataclasses import dataclass
from random import Random  # noqa: TID251 - the type alone; the seed is passed in
from typing import Final, cast

import httptools
import msgspec

from cutover.runbook.intent import Intent
from cutover.simulator.kernel.loop import SimulationLoop
from cutover.simulator.world.http import Caller, request

TEXTS: Final = (
    (Intent.ANALYZE, "analyze acme/tool"),
    (Intent.CREATE, "create acme/tool"),
    (Intent.PAY, "pay 0.01 USDC to acme/tool"),
)
HANG_UP_MS: Final = 5_000
"""Clients that ask less often than this keep no connection from one request to the next."""
PATIENCE_SECONDS: Final = 70.0
"""Longer than any deadline of the gateway: a client always hears how its request ended."""


@dataclass
class Asked:
    """One request of a client.

    Attributes:
        number: of the request; its idempotency key is made of it.
        intent: that it is about.
        node: that was asked.
        sent_ms: simulated time.
        ended_ms: when the client knew; -1 while it waits.
        status: of the answer; 0 for none.
        code: the gateway's word for an error; empty for none.
        plane: that answered.
        error: how the connection failed.
    """

    number: int
    intent: Intent
    node: str
    sent_ms: int
    ended_ms: int = -1
    status: int = 0
    code: str = ""
    plane: str = ""
    error: str = ""

    @property
    def key(self) -> str:
        """Its idempotency key."""
        return f"client-{self.number}"


class Clients:
    """All clients of a world.

    Args:
        loop: of the simulation.
        nodes: names of the gateway nodes.
        key: that admits a client.
        chance: of the simulation.
        every_ms: mean time between two requests, milliseconds.

    Attributes:
        asked: requests by number.
    """

    def __init__(
        self, loop: SimulationLoop, nodes: list[str], key: str, chance: Random, every_ms: int
    ) -> None:
        self.asked: list[Asked] = []
        self._loop = loop
        self._nodes = nodes
        self._key = key
        self._chance = chance
        self._every, self._stays = every_ms / 1000, every_ms < HANG_UP_MS
        self._connected: dict[str, Caller] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Ask until cancelled, a new conversation each time."""
        while True:
            await asyncio.sleep(self._every * self._chance.uniform(0.5, 1.5))
            self.ask()

    def ask(self) -> Asked:
        """Ask something now."""
        number = len(self.asked)
        intent, text = TEXTS[number % len(TEXTS)]
        node = self._nodes[number % len(self._nodes)]
        one = Asked(number, intent, node, self._loop.now_ms())
        self.asked.append(one)
        task = self._loop.create_task(self._ask(one, text), name=f"client {number}")
        self._tasks[number] = task
        task.add_done_callback(lambda _: self._tasks.pop(number))
        return one

    def waiting(self) -> int:
        """Requests that have not ended."""
        return len(self._tasks)

    async def _ask(self, one: Asked, text: str) -> None:
        body = msgspec.json.encode({"text": text, "author": f"user-{one.number}", "type": "web"})
        headers = {
            "x-agent-api-key": self._key,
            "content-type": "application/json",
            "idempotency-key": one.key,
        }
        message = request("POST", one.node, "/process", headers, body)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                caller = await self._caller(one.node)
                reply = await caller.ask(message)
        except (TimeoutError, OSError, httptools.HttpParserError) as error:
            one.error = type(error).__name__
        else:
            one.status, one.plane = reply.status, reply.headers.get("x-cutover-plane", "")
            one.code = _code(reply.body) if reply.status != 200 else ""
            if caller.usable and self._stays:
                self._connected[one.node] = caller
            else:
                caller.close()
        one.ended_ms = self._loop.now_ms()

    async def _caller(self, node: str) -> Caller:
        known = self._connected.pop(node, None)
        if known is not None and known.usable:
            return known
        _, caller = await self._loop.create_connection(Caller, node, 80)
        return cast("Caller", caller)


def _code(body: bytes) -> str:
    try:
        return str(msgspec.json.decode(body).get("code", ""))
    except (msgspec.DecodeError, AttributeError):
        return "unreadable"
