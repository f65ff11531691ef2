"""`POST /webhook/farcaster`: what a cast asks for is done once, and answered where it was said.

A delivery is acknowledged as soon as it is on disk; the work comes after. The cast's hash is the
idempotency key of the work and of every part of the reply, so neither a second delivery nor a crash
in the middle does anything twice. Money is never moved by one cast: it makes a plan, which the same
author has to approve (contract §11.12, §11.13).
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from agent_runtime.errors import ApiError, RailError, RailUnknown
from agent_runtime.grammar import Create, Pay, read
from agent_runtime.log import logger
from agent_runtime.modes import SIGNED_CHANNEL, Caller
from agent_runtime.process import Asked
from agent_runtime.rails.neynar import Neynar, parts_of
from agent_runtime.receipts.desk import Answers
from agent_runtime.requests import Reply, fingerprint
from agent_runtime.settings import Settings
from agent_runtime.webhooks.castbook import CastBook, Entry
from agent_runtime.webhooks.neynar import Cast, read_cast

WORKERS = 4
LOOK_SECONDS = 5.0
BACK_OFF_SECONDS = 5.0
TRIES_MAX = 8
"""With doubling pauses this is about ten minutes; a later reply surprises more than it helps."""


class CastDesk:
    """Takes casts, has them answered, replies.

    Args:
        settings: the bot and its secrets.
        book: of casts.
        desk: that answers.
        neynar: where replies go.
        note: is told of every answer.
    """

    def __init__(
        self,
        settings: Settings,
        book: CastBook,
        desk: Answers,
        neynar: Neynar,
        note: Callable[[Reply], None],
    ) -> None:
        self._settings = settings
        self._book = book
        self._desk = desk
        self._neynar = neynar
        self._note = note
        self._wake = asyncio.Event()
        self._busy: set[str] = set()

    def take(self, signature: str, body: bytes) -> bool:
        """Accept one delivery; False if its cast was taken before.

        Raises:
            ApiError: 503 if the bot is not configured whole or too many wait; 401 and 400 as
                `read_cast`.
        """
        settings = self._settings
        secrets = settings.farcaster_secrets if settings.casts_answered else ()
        cast = read_cast(secrets, signature, body, int(settings.bot_fid or 0), time.time())
        if cast is None:
            return True
        first = self._book.enter(cast)
        logger().info("cast_taken" if first else "cast_repeated", cast=cast.hash, fid=cast.fid)
        self._wake.set()
        return first

    async def keep_answering(self) -> None:
        """Answer what is taken and what an earlier process left, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            try:
                entry = self._book.next(self._busy)
                if entry is None:
                    await self._rest()
                else:
                    await self._take_on(entry)
            except Exception:  # noqa: BLE001 - the store may be busy or full; logged, tried again
                logger().exception("casts_broke")
                await asyncio.sleep(LOOK_SECONDS)

    async def _rest(self) -> None:
        """Until something is taken, or might be due."""
        self._wake.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await self._wake.wait()

    async def _take_on(self, entry: Entry) -> None:
        digest = entry.cast.hash
        self._busy.add(digest)
        try:
            await self._attend(entry)
        except (ApiError, RailUnknown) as error:
            self._later(entry, str(error))
        except RailError as error:
            logger().error("cast_reply_refused", cast=digest, said=error.said)
            self._book.close(digest, "given_up")
        except Exception:  # noqa: BLE001 - logged and tried again; the others must go on
            logger().exception("cast_broke", cast=digest)
            self._later(entry, "an internal error")
        finally:
            self._busy.discard(digest)

    async def _attend(self, entry: Entry) -> None:
        cast, answer = entry.cast, entry.answer
        if not answer:
            reply = await self._desk.answer(asked_by(cast))
            self._note(reply)
            answer = reply.text
            self._book.answered(cast.hash, answer)
        parts = parts_of(answer)
        for number in range(entry.sent, len(parts)):
            await self._neynar.reply(parts[number], cast.hash, number)
            self._book.sent(cast.hash, number + 1)
        self._book.close(cast.hash, "replied")

    def _later(self, entry: Entry, seen: str) -> None:
        digest, tries = entry.cast.hash, entry.tries + 1
        if tries < TRIES_MAX:
            logger().warning("cast_put_off", cast=digest, seen=seen, tries=tries)
            self._book.put_off(digest, BACK_OFF_SECONDS * 2**entry.tries)
            return
        logger().error("cast_given_up", cast=digest, seen=seen, tries=tries)
        self._book.close(digest, "given_up")


def asked_by(cast: Cast) -> Asked:
    """What a cast asks for. What costs money or changes the chain is planned and not done."""
    planned = isinstance(read(cast.text), Create | Pay)
    print_ = fingerprint({"cast": cast.hash, "fid": cast.fid, "text": cast.text})
    caller = Caller(SIGNED_CHANNEL, f"farcaster:{cast.fid}")
    return Asked(cast.text, caller, f"cast:{cast.hash}", print_, planned)
