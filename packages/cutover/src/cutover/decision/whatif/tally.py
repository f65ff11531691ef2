"""What clients' requests came to on the candidate: counted, assumed and unknown, by intent."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from cutover.evidence.outcome import FAILED, Outcome
from cutover.runbook.intent import Intent

WORST_OF_MIN: Final = 10
"""Requests that a window must hold before its failure rate counts as the worst one."""

NOT_ROUTED: Final = frozenset({Outcome.SHED, Outcome.REFUSED})
"""The gateway itself said no; no plane was asked."""


class Cell(NamedTuple):
    """One counter of a gateway."""

    generation: int
    intent: Intent
    plane: str
    outcome: Outcome


def read_cell(key: str) -> Cell:
    """A counter's name, as a node's view has it."""
    generation, intent, plane, outcome = key.split("|")
    return Cell(int(generation), Intent(intent), plane, Outcome(outcome))


@dataclass
class Tally:
    """Requests on the candidate on one path.

    Attributes:
        counted: requests that gateways counted there.
        failed: of them, those that the candidate failed.
        assumed: requests that the tables of this path would have sent there besides.
        assumed_failed: of them, those that fail at the rate seen so far.
        unknown: of them, those of which nothing like it was seen.
    """

    counted: Counter[Intent] = field(default_factory=Counter)
    failed: Counter[Intent] = field(default_factory=Counter)
    assumed: Counter[Intent] = field(default_factory=Counter)
    assumed_failed: Counter[Intent] = field(default_factory=Counter)
    unknown: Counter[Intent] = field(default_factory=Counter)

    def count(self, intent: Intent, outcome: Outcome, n: int) -> None:
        """Note requests that a gateway counted on the candidate."""
        if outcome in NOT_ROUTED or not n:
            return
        self.counted[intent] += n
        self.failed[intent] += n * (outcome in FAILED)

    def assume(self, intent: Intent, outcome: Outcome, n: int) -> None:
        """Note requests that would have been there, with the end that is taken for theirs."""
        self.assumed[intent] += n
        self.assumed_failed[intent] += n * (outcome in FAILED)

    def doubt(self, intent: Intent, n: int) -> None:
        """Note requests that would have been there, and whose end nobody can tell."""
        self.assumed[intent] += n
        self.unknown[intent] += n


class Rates:
    """How requests ended on the candidate in the record: the mix so far, and the worst window.

    Args:
        window_ms: length of the windows in which the worst rate is looked for.
    """

    def __init__(self, window_ms: int) -> None:
        self._window = max(1, window_ms)
        self._mix: dict[Intent, Counter[Outcome]] = {}
        self._now: dict[Intent, tuple[int, int, int]] = {}
        self._worst: dict[Intent, tuple[int, int]] = {}

    def note(self, at_ms: int, intent: Intent, outcome: Outcome, n: int) -> None:
        """Note requests that the candidate had in the record."""
        self._mix.setdefault(intent, Counter())[outcome] += n
        number, total, failed = self._now.get(intent, (at_ms // self._window, 0, 0))
        if number != at_ms // self._window:
            self._close(intent, total, failed)
            number, total, failed = at_ms // self._window, 0, 0
        self._now[intent] = (number, total + n, failed + n * (outcome in FAILED))

    def mix(self, intent: Intent) -> Mapping[Outcome, int]:
        """How requests of an intent have ended so far."""
        return self._mix.get(intent, {})

    def worst(self, intent: Intent) -> tuple[int, int]:
        """Failed and all requests of the window with the highest rate of failures.

        Where no window held enough of them it is the rate of all; (0, 0) when none was seen.
        """
        if intent in self._now:
            _, total, failed = self._now[intent]
            self._close(intent, total, failed)
        if intent in self._worst:
            return self._worst[intent]
        mix = self.mix(intent)
        return sum(n for o, n in mix.items() if o in FAILED), sum(mix.values())

    def _close(self, intent: Intent, total: int, failed: int) -> None:
        if total < WORST_OF_MIN:
            return
        worst, of = self._worst.get(intent, (0, 1))
        if intent not in self._worst or failed * of > worst * total:
            self._worst[intent] = (failed, total)
