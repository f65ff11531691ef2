"""`verify`: link a GitHub login to a wallet by proof, and say who of a repository is linked.

A claim links nothing (contract §11.11). Whoever wants a login linked publishes a code in a public
gist of that account; the code was made for this caller, this account's number and this wallet. The
link is read back from the chain before it is said. Nothing here moves money: what was owed is
offered as a plan.
"""

from agent_runtime.errors import Busy, RailError, Refusal
from agent_runtime.grammar import VerifyLogin, VerifyRepo
from agent_runtime.intents.coverage import invite_link
from agent_runtime.intents.redeem import Redeemer
from agent_runtime.intents.worker import Worker, landed
from agent_runtime.locks import NamedLocks
from agent_runtime.modes import Caller
from agent_runtime.near import contract as calls
from agent_runtime.near.contract import SplitContract
from agent_runtime.parsing import is_near_account
from agent_runtime.people import People
from agent_runtime.proofs import OpenProof, Proofs
from agent_runtime.rails.gists import is_published
from agent_runtime.rails.github import Account, GitHub
from agent_runtime.requests import Reply
from agent_runtime.settings import Settings

SHOWN_MAX = 20


class Verifier:
    """Answers `verify`."""

    def __init__(
        self,
        *,
        settings: Settings,
        github: GitHub,
        contract: SplitContract,
        worker: Worker,
        people: People,
        proofs: Proofs,
        redeemer: Redeemer,
    ) -> None:
        self._settings = settings
        self._github = github
        self._contract = contract
        self._worker = worker
        self._people = people
        self._proofs = proofs
        self._redeemer = redeemer
        self._linking = NamedLocks()

    async def repo(self, asked: VerifyRepo) -> Reply:
        """Who of a repository's split, or of its contributors, has a wallet."""
        try:
            logins = await self._logins(asked)
            wallets = await self._contract.wallets_of(logins)
        except RailError as error:
            return Reply(f"❌ Verification status not available: {error}", "verify")
        strangers = self._people.strangers(asked.repo.url, wallets)
        linked = {login: wallets.get(login.lower()) for login in logins}
        for login in linked:
            if login.lower() in strangers:
                linked[login] = None
        verified = sum(wallet is not None for wallet in linked.values())
        link = invite_link(self._settings.web_base, asked.repo)
        lines = [
            f"🔎 Verification status for {asked.repo.url}",
            f"Verification coverage: {verified}/{len(linked)} verified",
        ]
        lines += [
            f"✅ @{login} -> {wallet}" if wallet else f"• @{login}: {link}"
            for login, wallet in list(linked.items())[:SHOWN_MAX]
        ]
        if len(linked) > SHOWN_MAX:
            lines.append(f"...and {len(linked) - SHOWN_MAX} more")
        return Reply("\n".join(lines), "verify")

    async def login(self, asked: VerifyLogin, caller: Caller) -> Reply:
        """One step towards the link: a code, or the link itself once the code is published."""
        try:
            return Reply(await self._step(asked.login, caller), "verify")
        except Busy as busy:
            return Reply(f"🛑 Verification not made: {busy}", "verify")
        except (Refusal, RailError) as error:
            return Reply(f"❌ Verification failed: {error}", "verify")

    async def _logins(self, asked: VerifyRepo) -> list[str]:
        split = await self._contract.split_of(asked.repo.url)
        if split is not None and split.rows:
            return [row.login for row in split.rows]
        found = await self._github.contributors(asked.repo)
        return [person.login for person in found.people]

    async def _step(self, login: str, caller: Caller) -> str:
        account = await self._github.account(login)
        if account is None:
            raise Refusal(f"GitHub has no account @{login}")
        if account.kind != "User":
            raise Refusal(f"@{account.login} is no person's account, its kind is {account.kind}")
        wallets = await self._contract.wallets_of([account.login])
        wallet = wallets.get(account.login.lower(), "")
        if wallet and caller.wallet in {"", wallet} and self._same(account, wallet):
            owed = await self._redeemer.offer(account, wallet, caller)
            return f"✅ @{account.login} is already verified and linked to {wallet}" + owed
        if caller.shared or not is_near_account(caller.wallet):
            raise Refusal(
                "to link a login, ask as yourself and give the NEAR account to be paid to"
                " (author and nearAccountId of the request)"
            )
        async with self._linking.alone(str(account.id)):
            return await self._prove(account, caller)

    def _same(self, account: Account, wallet: str) -> bool:
        """Whether nobody but this account is known to have linked the wallet."""
        return self._people.proved(account.login, wallet) in {0, account.id}

    async def _prove(self, account: Account, caller: Caller) -> str:
        await self._refuse_taken(account, caller.wallet)
        proof = self._proofs.code_for(caller, account.id, caller.wallet)
        if proof.fresh or not await is_published(self._github, account, proof.code):
            return _instructions(account, caller, proof)
        noted = await self._contract.noted_claims(account.login)
        await self._link(account, caller.wallet)
        self._proofs.close(caller, account.id)
        text = f"✅ @{account.login} verified and linked to {caller.wallet}"
        if noted:
            text += (
                f"\n⚠️ The contract had noted {noted} older amounts for this login, without a unit,"
                " and now calls them claimed although nobody was paid; ask the operator"
            )
        return text + await self._redeemer.offer(account, caller.wallet, caller)

    async def _refuse_taken(self, account: Account, wallet: str) -> None:
        """A wallet serves one login; the contract would silently unlink the other."""
        other = await self._contract.github_of(wallet)
        if other and other.lower() != account.login.lower():
            raise Refusal(f"{wallet} is linked to @{other} already; give another account")

    async def _link(self, account: Account, wallet: str) -> None:
        await self._worker.register()
        call = calls.store_verification(account.login, wallet)
        landed(await self._worker.submit(f"verify:{account.id}", call), call.method)
        found = await self._contract.wallets_of([account.login])
        if found.get(account.login.lower()) != wallet:
            raise Refusal("the chain does not hold the link that was sent; ask again")
        self._people.remember_proof(account.login, account.id, wallet)


def _instructions(account: Account, caller: Caller, proof: OpenProof) -> str:
    minutes = max(1, int(proof.left_seconds // 60))
    return "\n".join(
        [
            f"🔐 Verification initiated for @{account.login}",
            f"Code: {proof.code}",
            f"Publish it in a public gist of @{account.login} within {minutes} min",
            f"Then say again: verify @{account.login}",
            f"It links @{account.login} to {caller.wallet}: publish it only if that is yours",
        ]
    )
