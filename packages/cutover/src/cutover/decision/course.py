"""A run followed entry by entry: its state, and the decision that is due.

The one way in which conductor, replay and simulator go from entry to entry. A course gives what
`fold.apply` and `ahead.next_decision` give after every entry. While the run is calm it folds in
short and does not judge: what it knows beyond the state follows from the state and is not kept.
"""

from cutover.decision.ahead import next_decision
from cutover.decision.brief import BRIEFS
from cutover.decision.calm import Calm, calm_of, fresh_until
from cutover.decision.fact import Entry
from cutover.decision.fold import apply
from cutover.decision.kinds import Decision
from cutover.decision.run import Run
from cutover.runbook.document import Runbook


class Course:
    """Follows one run.

    Args:
        runbook: what was agreed.
        run: what is known so far.

    Attributes:
        run: what is known after the entries taken; an immutable value.
    """

    __slots__ = ("_calm", "_until", "run", "runbook")

    def __init__(self, runbook: Runbook, run: Run) -> None:
        self.runbook = runbook
        self.run = run
        self._calm: Calm | None = None
        self._until = 0

    def take(self, entry: Entry) -> Decision | None:
        """Fold one more entry in; the decision to journal now, at the entry's stamp, if any."""
        calm = self._calm
        if calm is not None and (entry.at_ms <= self._until or self._rests(calm, entry.at_ms)):
            brief = BRIEFS.get(type(entry.fact))
            after = brief(calm, self.run, entry, entry.fact) if brief else None
            if after is not None:
                self.run = after
                return None
        self._calm = None
        self.run = apply(self.runbook, self.run, entry)
        return self.due(entry.at_ms)

    def due(self, now_ms: int) -> Decision | None:
        """The decision to journal at a moment after the last entry, if time alone brings one."""
        if self._calm is not None and self._rests(self._calm, now_ms):
            return None
        decision = next_decision(self.runbook, self.run, now_ms)
        self._calm = None
        if decision is None and (calm := calm_of(self.runbook, self.run, now_ms)):
            self._calm, self._until = calm, fresh_until(calm, self.run)
        return decision

    def rests_until(self) -> int:
        """The last moment until which nothing changes unless something is seen, or ordered.

        Until then `due` gives None and `wanted` nothing. When that is not certain, it is the stamp
        of the newest entry: the next millisecond may bring a decision.
        """
        at = self.run.at
        return at if self._calm is None else max(at, fresh_until(self._calm, self.run))

    def _rests(self, calm: Calm, at_ms: int) -> bool:
        """Whether the run will still be calm at that moment if nothing is seen until then."""
        if at_ms > self._until:
            self._until = fresh_until(calm, self.run)
        return at_ms <= self._until
