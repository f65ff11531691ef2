"""Sends requests at a steady rate over kept connections, and judges every answer once.

Open loop: a slow answer does not slow the clients down, up to `in_flight_max`; beyond that a turn
is skipped and counted, never queued. No request is ever repeated: a repeated payment would hide
exactly what these clients are there to find.
"""

import asyncio
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sandbox.traffic.check import Ledger, Verdict, judge
from sandbox.traffic.tally import Tally
from sandbox.traffic.texts import Conversations, Message
from sandbox.traffic.wire import NoAnswerError, Pool

RATE_MAX: Final = 500.0
TOTAL_MAX: Final = 1_000_000
IN_FLIGHT_MAX: Final = 256
_SECONDS_MAX: Final = 35.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How much, for how long, against what."""

    url: str
    key: str
    rate: float
    seconds: float | None
    total_max: int = TOTAL_MAX
    in_flight_max: int = IN_FLIGHT_MAX
    known_planes: frozenset[str] = frozenset()


class Load:
    """One run of the clients. `tally` may be read at any time."""

    def __init__(self, plan: Plan, conversations: Conversations) -> None:
        self.tally = Tally()
        self._plan = plan
        self._conversations = conversations
        self._ledger = Ledger()
        self._paying: set[str] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Send until the time, the total or `stop` ends it; then wait for open answers."""
        pool = Pool(self._plan.url, self._surplus)
        try:
            async with asyncio.TaskGroup() as group:
                await self._pace(stop, lambda m: group.create_task(self._one(pool, m)))
        finally:
            pool.close()

    def _surplus(self, data: bytes) -> None:
        self.tally.add_surplus(data)

    async def _pace(self, stop: asyncio.Event, start: Callable[[Message], object]) -> None:
        interval = 1 / min(self._plan.rate, RATE_MAX)
        begin = time.monotonic()
        end = None if self._plan.seconds is None else begin + self._plan.seconds
        turn = 0
        while self.tally.sent < min(self._plan.total_max, TOTAL_MAX):
            due = begin + turn * interval
            if end is not None and due >= end:
                return
            if await _stopped(stop, due - time.monotonic()):
                return
            turn += 1
            message = self._next()
            if message is None:
                self.tally.skipped += 1
                continue
            self.tally.sent += 1
            start(message)

    def _next(self) -> Message | None:
        """Return the next request, or None when this turn must be skipped."""
        if self.tally.sent - sum(self.tally.results.values()) >= self._plan.in_flight_max:
            return None
        return self._conversations.next(self._paying)

    async def _one(self, pool: Pool, message: Message) -> None:
        repository = message.asked.repository
        money = message.asked.intent == "pay"
        if money:
            self._paying.add(repository)
        begin = time.monotonic()
        try:
            verdict = await self._ask(pool, message)
        finally:
            if money:
                self._paying.discard(repository)
        self.tally.add(message, verdict, (time.monotonic() - begin) * 1000)

    async def _ask(self, pool: Pool, message: Message) -> Verdict:
        asked = message.asked
        if asked.route == "agent":
            path, who = "/api/agent", {"userId": message.conversation}
        else:
            path, who = "/process", {"author": message.conversation, "type": "web"}
        headers = {"content-type": "application/json", "x-agent-api-key": self._plan.key}
        if asked.intent == "pay":  # who names no payment gets a plan instead
            headers["idempotency-key"] = secrets.token_hex(16)
        body = json.dumps({"text": message.text, **who}).encode()
        try:
            async with asyncio.timeout(_SECONDS_MAX):
                reply = await pool.post(path, headers, body)
        except NoAnswerError as error:
            return Verdict("failed", f"no answer: {error}")
        except TimeoutError:
            return Verdict("failed", f"no answer within {_SECONDS_MAX} s")
        return judge(
            asked,
            reply.status,
            reply.headers,
            reply.body,
            ledger=self._ledger,
            known_planes=self._plan.known_planes,
        )


async def _stopped(stop: asyncio.Event, seconds: float) -> bool:
    """Wait at most `seconds` and say whether we are told to stop."""
    if seconds <= 0:
        await asyncio.sleep(0)
        return stop.is_set()
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return False
    return True
