"""`replay`: ask again what was asked in an event, for who asked it, and never a payment."""

from dataclasses import dataclass

from agent_runtime.events import Command, EventLog
from agent_runtime.grammar import (
    Analyze,
    Approve,
    Create,
    Help,
    Pay,
    Pending,
    Replay,
    Reputation,
    ShowSplit,
    ShowSplits,
    VerifyLogin,
    VerifyRepo,
    read,
)
from agent_runtime.intents import paytexts
from agent_runtime.modes import Caller
from agent_runtime.payments import PaymentLedger
from agent_runtime.requests import Reply

Repeatable = (
    Analyze
    | Create
    | Pending
    | VerifyRepo
    | VerifyLogin
    | Reputation
    | ShowSplit
    | ShowSplits
    | Help
)


@dataclass(frozen=True)
class Again:
    """A command that may be carried out again."""

    text: str
    request: Repeatable


class Past:
    """Finds what a replay means."""

    def __init__(self, events: EventLog, payments: PaymentLedger) -> None:
        self._events = events
        self._payments = payments

    def find(self, asked: Replay, caller: Caller) -> Again | Reply:
        """The command to repeat, or the answer that takes its place.

        What led to a payment is answered with that payment as it is stored; nobody is asked, and
        nothing is signed or sent.
        """
        command = self._events.command(asked.event_id)
        if command is None or not _same(command.caller, caller):
            text = f"No event {asked.event_id} of yours in the last 24 hours can be replayed here"
            return Reply(text, "plan")
        request = read(command.text)
        if isinstance(request, Pay | Approve) or command.payment_id:
            return self._shown(asked, command)
        if not isinstance(request, Repeatable):
            return Reply("That is not replayed; say it again if you mean it", "plan")
        return Again(one_line(command.text), request)

    def _shown(self, asked: Replay, command: Command) -> Reply:
        head = f"🔁 Replay of {asked.event_id}: {one_line(command.text)}\nNothing was paid again. "
        payment = self._payments.get(command.payment_id) if command.payment_id else None
        if payment is None:
            return Reply(head + "It made no payment.", "plan")
        stored = paytexts.reply(payment)
        return Reply(f"{head}The payment as it is stored:\n{stored.text}", "plan", payment.id)


def one_line(text: str) -> str:
    """A command without line ends: what is repeated of it never looks like a line of ours. Pure."""
    return " ".join(text.split())


def _same(asker: Caller, caller: Caller) -> bool:
    return (asker.channel, asker.author) == (caller.channel, caller.author)
