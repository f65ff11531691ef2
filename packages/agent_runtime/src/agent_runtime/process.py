"""From a text to an answer: read it, do it once, remember the answer under its key."""

import secrets
from dataclasses import dataclass

from agent_runtime.errors import ApiError
from agent_runtime.grammar import Analyze, Create, Help, Pay, Pending, Request, Unclear, read
from agent_runtime.intents import words
from agent_runtime.intents.analyze import Analyst
from agent_runtime.intents.create import Splitter
from agent_runtime.intents.pay import Payer
from agent_runtime.intents.pending import pending
from agent_runtime.locks import NamedLocks
from agent_runtime.parsing import Token
from agent_runtime.payments import PaymentLedger
from agent_runtime.requests import Reply, RequestLedger, payment_id_for

KEYS_BUSY_MAX = 10_000


@dataclass(frozen=True)
class Asked:
    """One request of a caller.

    Attributes:
        text: what to do.
        author: the caller's own id, recorded with payments.
        key: idempotency key; empty for none.
        print: digest of everything in the request that has a meaning.
    """

    text: str
    author: str
    key: str
    print: str


@dataclass(frozen=True)
class Crew:
    """Who does what. `splitter` and `payer` are None where NEAR is not configured."""

    analyst: Analyst
    splitter: Splitter | None
    payer: Payer | None


class Processor:
    """Answers `POST /process`."""

    def __init__(
        self,
        crew: Crew,
        payments: PaymentLedger,
        requests: RequestLedger,
        tokens: dict[str, Token],
    ) -> None:
        self._crew = crew
        self._payments = payments
        self._requests = requests
        self._tokens = tokens
        self._busy = NamedLocks()

    async def answer(self, asked: Asked) -> Reply:
        """Answer one request; a repeated key gets the first answer, never a second act.

        Raises:
            ApiError: 409 for a key that belongs to another request, 503 if too many are busy.
        """
        request = read(asked.text)
        if not asked.key:
            return await self._perform(request, asked, "pay-" + secrets.token_hex(12))
        if asked.key not in self._busy and len(self._busy) >= KEYS_BUSY_MAX:
            raise ApiError(503, "busy", "too many requests are in progress; ask again")
        async with self._busy.alone(asked.key):
            stored = self._requests.claim(asked.key, asked.print)
            if stored is not None:
                return stored
            reply = await self._first_or_again(request, asked)
            if reply.final:
                self._requests.finish(asked.key, reply)
            return reply

    async def _first_or_again(self, request: Request, asked: Asked) -> Reply:
        payment_id = payment_id_for(asked.key)
        earlier = self._payments.get(payment_id)
        if earlier is not None and self._crew.payer is not None:
            return await self._crew.payer.revisit(earlier)
        return await self._perform(request, asked, payment_id)

    async def _perform(self, request: Request, asked: Asked, payment_id: str) -> Reply:
        crew = self._crew
        match request:
            case Analyze():
                return await crew.analyst.analyze(request)
            case Create():
                if crew.splitter is None:
                    return Reply("❌ Failed to create split: NEAR is not configured", "create")
                return await crew.splitter.create(request)
            case Pay():
                if crew.payer is None:
                    return Reply("❌ Payment failed: NEAR is not configured", "pay")
                return await crew.payer.pay(request, payment_id, asked.author)
            case Pending():
                return pending(request, self._payments, self._tokens)
            case Help():
                return Reply(words.HELP, "help")
            case Unclear():
                return Reply(words.UNCLEAR, "unknown")
