"""What the network does to messages just now: delays, cuts, losses, copies.

A condition is set by a fault and lifted by it; what is in force between two places is their sum.
Chance comes from the simulation's seed and is only asked while a condition needs it, so that a
fault changes nothing of what went before it.
"""

from dataclasses import dataclass
from random import Random  # noqa: TID251 - the type alone; the seed is passed in
from typing import Final

CALM_MS: Final = (0.2, 1.0)
"""Least and most that a message takes one way in good weather, in milliseconds."""

ANYWHERE: Final = "*"


@dataclass(frozen=True)
class Condition:
    """Something between two places, in both directions.

    Attributes:
        a: a host's name, or `*`.
        b: the other's.
        cut: nothing gets through; it waits, as TCP would, until the condition is lifted.
        slow_ms: added to every message.
        lose: chance that a call's request or its answer is lost.
        copy: chance that a call's request arrives twice.
        halve: chance that an answer's second half is lost, and the connection with it.
    """

    a: str
    b: str
    cut: bool = False
    slow_ms: float = 0.0
    lose: float = 0.0
    copy: float = 0.0
    halve: float = 0.0

    def between(self, one: str, other: str) -> bool:
        """Whether it holds between two hosts."""
        return _fits(self.a, self.b, one, other) or _fits(self.b, self.a, one, other)


def _fits(a: str, b: str, one: str, other: str) -> bool:
    return a in (ANYWHERE, one) and b in (ANYWHERE, other)


class Weather:
    """All conditions in force.

    Args:
        chance: of this simulation.
    """

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._conditions: list[Condition] = []

    def add(self, condition: Condition) -> None:
        """A fault begins."""
        self._conditions.append(condition)

    def remove(self, condition: Condition) -> None:
        """It ends."""
        self._conditions.remove(condition)

    def _between(self, one: str, other: str) -> list[Condition]:
        return [known for known in self._conditions if known.between(one, other)]

    def delay_s(self, one: str, other: str) -> float:
        """Seconds that a message takes one way."""
        base = self._chance.uniform(*CALM_MS)
        if not self._conditions:
            return base / 1000
        return (base + sum(known.slow_ms for known in self._between(one, other))) / 1000

    def cut(self, one: str, other: str) -> bool:
        """Whether nothing gets through."""
        return bool(self._conditions) and any(known.cut for known in self._between(one, other))

    def lost(self, one: str, other: str) -> bool:
        """Whether this message is lost."""
        if not self._conditions:
            return False
        return self._happens(max((c.lose for c in self._between(one, other)), default=0.0))

    def copied(self, one: str, other: str) -> bool:
        """Whether this message arrives twice."""
        if not self._conditions:
            return False
        return self._happens(max((c.copy for c in self._between(one, other)), default=0.0))

    def halved(self, one: str, other: str) -> bool:
        """Whether this answer breaks off in its middle."""
        if not self._conditions:
            return False
        return self._happens(max((c.halve for c in self._between(one, other)), default=0.0))

    def _happens(self, odds: float) -> bool:
        return odds > 0 and self._chance.random() < odds
