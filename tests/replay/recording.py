"""A scenario world whose core is the conductor's engine on a journal on disk, in virtual time."""

import random

from msgspec.structs import replace

from cutover import __version__
from cutover.clock import ObservedClock
from cutover.conductor.engine import Engine
from cutover.conductor.recovery import recover
from cutover.decision.run import Run
from cutover.evidence.observation import Adopted, Started, Stopped
from cutover.journal import archive
from cutover.journal.redecide import redecide
from cutover.journal.store import Journal
from decision.world import World


class Quiet:
    """Looks on and says nothing; what is recorded is judged by those who replay it."""

    def __call__(self, *_):
        pass

    def rest(self, *_):
        pass


class Clock:
    """The world's time, once there is a world."""

    def __init__(self):
        self.world = None

    def monotonic_ms(self):
        return getattr(self.world, "now", 0)

    def wall_ms(self):
        return getattr(self.world, "wall", 1_800_000_000_000)


class Recording(World):
    """A world that goes through `Engine.advance` and a real `journal.db`.

    Args:
        runbook: what is adopted.
        path: of the journal.
        seed: of how many clients come.
    """

    def __init__(self, runbook, path, seed):
        self._clock, self._chance = Clock(), random.Random(seed)
        self._path = path
        self._journal = Journal.open(path, "run-1")
        self._engine = self._made(runbook, Run(id="run-1"))
        super().__init__(runbook, Quiet())
        self._clock.world = self

    def _made(self, runbook, run):
        return Engine(runbook, run, self._journal, ObservedClock(self._clock, run.at))

    def _append(self, fact):
        if isinstance(fact, Adopted):
            fact = replace(fact, versions={"cutover": __version__})
        self._took(self._engine.advance([fact]))

    def _took(self, entries):
        self.run = self._engine.run
        self.entries += entries

    def follow(self):
        self._took(self._engine.advance([]))
        super().follow()

    def order(self, command):
        self.refused, entries = self._engine.order(command)
        self._took(entries)
        self.follow()

    def snapshot(self):
        """Store the state beside the journal and bind it, however few entries there are."""
        self._engine._snapshot_due = 0
        self._took(self._engine.snapshot())
        self.follow()

    def restart(self, downtime_ms, *, killed=False):
        """The conductor ends, in good order or not, and another goes on from the journal."""
        if not killed:
            self.submit(Stopped("asked to"))
        self._journal.close()
        self.wall += downtime_ms
        self._journal = Journal.open(self._path, None)
        with Journal.open_read_only(self._path) as reader:
            run = recover(reader, self.runbook)
        self._engine = self._made(self.runbook, run)
        self.submit(Started(run.term + 1, f"conductor-{run.term + 1}", downtime_ms))

    def _report(self):
        for intent in self.conversations:
            self.conversations[intent] = self._chance.randint(6, 14)
        super()._report()

    def seal(self, output):
        """Close the journal and make the archive of it."""
        self._journal.close()
        versions = {"cutover": __version__}
        archive.create(self._path, output, versions=versions, replay=redecide)
