"""Follows a run by its journal, as any reader could, and folds it with the same core."""

from collections.abc import Callable, Iterator
from pathlib import Path

from cutover.decision.fact import Entry
from cutover.decision.fold import apply
from cutover.decision.kinds import AbortRun, OpenStage, RollBack, UnlockIntent
from cutover.decision.run import Run
from cutover.decision.status import Status, status_of
from cutover.evidence.observation import Adopted
from cutover.journal.store import Journal
from cutover.runbook.document import Runbook

Tell = Callable[[Entry, Run, Status], None]


class Follower:
    """A reader of a live journal.

    Args:
        runbook: what is executed.
        journal: the file; it may not exist yet.
        tell: called for every new entry with the state before it and the status after it.
    """

    def __init__(self, runbook: Runbook, journal: Path, tell: Tell) -> None:
        self._runbook = runbook
        self._journal = journal
        self._tell = tell
        self.run = Run(id="")
        self.moves: list[Entry] = []

    def look(self) -> None:
        """Fold what is new."""
        for entry in self._new():
            before = self.run
            if isinstance(entry.fact, Adopted):
                before = Run(id=entry.fact.run)
            self.run = apply(self._runbook, before, entry)
            if isinstance(entry.fact, OpenStage | UnlockIntent | RollBack | AbortRun):
                self.moves.append(entry)
            self._tell(entry, before, self.status())

    def status(self) -> Status:
        """How the run stands, as of the newest entry."""
        return status_of(self._runbook, self.run, self.run.at)

    def stage(self) -> str:
        """The open stage's name; empty before the first."""
        return self._runbook.stages[self.run.stage].name if self.run.stage >= 0 else ""

    def _new(self) -> Iterator[Entry]:
        if self._journal.exists():
            with Journal.open_read_only(self._journal) as reader:
                yield from reader.entries(self.run.seq)
