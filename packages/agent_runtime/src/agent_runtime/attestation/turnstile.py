"""Few at a time, one inside: strangers may ask for quotes, and a quote costs the machine work."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

RATE_PER_SECOND = 4.0
BURST = 8.0
WAITING_MAX = 4
WAIT_SECONDS = 5.0


class Crowded(Exception):  # noqa: N818 - nothing is broken: the caller comes again
    """Not now.

    Attributes:
        retry_seconds: when to ask again, a whole number of at least one.
    """

    def __init__(self, retry_seconds: int) -> None:
        super().__init__(f"ask again in {retry_seconds} s")
        self.retry_seconds = retry_seconds


class Turnstile:
    """Lets in so many a second, with a burst, and each only after the one before has left."""

    def __init__(self) -> None:
        self._tokens = BURST
        self._filled_at = time.monotonic()
        self._inside = asyncio.Lock()
        self._waiting = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Be the one inside.

        Raises:
            Crowded: too many came lately, too many wait, or the wait was too long.
        """
        self._pay()
        await self._enter()
        try:
            yield
        finally:
            self._inside.release()

    def _pay(self) -> None:
        now = time.monotonic()
        self._tokens = min(BURST, self._tokens + (now - self._filled_at) * RATE_PER_SECOND)
        self._filled_at = now
        if self._tokens < 1:
            raise Crowded(math.ceil((1 - self._tokens) / RATE_PER_SECOND))
        self._tokens -= 1

    async def _enter(self) -> None:
        if self._waiting >= WAITING_MAX:
            raise Crowded(math.ceil(WAIT_SECONDS))
        self._waiting += 1
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._inside.acquire()
        except TimeoutError as error:
            raise Crowded(math.ceil(WAIT_SECONDS)) from error
        finally:
            self._waiting -= 1
