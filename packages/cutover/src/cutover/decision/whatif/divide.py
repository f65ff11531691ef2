"""Divides requests anew between the planes when a table with other shares had routed them."""

from collections import Counter
from typing import Final

from cutover.decision.whatif.tally import Rates, Tally
from cutover.evidence.outcome import Outcome
from cutover.runbook.intent import Intent
from cutover.runbook.stage import ALL_BP

_WHOLE: Final = 1_000_000
"""Parts of one request in which remainders are kept."""

Ends = Counter[tuple[str, Outcome]]
"""Requests of one intent, by plane and end."""


class Divider:
    """Keeps what is left over at each division, so that in the long run nothing is lost.

    Args:
        fallback: the plane we come from.
        candidate: the plane we go to.
        rates: how requests ended on the candidate in the record so far.

    Attributes:
        moved: requests that went elsewhere than in the record.
    """

    def __init__(self, fallback: str, candidate: str, rates: Rates) -> None:
        self._fallback, self._candidate, self._rates = fallback, candidate, rates
        self._left: Counter[tuple[Intent, str]] = Counter()
        self.moved = 0

    def requests(self, intent: Intent, ends: Ends, was: int, will: int, tally: Tally) -> Ends:
        """How an intent's requests end under another share; the tally notes the candidate's.

        Args:
            intent: of all of them.
            ends: as counted.
            was: the candidate's share when they were routed, basis points.
            will: its share on the other path.
            tally: of the other path.
        """
        there = Counter({end: n for (plane, end), n in ends.items() if plane == self._candidate})
        kept = self._fewer(intent, there, was, will) if will < was else there
        for end, n in kept.items():
            tally.count(intent, end, n)
        if was == will:
            return ends
        told = Counter({(self._candidate, end): n for end, n in kept.items()})
        unknown = 0
        if will > was:
            more = max(0, self._share(intent, "all", ends.total(), will) - there.total())
            added = self._like_before(intent, more)
            unknown = more if added is None else 0
            for end, n in (added or Counter()).items():
                tally.assume(intent, end, n)
                told[self._candidate, end] += n
            tally.doubt(intent, unknown)
        self.moved += abs(told.total() + unknown - there.total())
        # how the rest ends on the fallback decides nothing; that it was asked there does
        told[self._fallback, Outcome.OK] += max(0, ends.total() - told.total() - unknown)
        return told

    def conversations(self, intent: Intent, met: Counter[str], was: int, will: int) -> Counter[str]:
        """Conversations by plane under another share: the gateway splits as its table says."""
        if was == will:
            return met
        there = min(met.total(), self._share(intent, "conversations", met.total(), will))
        return Counter({self._candidate: there, self._fallback: met.total() - there})

    def _share(self, intent: Intent, what: str, n: int, share: int) -> int:
        return self._parts(intent, what, n * share * _WHOLE // ALL_BP)

    def _fewer(
        self, intent: Intent, there: Counter[Outcome], was: int, will: int
    ) -> Counter[Outcome]:
        return Counter(
            {
                end: min(n, self._parts(intent, f"kept {end}", n * will * _WHOLE // was))
                for end, n in there.items()
            }
        )

    def _like_before(self, intent: Intent, more: int) -> Counter[Outcome] | None:
        """Ends for so many requests in the proportions seen so far; None when none was seen."""
        mix = self._rates.mix(intent)
        if not (seen := sum(mix.values())):
            return None
        return Counter(
            {
                end: self._parts(intent, f"more {end}", more * n * _WHOLE // seen)
                for end, n in mix.items()
            }
        )

    def _parts(self, intent: Intent, what: str, parts: int) -> int:
        """Whole requests out of parts; the rest waits for the next time."""
        whole, self._left[intent, what] = divmod(self._left[intent, what] + parts, _WHOLE)
        return whole
