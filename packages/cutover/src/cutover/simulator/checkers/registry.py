"""What a checker is: a line that is never crossed, in words, and how it is looked at."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cutover.decision.fact import Entry
from cutover.decision.run import Run
from cutover.runbook.document import Runbook
from cutover.simulator.checkers.seen import Seen

OnEntry = Callable[[Runbook, Seen, Run, Entry, Run], None]
"""Called with runbook, record, state before, entry, state after."""

AtRest = Callable[[Runbook, Seen, Run, int], None]
"""Called with runbook, record, state and observed milliseconds, when the core has come to rest."""

AtEnd = Callable[[Runbook, Sequence[Entry], Run], None]
"""Called with runbook, whole journal and last state."""


@dataclass(frozen=True, slots=True)
class Checker:
    """One line, as far as it can be judged from the entries of one journal.

    Attributes:
        line: its number.
        words: what must always be so.
        entry: looks on at every entry.
        rest: looks on whenever the core rests.
        end: looks at a whole journal.
    """

    line: int
    words: str
    entry: OnEntry | None = None
    rest: AtRest | None = None
    end: AtEnd | None = None

    @property
    def name(self) -> str:
        """Of its functions, without `check_`, `rest_` or `end_`."""
        looks = (self.entry, self.rest, self.end)
        return next(look.__name__.partition("_")[2] for look in looks if look is not None)
