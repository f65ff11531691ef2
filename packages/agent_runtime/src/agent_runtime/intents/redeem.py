"""Paying what is owed to somebody who has verified since, once, after a plan was approved.

`verify` carries the risk of a change of state, so it never moves money itself: it offers a plan,
and `approve` carries the risk of money. A claim goes to the account it arose for: by the number
kept with the payment, or, where none was kept, by GitHub's list of the repository's contributors.
"""

from dataclasses import asdict
from typing import Any

from agent_runtime import amounts
from agent_runtime.claims import Claims, Origin, totals
from agent_runtime.errors import Refusal
from agent_runtime.grammar import Repo
from agent_runtime.intents.pay import Payer
from agent_runtime.intents.planblock import show
from agent_runtime.locks import NamedLocks
from agent_runtime.modes import Caller
from agent_runtime.payments import Claim, Plan, Share, plan_of
from agent_runtime.plans import PlanStore, StoredPlan
from agent_runtime.rails.github import Account, GitHub
from agent_runtime.requests import Reply
from agent_runtime.settings import Settings

CLAIMS_MAX = 50


class Redeemer:
    """Offers redemptions, and makes them."""

    def __init__(
        self, settings: Settings, github: GitHub, claims: Claims, plans: PlanStore, payer: Payer
    ) -> None:
        self._settings = settings
        self._github = github
        self._claims = claims
        self._plans = plans
        self._payer = payer
        self._one = NamedLocks()

    async def offer(self, account: Account, wallet: str, caller: Caller) -> str:
        """What to say about open claims: empty for none, else lines with a plan to approve.

        Claims of one token make one plan; the others are offered the next time.

        Raises:
            RailError: whose the claims are could not be found out.
        """
        found = self._claims.of_login(account.login)
        if not found:
            return ""
        origins = {claim.id: self._claims.origin(claim) for claim in found}
        own = [claim for claim in found if await self._owns(account, origins[claim.id])]
        lines = [_foreign(len(found) - len(own), account)] if len(own) < len(found) else []
        if own:
            token = own[0].token
            same = [claim for claim in own if claim.token == token][:CLAIMS_MAX]
            lines.append(await self._offered(account, wallet, caller, same, origins[same[0].id]))
        return "".join("\n" + line for line in lines)

    async def redeem(self, stored: StoredPlan) -> Reply:
        """Make an approved redemption, if every claim in it is open still."""
        plan, claim_ids = plan_of(stored.proposal["plan"]), stored.proposal["claims"]
        found = await self._payer.propose_owed(plan)
        if isinstance(found, Reply):
            return found
        async with self._one.alone("redeeming"):
            if not self._claims.redeem_by(stored.id, claim_ids):
                return Reply("🛑 A claim of this plan is redeemed already; verify again", "pay")
            return await self._payer.execute(found, stored.id, stored.caller.author)

    async def _owns(self, account: Account, origin: Origin) -> bool:
        if origin.person:
            return origin.person == account.id
        owner, _, name = origin.repo.removeprefix("github.com/").partition("/")
        listed = await self._github.contributors(Repo(owner, name))
        return any(person.id == account.id for person in listed.people)

    async def _offered(
        self,
        account: Account,
        wallet: str,
        caller: Caller,
        claims: list[Claim],
        origin: Origin,
    ) -> str:
        plan = self._plan(account, wallet, claims, origin)
        found = await self._payer.propose_owed(plan)
        amount = f"{amounts.to_text(plan.units, plan.decimals)} {plan.token}"
        if isinstance(found, Reply):
            return f"⏳ {amount} is owed to @{account.login}, but: {found.text}"
        proposal: dict[str, Any] = {
            "plan": asdict(plan),
            "claims": [claim.id for claim in claims],
        }
        stored = self._plans.add(caller, "redeem", f"claims of @{account.login}", proposal)
        params = {"login": account.login, "wallet": wallet, "amount": amount}
        block = show("pay", stored.id, stored.expires_at, {**params, "claims": proposal["claims"]})
        return f"⏳ {amount} is owed to @{account.login}\n{block}"

    def _plan(self, account: Account, wallet: str, claims: list[Claim], origin: Origin) -> Plan:
        token = self._settings.ft_contracts.get(claims[0].token)
        if token is None:
            raise Refusal(f"{claims[0].token} has no contract here any more; ask the operator")
        units = totals(claims)[token.symbol]
        share = Share(account.login, wallet, units, account.id)
        note = f"Redeems {len(claims)} claim(s): " + ", ".join(claim.id for claim in claims)
        return Plan(
            origin.repo,
            origin.split_id,
            token.symbol,
            token.decimals,
            units,
            paid=(share,),
            owed=(),
            flags=(),
            notes=(note,),
        )


def _foreign(count: int, account: Account) -> str:
    return (
        f"⚠️ {count} claim(s) under this login belong to another GitHub account than"
        f" @{account.login} is now; they are not offered"
    )
