"""The pure core, driven as a conductor drives it: entry, fold, decisions until it rests.

Time stands still here; `world` lets it pass.
"""

import hashlib
from typing import Final, Protocol, get_args

import msgspec

from cutover.decision.ahead import next_decision
from cutover.decision.command import Command
from cutover.decision.fact import Entry, Fact
from cutover.decision.fold import apply
from cutover.decision.kinds import Decision, Hold, Move
from cutover.decision.orders import refusal
from cutover.decision.run import Run
from cutover.evidence.observation import Adopted, OrderRefused, Snapshot, Started
from cutover.runbook.document import Runbook
from cutover.simulator.checkers.violation import Violation

MOVES_MAX: Final = 8
"""Moves that may follow from one fact; more would be a core that does not come to rest."""

WALL_MS: Final = 1_800_000_000_000
"""The wall clock at the beginning of every scenario, milliseconds since the epoch."""

_MOVES: Final = get_args(Move)


class Watcher(Protocol):
    """Looks on; raises `Violation` when a line is crossed."""

    def __call__(self, runbook: Runbook, before: Run, entry: Entry, after: Run) -> None:
        """After every entry, with the state before and after."""
        ...

    def rest(self, runbook: Runbook, run: Run, now_ms: int) -> None:
        """Whenever the core has come to rest."""
        ...


class Core:
    """One run and its journal in memory.

    Args:
        runbook: what was agreed.
        watch: looks on.
    """

    def __init__(self, runbook: Runbook, watch: Watcher) -> None:
        self.runbook, self.watch = runbook, watch
        self.now, self.wall = 0, WALL_MS
        self.run = Run(id="run-1")
        self.entries: list[Entry] = []
        self.refused = ""
        self._rested: tuple[Run, int] | None = None
        sha = hashlib.sha256(runbook.text.encode()).hexdigest()
        self._append(Adopted("run-1", runbook.text, sha, {"cutover": "conformance"}))
        self._append(Started(1, "conductor-1", 0))

    def submit(self, fact: Fact) -> None:
        """Journal one fact and all that follows from it."""
        self._append(fact)
        self.follow()

    def follow(self) -> None:
        """Journal decisions until the core rests.

        Raises:
            Violation: a line is crossed, or the core does not come to rest.
        """
        if self._rests():
            return
        for _ in range(MOVES_MAX):
            decision = next_decision(self.runbook, self.run, self.now)
            if decision is None:
                self._rested = self.run, self.now
                break
            self._append(decision)
            if isinstance(decision, Hold):
                break
        else:
            raise Violation(9, f"the core does not rest after {MOVES_MAX} moves")
        self.watch.rest(self.runbook, self.run, self.now)

    def _rests(self) -> bool:
        """Whether this very state was at rest at this very time: deciding is pure, it still is."""
        return self._rested is not None and (
            self._rested[0] is self.run and self._rested[1] == self.now
        )

    def _append(self, fact: Fact) -> None:
        entry = Entry(self.run.seq + 1, self.now, self.wall, fact)
        before, self.run = self.run, apply(self.runbook, self.run, entry)
        self.entries.append(entry)
        self.watch(self.runbook, before, entry, self.run)

    def order(self, command: Command) -> None:
        """An operator's order, through the same door as in a conductor."""
        self.refused = refusal(self.runbook, self.run, command)
        refused = OrderRefused(type(command).__name__, command.actor, self.refused)
        self.submit(refused if self.refused else command)

    def restart(self, downtime_ms: int) -> None:
        """The conductor dies and comes back; observed time stands still meanwhile."""
        self.wall += downtime_ms
        term = self.run.term + 1
        self.submit(Started(term, f"conductor-{term}", downtime_ms))

    def snapshot(self) -> None:
        """The state is stored beside the journal, and its digest bound."""
        state = msgspec.json.encode(self.run, order="deterministic")
        self.submit(Snapshot(self.run.seq, hashlib.sha256(state).hexdigest()))

    def decisions(self) -> list[Decision]:
        """Every move so far; holds left out."""
        return [e.fact for e in self.entries if isinstance(e.fact, _MOVES)]
