"""Paying what is owed to somebody who has verified since, once, after a plan was approved.

`verify` carries the risk of a change of state, so it never moves money itself: it offers a plan,
and `approve` carries the risk of money. A claim goes to the account it arose for: by the number
kept with the payment, or, where none was kept, by GitHub's list of the repository's contributors.
The rules for payments hold for redemptions too, and are asked again at the approval: policy, the
rating, and whether the chain still links the login to the wallet that was shown.
"""

from dataclasses import asdict
from typing import Any

from agent_runtime import amounts
from agent_runtime.claims import Claims, Origin, totals
from agent_runtime.errors import RailError, Refusal
from agent_runtime.grammar import Pay, Repo
from agent_runtime.intents import paytexts
from agent_runtime.intents.pay import Payer
from agent_runtime.intents.payplan import PolicyBlock, check_policy
from agent_runtime.intents.planblock import show
from agent_runtime.locks import NamedLocks
from agent_runtime.modes import Caller
from agent_runtime.near.contract import SplitContract
from agent_runtime.parsing import Token
from agent_runtime.payments import Claim, Plan, Share, plan_of
from agent_runtime.people import People
from agent_runtime.plans import PlanStore, StoredPlan
from agent_runtime.rails.github import Account, GitHub
from agent_runtime.rails.reputation import Reputations
from agent_runtime.requests import Reply
from agent_runtime.settings import Settings

CLAIMS_MAX = 50


class Redeemer:
    """Offers redemptions, and makes them."""

    def __init__(
        self,
        *,
        settings: Settings,
        github: GitHub,
        contract: SplitContract,
        people: People,
        reputations: Reputations,
        claims: Claims,
        plans: PlanStore,
        payer: Payer,
    ) -> None:
        self._settings = settings
        self._github = github
        self._contract = contract
        self._people = people
        self._reputations = reputations
        self._claims = claims
        self._plans = plans
        self._payer = payer
        self._one = NamedLocks()

    async def offer(self, account: Account, wallet: str, caller: Caller) -> str:
        """What to say about open claims: empty for none, else lines with a plan to approve.

        Claims of one split and token make one plan, as many as one payment may be; the others are
        offered the next time.

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
            chosen = self._fitting(alike(own, origins)[:CLAIMS_MAX])
            lines.append(await self._offered(account, wallet, caller, chosen, origins[own[0].id]))
        return "".join("\n" + line for line in lines)

    async def redeem(self, stored: StoredPlan) -> Reply:
        """Make an approved redemption, if every claim in it is open still."""
        plan, claim_ids = plan_of(stored.proposal["plan"]), stored.proposal["claims"]
        found = await self._judged(plan)
        if isinstance(found, Reply):
            return found
        async with self._one.alone("redeeming"):
            if not self._claims.redeem_by(stored.id, claim_ids):
                return Reply("🛑 A claim of this plan is redeemed already; verify again", "pay")
            return await self._payer.execute(found, stored.id, stored.caller.author)

    async def _owns(self, account: Account, origin: Origin) -> bool:
        if origin.person:
            return origin.person == account.id
        listed = await self._github.contributors(_repo(origin.repo))
        return any(person.id == account.id for person in listed.people)

    def _fitting(self, claims: list[Claim]) -> list[Claim]:
        """The first claims, as many as one payment may be; the first one whatever it is."""
        token = self._token(claims[0])
        most = amounts.to_units(self._settings.limit_of(token.symbol).each, token.decimals)
        fitting, units = claims[:1], claims[0].units
        for claim in claims[1:]:
            units += claim.units
            if units > most:
                break
            fitting.append(claim)
        return fitting

    def _token(self, claim: Claim) -> Token:
        token = self._settings.ft_contracts.get(claim.token)
        if token is None:
            raise Refusal(f"{claim.token} has no contract here any more; ask the operator")
        return token

    async def _judged(self, plan: Plan) -> Plan | Reply:
        """The plan, if a payment like it may be made now; else the answer that says why not."""
        amount = amounts.to_text(plan.units, plan.decimals)
        try:
            check_policy(Pay(_repo(plan.repo), amount, plan.token), self._settings)
            await self._check_person(plan.paid[0])
        except PolicyBlock as block:
            return Reply(block.answer, "pay")
        except (Refusal, RailError) as error:
            return Reply(paytexts.refused(f"{error}; nothing was sent"), "pay")
        return await self._payer.propose_owed(plan)

    async def _check_person(self, share: Share) -> None:
        """See that the wallet is still this account's, and that it is rated well enough.

        Raises:
            Refusal: it is not.
            RailError: that could not be found out.
        """
        wallets = await self._contract.wallets_of([share.login])
        proved = self._people.proved(share.login, share.account)
        if wallets.get(share.login.lower()) != share.account or proved not in {0, share.person}:
            raise Refusal(f"@{share.login} is not linked to {share.account} any more; verify again")
        rating = (await self._reputations.rate_contributors([share.login]))[share.login]
        if rating.score < self._settings.reputation_min:
            least = self._settings.reputation_min
            raise Refusal(f"@{share.login} has a score of {rating.score}, below {least}")

    async def _offered(
        self,
        account: Account,
        wallet: str,
        caller: Caller,
        claims: list[Claim],
        origin: Origin,
    ) -> str:
        plan = self._plan(account, wallet, claims, origin)
        found = await self._judged(plan)
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
        token = self._token(claims[0])
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


def alike(claims: list[Claim], origins: dict[str, Origin]) -> list[Claim]:
    """The claims of the first one's token and split: what one payment can redeem. Pure."""
    token, split_id = claims[0].token, origins[claims[0].id].split_id
    return [
        claim for claim in claims if claim.token == token and origins[claim.id].split_id == split_id
    ]


def _repo(url: str) -> Repo:
    owner, _, name = url.removeprefix("github.com/").partition("/")
    return Repo(owner, name)


def _foreign(count: int, account: Account) -> str:
    return (
        f"⚠️ {count} claim(s) under this login belong to another GitHub account than"
        f" @{account.login} is now; they are not offered"
    )
