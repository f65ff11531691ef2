"""Journal, fold, decide: the synchronous heart of the conductor.

Facts become entries, entries become state, state becomes decisions, and all of it is durable
before anybody may act on it: facts and the decisions that follow from them are one transaction.
If that transaction fails, nothing has happened.
"""

from collections.abc import Sequence

from cutover.clock import ObservedClock
from cutover.conductor.ports import Memory
from cutover.conductor.stored import stored
from cutover.crashpoint import crashpoint
from cutover.decision.command import Command
from cutover.decision.course import Course
from cutover.decision.fact import Entry, Fact
from cutover.decision.kinds import Decision, Hold
from cutover.decision.matrix import money_grant_ms
from cutover.decision.orders import refusal
from cutover.decision.run import Run
from cutover.decision.status import Explanation, Status, explain, status_of
from cutover.decision.step import table_for, table_parts
from cutover.decision.wanted import Wanted, wanted
from cutover.errors import JournalError
from cutover.evidence.observation import OrderRefused, Snapshot
from cutover.routing.table import RoutingTable
from cutover.runbook.document import Runbook

MOVES_A_STEP_MAX = 8
"""Moves that may follow from one fact; more means that two rules undo each other."""

SNAPSHOT_EVERY = 5_000
"""Entries between snapshots; bounds what a restart must fold."""

SNAPSHOT_AGAIN = 500
"""Entries until a snapshot that failed is tried again."""

NOTHING = Wanted()


class Engine:
    """The state of a run and the only way to change it.

    Args:
        runbook: what was agreed.
        run: the state that the journal folds to.
        memory: the journal.
        clock: stamps.
    """

    def __init__(self, runbook: Runbook, run: Run, memory: Memory, clock: ObservedClock) -> None:
        self.runbook = runbook
        self.run = run
        self._course = Course(runbook, run)
        self._memory = memory
        self._clock = clock
        self._snapshot_due = run.seq + SNAPSHOT_EVERY
        self._parts, self._table = table_parts(run), table_for(runbook, run)

    def now_ms(self) -> int:
        """Observed milliseconds; never before the newest entry."""
        return max(self._clock.now_ms(), self.run.at)

    def advance(self, facts: Sequence[Fact]) -> list[Entry]:
        """Journal facts and everything that follows from them, then make it the state.

        Args:
            facts: seen or ordered since the last call; empty to let time alone speak.

        Returns:
            The new entries, decisions included; empty when nothing changed.

        Raises:
            JournalError: nothing was written and the state is unchanged.
        """
        now, entries = self.now_ms(), list[Entry]()
        if self._course.run is not self.run:  # it went on to what was not written
            self._course = Course(self.runbook, self.run)
        for fact in facts:
            self._follow(entries, now, self._fold(entries, now, fact))
        if not facts:
            self._follow(entries, now, self._course.due(now))
        if not entries:
            return []
        written = self._memory.append([e.fact for e in entries], now, self._clock.wall_ms())
        numbers, expected = [e.seq for e in written], [e.seq for e in entries]
        if numbers != expected:
            raise JournalError(
                f"entries were numbered {numbers}, expected {expected}; another writer has the "
                "journal, stop it and start again"
            )
        self.run = self._course.run
        return written

    def order(self, command: Command) -> tuple[str, list[Entry]]:
        """Take an operator's order: the refusal (empty when admitted) and the new entries."""
        if why := self.refusal(command):
            refused = OrderRefused(type(command).__name__, command.actor[:80], why)
            return why, self.advance([refused])
        return "", self.advance([command])

    def refusal(self, command: Command) -> str:
        """Why an order would be refused now; empty when it would be admitted."""
        return refusal(self.runbook, self.run, command)

    def snapshot(self) -> list[Entry]:
        """Store the state beside the journal when it is time, and bind it; the new entries.

        Never part of a decision: what was decided stands whether this succeeds or not, and a state
        that could not be stored is tried again some entries later.

        Raises:
            JournalError: it was not stored, or not bound; the state is unchanged.
        """
        if self.run.seq < self._snapshot_due:
            return []
        self._snapshot_due = self.run.seq + SNAPSHOT_AGAIN
        crashpoint("snapshot.store.before")
        digest = self._memory.save_snapshot(self.run.seq, stored(self.run))
        crashpoint("snapshot.bind.before")
        entries = self.advance([Snapshot(self.run.seq, digest)])
        crashpoint("snapshot.bind.after")
        self._snapshot_due = self.run.seq + SNAPSHOT_EVERY
        return entries

    def table(self) -> RoutingTable:
        """The routing table that should be in force; the very same one until it changes."""
        parts = table_parts(self.run)
        if parts != self._parts:
            self._parts, self._table = parts, table_for(self.runbook, self.run)
        return self._table

    def rests_ms(self) -> int:
        """Milliseconds from now for which time alone brings nothing; 0 when it may at once."""
        if self._course.run is not self.run:
            return 0
        return max(0, self._course.rests_until() - self.now_ms())

    def wanted(self) -> Wanted:
        """Evidence to gather now."""
        if self.rests_ms():
            return NOTHING
        return wanted(self.runbook, self.run, self.now_ms())

    def status(self) -> Status:
        """How the run stands."""
        return status_of(self.runbook, self.run, self.now_ms())

    def money_grant_ms(self) -> int:
        """How long whoever hears nothing more may go on with payments to the candidate."""
        return money_grant_ms(self.runbook, self.run, self.now_ms())

    def explain(self) -> Explanation:
        """Why it stands there."""
        return explain(self.runbook, self.run, self.now_ms())

    def _fold(self, entries: list[Entry], now: int, fact: Fact) -> Decision | None:
        """Make one more entry of a fact; the decision that follows."""
        entry = Entry(self._course.run.seq + 1, now, 0, fact)
        entries.append(entry)
        return self._course.take(entry)

    def _follow(self, entries: list[Entry], now: int, due: Decision | None) -> None:
        for _ in range(MOVES_A_STEP_MAX):
            if due is None:
                return
            decision, due = due, self._fold(entries, now, due)
            if isinstance(decision, Hold):
                return
        seq = self._course.run.seq
        raise AssertionError(f"more than {MOVES_A_STEP_MAX} moves follow from entry {seq}")
