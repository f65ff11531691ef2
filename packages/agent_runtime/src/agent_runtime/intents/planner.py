"""Plans: proposing instead of doing, and doing once what was approved (contract §5).

Rules
- A payment that was planned is made under the plan's id, which the ledger takes only once.
- At approval everything is judged again. If what would be done is no longer what was shown, nothing
  is done.
- Only who asked may approve. Where many share a name, only the plan's id leads to it.
"""

from dataclasses import asdict, replace
from typing import Any

from agent_runtime import amounts
from agent_runtime.allocation import percent_text
from agent_runtime.events import EventLog
from agent_runtime.grammar import Approve, Create, Pay, read
from agent_runtime.intents import words
from agent_runtime.intents.create import Splitter
from agent_runtime.intents.pay import Payer
from agent_runtime.intents.paylegs import NOTHING_MOVED
from agent_runtime.intents.planblock import show
from agent_runtime.intents.redeem import Redeemer
from agent_runtime.locks import NamedLocks
from agent_runtime.modes import Caller, Execution, Modes
from agent_runtime.near.contract import Row
from agent_runtime.payments import Payment, PaymentLedger, Plan, plan_of
from agent_runtime.plans import PlanState, PlanStore, StoredPlan, new_id
from agent_runtime.requests import Reply

MISMATCH = (
    "Pending plan mismatch: no plan of yours with this id waits for an approval here;"
    " ask for the plan again"
)
CHANGED = "🛑 Nothing was done: what would be done has changed since the plan was made; ask again"


class Planner:
    """Makes plans, and carries out the approved ones."""

    def __init__(
        self,
        *,
        plans: PlanStore,
        modes: Modes,
        events: EventLog,
        payments: PaymentLedger,
        splitter: Splitter,
        payer: Payer,
        redeemer: Redeemer,
    ) -> None:
        self._plans = plans
        self._modes = modes
        self._events = events
        self._payments = payments
        self._splitter = splitter
        self._payer = payer
        self._redeemer = redeemer
        self._approving = NamedLocks()

    async def propose(self, asked: Create | Pay, caller: Caller, text: str) -> Reply:
        """A plan for a command, or the answer that says why it cannot be carried out."""
        intent = "pay" if isinstance(asked, Pay) else "create"
        proposal = await self._proposal(asked)
        if isinstance(proposal, Reply):
            return proposal
        params, warnings = _params(asked, proposal)
        if self._modes.execution(caller) is Execution.ADVISOR:
            return Reply(show(intent, new_id(), None, params, warnings), "plan")
        stored = self._plans.add(caller, intent, text, _plain(proposal))
        self._events.record("plan_created", plan=stored.id, intent=intent, **_who(caller))
        return Reply(show(intent, stored.id, stored.expires_at, params, warnings), "plan")

    async def approve(self, asked: Approve, caller: Caller) -> Reply:
        """Carry out a plan; asked again, say what became of it."""
        found = self._find(asked, caller)
        if isinstance(found, Reply):
            return found
        async with self._approving.alone(found.id):
            payment = self._payments.get(found.id)
            if payment is not None:
                return await self._again(payment, found)
            current = self._plans.find(caller, found.id)
            if current is None or current.state not in {PlanState.WAITING, PlanState.BEGUN}:
                return Reply(f"Plan {found.id} was carried out already", "plan")
            if current.expired:
                return Reply(f"Plan {found.id} has expired; ask for it again", "plan")
            if self._modes.execution(caller) is Execution.ADVISOR:
                return Reply("🛑 Advisor mode carries nothing out; say `mode draft` first", "plan")
            return await self._carry_out(current)

    def cancel(self, caller: Caller) -> Reply:
        """Drop the plan that waits."""
        if caller.shared:
            return Reply(
                "Nothing was cancelled: this name is shared; a plan that nobody approves ends by"
                " itself",
                "plan",
            )
        plan = self._plans.waiting(caller)
        if plan is None:
            return Reply("No pending plan to cancel", "plan")
        self._plans.mark(plan, PlanState.CANCELLED)
        self._events.record("plan_cancelled", plan=plan.id, **_who(caller))
        return Reply(f"Plan {plan.id} cancelled; nothing was done", "plan")

    async def _again(self, payment: Payment, plan: StoredPlan) -> Reply:
        """What became of a payment; once more under the same id if it ended and nothing moved."""
        over = payment.state in NOTHING_MOVED and not plan.expired
        if over and self._modes.execution(plan.caller) is not Execution.ADVISOR:
            return await self._payer.retry(payment.id)
        return await self._payer.revisit(payment)

    def _find(self, asked: Approve, caller: Caller) -> StoredPlan | Reply:
        if not asked.plan_id:
            waiting = self._plans.waiting(caller)
            return waiting or Reply("No pending plan; ask for one, or approve it by its id", "plan")
        plan = self._plans.find(caller, asked.plan_id)
        if plan is None or plan.state in {PlanState.CANCELLED, PlanState.REPLACED}:
            return Reply(MISMATCH, "plan")
        return plan

    async def _carry_out(self, plan: StoredPlan) -> Reply:
        self._plans.mark(plan, PlanState.BEGUN)
        reply = await self._done(plan)
        if reply.payment_id or reply.text.startswith("✅"):
            self._plans.mark(plan, PlanState.DONE)
            who = _who(plan.caller)
            self._events.record("plan_executed", plan=plan.id, paymentId=reply.payment_id, **who)
        elif reply.text == CHANGED:
            self._plans.mark(plan, PlanState.CANCELLED)
        else:  # nothing was done: it may be approved again
            self._plans.release(plan)
        return reply

    async def _done(self, plan: StoredPlan) -> Reply:
        if plan.intent == "redeem":
            return await self._redeemer.redeem(plan)
        asked = read(plan.command)
        if not isinstance(asked, Create | Pay):
            return Reply(MISMATCH, "plan")
        proposal = await self._proposal(asked)
        if isinstance(proposal, Reply):
            return proposal
        if not _same(proposal, plan.proposal):
            return Reply(CHANGED, plan.intent)
        if isinstance(asked, Create):
            return await self._splitter.create(asked)
        assert isinstance(proposal, Plan)  # noqa: S101 - by `_proposal`, a payment's
        return await self._payer.execute(proposal, plan.id, plan.caller.author)

    async def _proposal(self, asked: Create | Pay) -> Plan | list[Row] | Reply:
        if isinstance(asked, Pay):
            found = await self._payer.propose(asked)
            if isinstance(found, Reply) and found.text.startswith("No split found"):
                return replace(found, text=f"{found.text}\n{words.NO_SPLIT}")
            return found
        return await self._splitter.propose(asked)


def _plain(proposal: Plan | list[Row]) -> Any:
    """A proposal as JSON holds it."""
    if isinstance(proposal, Plan):
        return asdict(proposal)
    return [[row.login, str(row.units)] for row in proposal]


def _same(proposal: Plan | list[Row], stored: Any) -> bool:
    """Whether the same people would get the same, out of the same split."""
    if isinstance(proposal, list):
        return bool(_plain(proposal) == stored)
    before = plan_of(stored)
    return (proposal.split_id, proposal.units, proposal.paid, proposal.owed) == (
        before.split_id,
        before.units,
        before.paid,
        before.owed,
    )


def _params(
    asked: Create | Pay, proposal: Plan | list[Row]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What would be done, for people, and the warnings of policy."""
    if isinstance(proposal, list):
        rows = {row.login: f"{percent_text(row.units)}%" for row in proposal}
        return {"repo": asked.repo.url, "allocation": rows}, ()
    plan = proposal

    def shares(of: str) -> dict[str, str]:
        found = plan.paid if of == "paid" else plan.owed
        return {share.login: amounts.to_text(share.units, plan.decimals) for share in found}

    params: dict[str, Any] = {
        "repo": plan.repo,
        "amount": amounts.to_text(plan.units, plan.decimals),
        "token": plan.token,
        "total": amounts.to_text(plan.total, plan.decimals),
        "waiting": amounts.to_text(sum(share.units for share in plan.owed), plan.decimals),
        "split": plan.split_id,
        "recipients": shares("paid"),
        "accounts": {share.login: share.account for share in plan.paid},
        "pending": shares("owed"),
    }
    return params, (*plan.flags, *plan.notes)


def _who(caller: Caller) -> dict[str, str]:
    return {"channel": caller.channel, "author": caller.author}
