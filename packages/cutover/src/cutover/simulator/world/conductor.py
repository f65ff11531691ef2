"""A conductor as a process: started, crashed, paused, restarted by its supervisor.

It is assembled by the product's own code and works by the product's own code; only what lies
outside it is simulated.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cutover.conductor.assembly import Outside, Parts, assemble
from cutover.conductor.work import work
from cutover.decision.fact import Entry
from cutover.decision.run import TERMINAL
from cutover.errors import CutoverError
from cutover.journal import schema
from cutover.runbook.document import Runbook
from cutover.simulator.kernel.host import Host
from cutover.simulator.world.disk import Disk, DiskJournal

RESTART_SECONDS: Final = 0.5
"""After which the supervisor starts it again, as systemd would."""

Say = Callable[[str, str, Any], None]


class DoorApi:
    """A control API that is there until it is told to end; callers come over the network."""

    def __init__(self) -> None:
        self._over = asyncio.Event()

    async def serve(self) -> None:
        """Let them in until `end` is called."""
        await self._over.wait()

    def end(self) -> None:
        """Ask `serve` to return."""
        self._over.set()


@dataclass(frozen=True)
class Site:
    """What all conductors of a world share.

    Attributes:
        runbook: that is executed.
        disk: with the journal.
        outside: makes what lies outside a conductor, by its name.
        opened: sees the journal as a new process finds it.
        recorded: told of what is durable, before anybody else.
        say: adds a line to the trace.
    """

    runbook: Runbook
    disk: Disk
    outside: Callable[[str], Outside]
    opened: Callable[[DiskJournal], None]
    recorded: Callable[[str, Sequence[Entry]], None]
    say: Say


class ConductorProcess:
    """One place where a conductor runs.

    Args:
        site: of the world.
        name: of the place.

    Attributes:
        host: the process; None while none runs.
        parts: of the conductor that runs, once it has recovered.
        supervised: whether somebody starts it again when it ends.
    """

    def __init__(self, site: Site, name: str) -> None:
        self.name = name
        self.host: Host | None = None
        self.parts: Parts | None = None
        self.supervised = True
        self.starts = 0
        self.journal: DiskJournal | None = None
        self.buried: list[Host] = []
        self._site = site
        self._stop = asyncio.Event()

    def start(self) -> None:
        """Start the process, unless it runs."""
        if self.host is not None:
            return
        self.starts += 1
        self.parts = None  # what the one before knew died with it
        self._stop = asyncio.Event()
        host = self.host = Host(self.name, self.starts)
        host.on_death(lambda: self._died(host))
        host.start(self._main(host), "main")

    def crash(self) -> None:
        """End it without a word."""
        if self.host is not None:
            self._site.say(self.name, "crashes", None)
            self.host.kill()

    def pause(self) -> None:
        """Stop it where it stands."""
        if self.host is not None:
            self.host.pause()

    def go_on(self) -> None:
        """Let it go on."""
        if self.host is not None:
            self.host.go_on()

    def stop(self) -> None:
        """Ask it to end, as SIGTERM does."""
        self._stop.set()

    def over(self) -> bool:
        """Whether the conductor that ran last has brought its run to the end."""
        return self.parts is not None and self.parts.loop.engine.run.phase in TERMINAL

    async def _main(self, host: Host) -> None:
        try:
            await self._conduct()
        except (CutoverError, BaseExceptionGroup) as error:
            self._site.say(self.name, "ends", _kinds(error))
        else:
            self._site.say(self.name, "ends", "in good order")
            self.supervised = self.supervised and not self.over()
        host.kill()

    async def _conduct(self) -> None:
        site, path = self._site, self._site.disk.path
        outside = site.outside(self.name)
        journal = DiskJournal.open(path, None if schema.begun(path) else outside.fresh())
        self.journal = journal
        site.opened(journal)
        journal.recorded = lambda entries: site.recorded(self.name, entries)
        site.disk.mount(journal)
        self.parts = assemble(site.runbook, journal, outside)
        await work(self.parts, self._stop, DoorApi())
        journal.close()

    def _died(self, host: Host) -> None:
        if self.journal is not None:
            self.journal.abandon()
        self.journal = self.host = None
        self.buried.append(host)
        if self.supervised:
            loop = asyncio.get_running_loop()
            loop.call_later(RESTART_SECONDS, self._again)

    def _again(self) -> None:
        if self.supervised:
            self.start()

    def bury(self) -> None:
        """At the end of a simulation."""
        self.supervised = False
        if self.host is not None:
            self.host.kill()
        for host in self.buried:
            with contextlib.suppress(Exception):
                host.bury()


def _kinds(error: BaseException) -> str:
    """The kinds of error, without texts that name a path."""
    if isinstance(error, BaseExceptionGroup):
        return ", ".join(sorted({_kinds(one) for one in error.exceptions}))
    return type(error).__name__
