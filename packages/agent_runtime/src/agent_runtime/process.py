"""From a text to an answer: read it, do it once, remember the answer under its key."""

import secrets
from dataclasses import dataclass

from agent_runtime.crew import Crew, OnChain
from agent_runtime.events import EventLog
from agent_runtime.grammar import (
    TEXT_MAX,
    Analyze,
    Approve,
    Cancel,
    Create,
    Help,
    Pay,
    Pending,
    Replay,
    Reputation,
    Request,
    SetExperience,
    SetMode,
    ShowSplit,
    ShowSplits,
    Unclear,
    VerifyLogin,
    VerifyRepo,
    read,
)
from agent_runtime.intents import words
from agent_runtime.intents.choose import choose
from agent_runtime.intents.guide import show_split, show_splits
from agent_runtime.intents.pay import origin_of
from agent_runtime.intents.pending import pending
from agent_runtime.intents.replay import Past
from agent_runtime.locks import NamedLocks
from agent_runtime.modes import Caller, Execution, Experience
from agent_runtime.payments import PaymentLedger
from agent_runtime.requests import Reply, RequestLedger, payment_id_for
from agent_runtime.settings import Settings

NO_NEAR = {
    "create": "❌ Failed to create split: NEAR is not configured",
    "pay": "❌ Payment failed: NEAR is not configured",
    "verify": "❌ Verification failed: NEAR is not configured",
    "plan": "❌ No plan can be carried out: NEAR is not configured",
}


@dataclass(frozen=True)
class Asked:
    """One request of a caller.

    Attributes:
        text: what to do.
        caller: who asks, recorded with payments.
        key: idempotency key; empty for none.
        print: digest of everything in the request that has a meaning.
        planned: whether only a plan is wanted; nothing is carried out then.
    """

    text: str
    caller: Caller
    key: str
    print: str
    planned: bool = False


class Processor:
    """Answers `POST /process`."""

    def __init__(
        self,
        settings: Settings,
        crew: Crew,
        payments: PaymentLedger,
        requests: RequestLedger,
        events: EventLog,
    ) -> None:
        self._settings = settings
        self._crew = crew
        self._payments = payments
        self._requests = requests
        self._events = events
        self._past = Past(events, payments)
        self._busy = NamedLocks()

    async def answer(self, asked: Asked) -> Reply:
        """Answer one request; a repeated key gets the first answer, never a second act.

        Raises:
            ApiError: 409 for a key that belongs to another request.
        """
        request = read(asked.text)
        if not asked.key:
            return await self._logged(request, asked, "pay-" + secrets.token_hex(12))
        async with self._busy.alone(asked.key):
            stored = self._requests.claim(asked.key, asked.print)
            if stored is not None:
                return await self._as_it_stands(stored, asked)
            reply = await self._first_or_again(request, asked)
            if reply.final:
                self._requests.finish(asked.key, reply)
            return reply

    async def _as_it_stands(self, stored: Reply, asked: Asked) -> Reply:
        """The stored answer; what became of the key's own payment is asked of the payment."""
        chain, payment_id = self._crew.chain, payment_id_for(asked.key)
        payment = self._payments.get(payment_id) if stored.payment_id == payment_id else None
        if payment is None or chain is None:
            return stored
        return (await chain.payer.revisit(payment)).of_event(stored.event_id)

    async def _first_or_again(self, request: Request, asked: Asked) -> Reply:
        payment_id = payment_id_for(asked.key)
        earlier = self._payments.get(payment_id)
        if earlier is not None and self._crew.chain is not None:
            return await self._crew.chain.payer.revisit(earlier)
        return await self._logged(request, asked, payment_id)

    async def _logged(self, request: Request, asked: Asked, payment_id: str) -> Reply:
        """Answer, with an event before it that can be replayed, and one after it."""
        caller = asked.caller
        who = {"channel": caller.channel, "author": caller.author}
        event_id = self._events.record("message_received", text=asked.text[:TEXT_MAX], **who)
        reply = await self._perform(request, asked, payment_id, event_id)
        self._events.record(
            _kind_of(reply),
            of=event_id,
            intent=reply.intent,
            paymentId=reply.payment_id,
            **who,
        )
        return reply.of_event(event_id)

    async def _perform(
        self, request: Request, asked: Asked, payment_id: str, event_id: str
    ) -> Reply:
        crew, caller = self._crew, asked.caller
        if asked.planned and not isinstance(request, Create | Pay | Unclear):
            return Reply(words.NOT_PLANNED, "plan")
        match request:
            case Analyze() | Pending() | Reputation() | ShowSplit() | ShowSplits():
                return await self._look(request, caller)
            case SetMode() | SetExperience():
                return choose(request, caller, crew.modes, self._events)
            case Replay():
                return await self._replay(request, caller, event_id)
            case Help():
                return Reply(words.HELP, "help")
            case Unclear():
                return Reply(words.UNCLEAR, "unknown")
            case Create() | Pay() | VerifyRepo() | VerifyLogin() | Approve() | Cancel():
                if crew.chain is None:
                    intent = _intent_of(request)
                    return Reply(NO_NEAR[intent], intent)
                return await self._on_chain(crew.chain, request, asked, payment_id)

    async def _look(
        self, request: Analyze | Pending | Reputation | ShowSplit | ShowSplits, caller: Caller
    ) -> Reply:
        """What only reads."""
        crew = self._crew
        match request:
            case Analyze():
                guided = crew.modes.experience(caller) is Experience.GUIDED
                return await crew.analyst.analyze(request, guided=guided)
            case Pending():
                return pending(request, crew.claims, self._settings.ft_contracts)
            case Reputation():
                return await crew.rater.rate(request)
            case ShowSplit():
                return await show_split(request, crew.contract)
            case ShowSplits():
                return await show_splits(request, crew.contract)

    async def _on_chain(
        self,
        chain: OnChain,
        request: Create | Pay | VerifyRepo | VerifyLogin | Approve | Cancel,
        asked: Asked,
        payment_id: str,
    ) -> Reply:
        caller = asked.caller
        match request:
            case Create() | Pay() if self._only_planned(request, asked):
                return await chain.planner.propose(request, caller, asked.text)
            case Create():
                return await chain.splitter.create(request)
            case Pay():
                origin = "" if asked.key else origin_of(caller.channel, caller.author, request)
                return await chain.payer.pay(request, payment_id, caller.author, origin)
            case VerifyRepo():
                return await chain.verifier.repo(request)
            case VerifyLogin():
                return await chain.verifier.login(request, caller)
            case Approve():
                return await chain.planner.approve(request, caller)
            case Cancel():
                return chain.planner.cancel(caller)

    def _only_planned(self, request: Create | Pay, asked: Asked) -> bool:
        """Whether a command waits for an approval.

        A payment without a key cannot be told from its own repetition (contract §11.2), so it
        waits too, unless the settings say otherwise.
        """
        if asked.planned or self._settings.require_approval:
            return True
        if self._crew.modes.execution(asked.caller) is not Execution.EXECUTE:
            return True
        keyless = isinstance(request, Pay) and not asked.key
        return keyless and self._settings.keyless_pay == "plan"

    async def _replay(self, asked: Replay, caller: Caller, event_id: str) -> Reply:
        """Ask again what was asked; money is shown as it stands, whatever was asked."""
        found = self._past.find(asked, caller)
        if isinstance(found, Reply):
            return found
        self._events.record(
            "replay_started", of=asked.event_id, channel=caller.channel, author=caller.author
        )
        # No key and no payment id: there is no way from here to a payment.
        again = Asked(found.text, caller, "", "")
        reply = await self._perform(found.request, again, "", event_id)
        return Reply(f"🔁 Replay of {asked.event_id}: {found.text}\n{reply.text}", reply.intent)


def _kind_of(reply: Reply) -> str:
    """The event that an answer is (contract §5)."""
    if reply.text.startswith("🛑 Policy blocked"):
        return "policy_block"
    return "intent_low_confidence" if reply.intent == "unknown" else "intent_executed"


def _intent_of(request: Create | Pay | VerifyRepo | VerifyLogin | Approve | Cancel) -> str:
    match request:
        case Create():
            return "create"
        case Pay():
            return "pay"
        case VerifyRepo() | VerifyLogin():
            return "verify"
        case Approve() | Cancel():
            return "plan"
