"""What the clients say: texts by intent, drawn from a seed."""

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sandbox.traffic.check import Asked, Intent, Route

INTENTS: Final[tuple[Intent, ...]] = ("analyze", "create", "pay")
ROUTES: Final[tuple[Route, ...]] = ("process", "agent")
_TEXTS: Final[Mapping[Intent, tuple[str, ...]]] = {
    "analyze": ("analyze {repo}", "who contributes to {repo}", "analyze github.com/{repo}"),
    "create": ("create split for {repo}", "create a split for github.com/{repo}"),
    "pay": ("pay {amount} USDC to {repo}",),
}
_CONVERSATIONS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Mix:
    """How often each intent is asked for, in any unit."""

    weights: Mapping[Intent, int]

    @classmethod
    def parse(cls, text: str) -> "Mix":
        """Read `analyze=70,create=20,pay=10`; raises ValueError saying what is wrong."""
        weights: dict[Intent, int] = {}
        for part in text.split(","):
            name, _, number = part.strip().partition("=")
            intent = next((i for i in INTENTS if i == name), None)
            if intent is None or not (number.isascii() and number.isdigit()):
                raise ValueError(f"{part!r}: one of {', '.join(INTENTS)} = a whole number")
            weights[intent] = int(number)
        if sum(weights.values()) == 0:
            raise ValueError("at least one intent needs a weight above 0")
        return cls(weights)


@dataclass(frozen=True, slots=True)
class Message:
    """One request: what is asked, in which words, in which conversation."""

    asked: Asked
    text: str
    conversation: str


class Conversations:
    """An endless, seeded stream of requests.

    `pay` goes through /process alone, because /api/agent refuses texts that start with it
    (contract §9); the others use both routes alike.
    """

    def __init__(
        self,
        seed: int,
        mix: Mix,
        repositories: Sequence[str],
        pay_repositories: Sequence[str],
        routes: Sequence[Route] = ROUTES,
    ) -> None:
        self._random = random.Random(seed)
        self._seed = seed
        self._mix = mix
        self._repositories = repositories
        self._pay_repositories = pay_repositories or repositories
        self._routes = routes

    def next(self, paying: Collection[str] = ()) -> Message | None:
        """Return the next request.

        Args:
            paying: repositories with an open payment. Nobody pays the same people twice at a time,
                so None comes back when a payment is due and every repository has one open.
        """
        chance = self._random
        intents = list(self._mix.weights)
        intent = chance.choices(intents, [self._mix.weights[i] for i in intents])[0]
        money = intent == "pay"
        offered = self._repositories
        if money:
            offered = [name for name in self._pay_repositories if name not in paying]
        if not offered:
            return None
        repository = chance.choice(offered)
        route: Route = "process" if money else chance.choice(self._routes)
        # Amounts differ so that two payments are told apart in the books: 0.10 to 0.99 USDC.
        amount = f"0.{chance.randint(10, 99)}"
        text = chance.choice(_TEXTS[intent]).format(repo=repository, amount=amount)
        conversation = f"client-{self._seed}-{chance.randrange(_CONVERSATIONS)}"
        return Message(Asked(intent, repository, route), text, conversation)
