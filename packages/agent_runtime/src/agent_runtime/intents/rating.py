"""`reputation`: how a login is rated, and whether that is enough to be paid (contract §6)."""

from agent_runtime.errors import RailError
from agent_runtime.grammar import Reputation
from agent_runtime.rails.github import Account, GitHub
from agent_runtime.rails.reputation import Kind, Reputations, kind_by_look
from agent_runtime.requests import Reply
from agent_runtime.settings import Settings


class Rater:
    """Answers `reputation`."""

    def __init__(self, settings: Settings, github: GitHub, reputations: Reputations) -> None:
        self._settings = settings
        self._github = github
        self._reputations = reputations

    async def rate(self, asked: Reputation) -> Reply:
        """Rate a login; nothing is said if something that counts could not be asked."""
        try:
            kind = _kind(await self._github.account(asked.login))
            rating = await self._reputations.rate(asked.login, kind)
        except RailError as error:
            text = f"❌ Reputation of @{asked.login} not available: {error}"
            return Reply(text, "reputation")
        least = self._settings.reputation_min
        eligible = kind is not Kind.UNKNOWN and rating.score >= least
        needed = f"least score {least}; a verified wallet is needed too"
        lines = [
            f"🏅 Reputation for @{asked.login}",
            f"Kind: {rating.kind}",
            f"Score: {rating.score}/100 ({rating.tier})",
            f"ERC-8004: {rating.registry}",
            f"Payable by score: {'yes' if eligible else 'no'} ({needed})",
            f"Sources: {', '.join(('github', *rating.sources))}",
        ]
        return Reply("\n".join(lines), "reputation")


def _kind(account: Account | None) -> Kind:
    """What an account is: nobody and an organisation are neither a human nor an agent. Pure."""
    if account is None:
        return Kind.UNKNOWN
    if account.kind == "User":
        return kind_by_look(account.login)
    return Kind.AGENT if account.kind == "Bot" else Kind.UNKNOWN
