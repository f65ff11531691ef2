"""Everything that is checked while a simulation runs, put together."""

import asyncio
from collections.abc import Callable, Sequence

from cutover.decision.fact import Entry
from cutover.decision.fold import apply
from cutover.decision.run import Run
from cutover.evidence.observation import Adopted
from cutover.runbook.document import Runbook
from cutover.simulator.checkers.violation import Violation, never
from cutover.simulator.checkers.watch import Watch as Lines
from cutover.simulator.faults import Fault
from cutover.simulator.kernel.loop import current
from cutover.simulator.watch.counted import Counted
from cutover.simulator.watch.excuses import Weatherbook
from cutover.simulator.watch.leadership import Leadership
from cutover.simulator.watch.money import Money
from cutover.simulator.watch.overheard import check_overheard
from cutover.simulator.watch.promptness import Promptness
from cutover.simulator.watch.secrets import check_silent
from cutover.simulator.watch.stamps import Stamps
from cutover.simulator.watch.submissions import Submissions
from cutover.simulator.world.clients import Asked
from cutover.simulator.world.node import NodeProcess
from cutover.simulator.world.world import Watch, World

Told = Callable[[int, str], None]


def nobody(_now_ms: int, _where: str) -> None:
    """Hears where a run is, and does nothing about it."""


class Watcher(Watch):
    """Checks every line of the design at every step; the first violation ends the simulation.

    Args:
        runbook: that is executed.
        told: hears where the run is, with the simulated time, whenever it has come elsewhere.

    Attributes:
        entries: whole journal so far.
        run: that it folds to, by a fold of our own.
        violation: the first; None while there is none.
        excused: requests that a fault cost their answer, once they have been counted.
    """

    def __init__(self, runbook: Runbook, told: Told = nobody) -> None:
        self.entries: list[Entry] = []
        self.run = Run(id="")
        self.book = Weatherbook()
        self.violation: Violation | None = None
        self.violated = asyncio.Event()
        self.runbook = runbook
        self.excused = 0
        self._leadership = Leadership()
        self._submissions = Submissions()
        self._promptness: Promptness | None = None
        self._money: Money | None = None
        self._secrets: list[bytes] = []
        self._lines = Lines()
        self._told, self._where = told, ""
        self._counted = Counted()
        self._stamps = Stamps()
        self._nodes: Sequence[NodeProcess] = ()

    def join(self, world: World, secrets: Sequence[str]) -> None:
        """Look on from now."""
        conductors = tuple(one.name for one in world.conductors)
        self._promptness = Promptness(world.nodes, conductors, self.book)
        nodes = tuple(node.name for node in world.nodes)
        self._money = Money(self.runbook, nodes, conductors, self.book)
        self._secrets = [secret.encode() for secret in secrets]
        self._nodes = world.nodes

    def recorded(self, who: str, entries: Sequence[Entry]) -> None:
        """Entries are durable."""
        try:
            for node in self._nodes:
                self._leadership.obeyed(node.name, node.generation(), self.run.generation)
            self._counted.recorded(entries, current().now_ms())
            self._stamps.recorded(entries, current().now_ms())
            for entry in entries:
                self._fold(entry)
            self._lines.rest(self.runbook, self.run, self.run.at)
            self._leadership.recorded(who, entries)
            check_silent(entries, self._secrets)
            if self._money is not None:
                self._money.recorded(entries, current().now_ms())
        except Violation as violation:
            self._violated(violation)
        if self._promptness is not None:
            self._promptness.recorded(entries, self.run.generation)
        self._tell()

    def _tell(self) -> None:
        run = self.run
        stage = self.runbook.stages[run.stage].name if run.stage >= 0 else ""
        where = " ".join([run.phase, stage, *sorted(run.unlocked)]).strip()
        if where != self._where:
            self._where = where
            self._told(current().now_ms(), where)

    def _fold(self, entry: Entry) -> None:
        if isinstance(entry.fact, Adopted) and not self.entries:
            self.run = Run(id=entry.fact.run)
        self.entries.append(entry)
        before, self.run = self.run, apply(self.runbook, self.run, entry)
        self._lines(self.runbook, before, entry, self.run)

    def end(self, states: Sequence[Run]) -> None:
        """At the end: the journal gives every conductor's state, and decides again as it was.

        Args:
            states: of the conductors that still run.

        Raises:
            Violation: one has another state, or a decision is another today.
        """
        for state in states:
            leads = state.term == self.run.term  # one that was replaced may not know it yet
            told = leads and state != self.run
            never(9, told, "a conductor's state is not what the journal folds to")
        self._lines.end(self.runbook, self.entries, self.run)

    def submitted(self, plane: str, key: str, text: str) -> None:
        """A plane was asked to execute something."""
        try:
            self._submissions(plane, key)
            if self._money is not None:
                self._money.submitted(plane, key, text, current().now_ms())
        except Violation as violation:
            self._violated(violation)

    def reported(self, node: str, boot: str, term: int, generation: int) -> None:
        """A node said what is in force."""
        try:
            self._leadership.reported(node, boot, term, generation, current().now_ms())
        except Violation as violation:
            self._violated(violation)

    def overheard(self, data: bytes) -> None:
        """A person in the middle was told something."""
        try:
            check_overheard(data, self._secrets)
        except Violation as violation:
            self._violated(violation)

    def faulty(self, fault: Fault, *, begins: bool) -> None:
        """A fault begins or ends."""
        self.book.note(fault, current().now_ms(), begins=begins)

    def _violated(self, violation: Violation) -> None:
        if self.violation is None:
            self.violation = violation
            self.violated.set()

    def count(self, asked: Sequence[Asked]) -> None:
        """At the end: every good answer that clients got is counted in the journal."""
        try:
            self._counted.check(asked, self.book, current().now_ms())
        except Violation as violation:
            self._violated(violation)

    def prompt(self) -> None:
        """Take note of what the looks at the nodes found."""
        if self._promptness is None:
            return
        try:
            self._promptness.check()
        except Violation as violation:
            self._violated(violation)
