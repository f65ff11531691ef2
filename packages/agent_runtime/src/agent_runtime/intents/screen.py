"""Who of a split may be paid now (contract §7): verified, the right account, rated well enough.

Whoever is not verified is owed. A login whose wallet was linked by another GitHub account than the
contributor's counts as not verified. Programs and the badly rated are left out and named.
"""

from agent_runtime.intents.payplan import Sorted, StrictBlock, sort_rows
from agent_runtime.near.contract import Row, Split
from agent_runtime.people import People
from agent_runtime.rails.github import is_system_login
from agent_runtime.rails.reputation import Rating, Reputations
from agent_runtime.settings import Settings


class Screen:
    """Sorts the rows of a split."""

    def __init__(self, settings: Settings, people: People, reputations: Reputations) -> None:
        self._settings = settings
        self._people = people
        self._reputations = reputations

    async def sort(self, repo_url: str, split: Split, wallets: dict[str, str]) -> Sorted:
        """Sort rows for a payment.

        Raises:
            Refusal: the split's rows do not make a whole.
            StrictBlock: somebody is not verified, and strictness is set.
            RailError: a rating could not be had; nobody is left out for that.
        """
        strangers = self._people.strangers(repo_url, wallets)
        own = {login: wallet for login, wallet in wallets.items() if login not in strangers}
        found = sort_rows(split, own)
        if self._settings.strict_pay and found.unverified:
            raise StrictBlock([_not_verified(found.unverified)])
        ratings = await self._reputations.rate_contributors(
            [row.login for row, _ in found.eligible]
        )
        least = self._settings.reputation_min
        return Sorted(
            tuple(pair for pair in found.eligible if ratings[pair[0].login].score >= least),
            found.unverified,
            self._people.of_split(repo_url),
            notes(split, strangers, ratings, least),
        )


def notes(
    split: Split, strangers: frozenset[str], ratings: dict[str, Rating], least: int
) -> tuple[str, ...]:
    """Lines about who is left out. Pure."""
    reasons = [(row.login, "a program") for row in split.rows if is_system_login(row.login)] + [
        (login, f"score {rating.score} is below {least}")
        for login, rating in ratings.items()
        if rating.score < least
    ]
    lines = []
    if reasons:
        lines.append(f"🚫 Excluded by eligibility policy ({len(reasons)}):")
        lines.extend(f"- {login}: {reason}" for login, reason in reasons)
    if strangers:
        names = ", ".join(f"@{login}" for login in sorted(strangers))
        lines.append(
            f"⚠️ Counted as unverified: {names}: the wallet was linked by another GitHub account"
            " than the one that contributed"
        )
    return tuple(lines)


def _not_verified(rows: tuple[Row, ...]) -> str:
    names = ", ".join(f"@{row.login}" for row in rows[:5])
    more = f" and {len(rows) - 5} more" if len(rows) > 5 else ""
    return f"{names}{more} must verify first; nothing was sent"
