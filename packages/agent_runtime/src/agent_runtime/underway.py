"""What to answer while a request is still being carried out (contract §9).

Such an answer is no failure and no success: it starts with a cross, as every answer does that is
none, calls the outcome unknown, and tells where its end can be had.
"""

from agent_runtime.grammar import (
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
from agent_runtime.intents.pay import origin_of
from agent_runtime.payments import Payment, PaymentLedger
from agent_runtime.plans import PlanStore
from agent_runtime.process import Asked
from agent_runtime.requests import Reply, payment_id_for


class UnderWay:
    """Answers for what has no end yet.

    Args:
        payments: where the payment of a request is found, once it is stored.
        plans: where the plan behind a bare `approve` is found.
    """

    def __init__(self, payments: PaymentLedger, plans: PlanStore) -> None:
        self._payments = payments
        self._plans = plans

    def reply(self, asked: Asked) -> Reply:
        """That the work goes on, and how to ask for its end; names the payment if it is stored."""
        request = read(asked.text)
        intent, matter = _named(request)
        payment = self._payment(request, asked)
        about = f"; payment id {payment.id}" if payment else ""
        lines = [
            f"❌ {matter} outcome unknown: it is still being carried out{about}; do not retry",
            _how_to_ask(request, asked, payment),
        ]
        return Reply("\n".join(lines), intent, payment.id if payment else "", final=False)

    def _payment(self, request: Request, asked: Asked) -> Payment | None:
        """The stored payment that this request makes or waits for; never one that has ended."""
        if asked.planned:
            return None
        match request:
            case Pay() if asked.key:
                found = self._payments.get(payment_id_for(asked.key))
            case Pay():
                caller = asked.caller
                origin = origin_of(caller.channel, caller.author, request)
                found = self._payments.open_from(origin)
            case Approve():
                found = self._payments.get(request.plan_id or self._begun(asked))
            case _:
                return None
        return found if found and found.open else None

    def _begun(self, asked: Asked) -> str:
        plan = self._plans.begun(asked.caller)
        return plan.id if plan else ""


def _how_to_ask(request: Request, asked: Asked, payment: Payment | None) -> str:
    ways = []
    if asked.key:
        ways.append("ask again with the same Idempotency-Key")
    if payment:
        ways.append(f"GET /payments/{payment.id}")
    if not ways:
        again = isinstance(request, Pay) or asked.planned
        ways.append("look before asking again" if again else "ask again in a moment")
    return "The work goes on without this answer. For its end: " + ", or ".join(ways) + "."


def _named(request: Request) -> tuple[str, str]:
    """The intent, as its own answer will name it, and what it is about."""
    return _NAMED[type(request)]


_NAMED: dict[type, tuple[str, str]] = {
    Analyze: ("analyze", "Analysis"),
    Create: ("create", "Split"),
    Pay: ("pay", "Payment"),
    Pending: ("pending", "Claims"),
    VerifyRepo: ("verify", "Verification"),
    VerifyLogin: ("verify", "Verification"),
    Reputation: ("reputation", "Reputation"),
    ShowSplit: ("help", "Split"),
    ShowSplits: ("help", "Split"),
    Approve: ("plan", "Command"),
    Cancel: ("plan", "Command"),
    Replay: ("plan", "Command"),
    SetMode: ("mode", "Mode"),
    SetExperience: ("mode", "Mode"),
    Help: ("help", "Help"),
    Unclear: ("unknown", "Text"),
}
