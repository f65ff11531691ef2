"""How a login is rated (contract §7): by kind, or by a reputation API, with an ERC-8004 registry.

A lookup that gives no usable answer gives no rating: what is unknown is neither good nor bad.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from agent_runtime import wire
from agent_runtime.connections import Connections
from agent_runtime.errors import RailUnknown
from agent_runtime.rails.github import is_system_login
from agent_runtime.settings import Settings

LOOKUP_SECONDS = 4.0
AT_ONCE_MAX = 16
REGISTERED_BONUS = 15
GOLD, SILVER = 80, 55


class Kind(StrEnum):
    """What stands behind a login."""

    HUMAN = "human"
    AGENT = "agent"
    UNKNOWN = "unknown"


SCORES = {Kind.HUMAN: 70, Kind.AGENT: 60, Kind.UNKNOWN: 50}


@dataclass(frozen=True)
class Rating:
    """A rating.

    Attributes:
        score: 0 to 100.
        registry: what the ERC-8004 registry says, in the contract's words.
        sources: where it comes from.
    """

    kind: Kind
    score: int
    registry: str
    sources: tuple[str, ...]

    @property
    def tier(self) -> str:
        """gold, silver or bronze."""
        if self.score >= GOLD:
            return "gold"
        return "silver" if self.score >= SILVER else "bronze"


class Reputations:
    """Rates logins."""

    def __init__(self, client: Connections, settings: Settings) -> None:
        self._client = client
        self._settings = settings
        self._slots = asyncio.Semaphore(AT_ONCE_MAX)

    async def rate(self, login: str, kind: Kind) -> Rating:
        """The rating of a login.

        Raises:
            RailError: a configured API refused.
            RailUnknown: it gave no usable answer.
        """
        async with self._slots:
            score, sources = await self._score(login, kind)
            registered = await self._registered(login) if kind is Kind.AGENT else None
        registry = "not configured" if not self._settings.erc8004_base else "not registered"
        if registered is not None:
            sources = (*sources, "erc8004")
            registry = "registered" if registered else "not registered"
        if registered:
            score = min(100, score + REGISTERED_BONUS)
        return Rating(kind, score, registry, sources)

    async def rate_contributors(self, logins: Sequence[str]) -> dict[str, Rating]:
        """The ratings of people who contributed to a repository, by login; all of them, or none.

        Raises:
            RailError: a configured API refused.
            RailUnknown: it gave no usable answer.
        """
        found = await asyncio.gather(*(self.rate(name, kind_by_look(name)) for name in logins))
        return dict(zip(logins, found, strict=True))

    async def _score(self, login: str, kind: Kind) -> tuple[int, tuple[str, ...]]:
        if not self._settings.reputation_base:
            return SCORES[kind], ("kind of account",)
        found = await self._ask(self._settings.reputation_base + "/profile", login)
        score = found.get("score")
        if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 100:
            raise RailUnknown("reputation", "a profile without a score from 0 to 100")
        return int(score), ("reputation api",)

    async def _registered(self, login: str) -> bool | None:
        """Whether the registry knows an agent; None without a registry."""
        if not self._settings.erc8004_base:
            return None
        found = await self._ask(self._settings.erc8004_base + "/lookup", login)
        registered = found.get("registered")
        if not isinstance(registered, bool):
            raise RailUnknown("reputation", "a registry's answer without `registered`")
        return registered

    async def _ask(self, url: str, login: str) -> dict[str, Any]:
        answer = await wire.ask(
            self._client,
            "reputation",
            "GET",
            url,
            deadline_seconds=LOOKUP_SECONDS,
            headers={"accept": "application/json"},
            params={"subject": login},
        )
        found = answer.expect(200).json()
        if not isinstance(found, dict):
            raise RailUnknown("reputation", "an answer that is no record")
        return found


def kind_by_look(login: str) -> Kind:
    """What a contributor's login looks like; bots were left out before."""
    program = is_system_login(login) or "agent" in login.lower()
    return Kind.AGENT if program else Kind.HUMAN
