"""A gateway node in a simulation: the real supervisor, crew, board and protocols on virtual time.

Played are the processes (each a `Host`), the thread that writes files, the sockets (the loop's) and
whatever the caller hands in: the link to the conductor, the clock, the names. The state directory
is a real one, and survives a crash as the disk of a machine does.
"""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cutover.clock import Clock
from cutover.errors import CutoverError
from cutover.gateway.config import GatewayConfig
from cutover.gateway.node import LOOK_SECONDS, Node, first_table
from cutover.gateway.page import Page
from cutover.gateway.ports import ConductorLink, Outside
from cutover.gateway.store import Store
from cutover.routing.table import RoutingTable
from cutover.simulator.gateway_files import LoopKeeper
from cutover.simulator.gateway_worker import Birth, SimulatedWorker
from cutover.simulator.kernel.host import Host

DISK_SECONDS: Final = 0.004
"""What a disk takes to have a small file written for good."""

log = logging.getLogger("cutover.simulator.gateway")


@dataclass(frozen=True)
class Site:
    """What a node finds wherever it starts.

    Attributes:
        config: its host is the name by which the network knows the node.
        link: makes a link to the conductor, one for each start; the node closes it.
        clock: of the machine.
        fresh: gives a name for each boot and worker, never the same twice.
        ended: told when a start has come to its end, in whichever way.
    """

    config: GatewayConfig
    link: Callable[[], ConductorLink]
    clock: Clock
    fresh: Callable[[], str]
    ended: Callable[["SimulatedNode"], None] = lambda _: None


class SimulatedNode:
    """One gateway node: started, crashed, paused, stopped, started again.

    Args:
        site: where it runs.

    Attributes:
        name: by which the network knows it.
        host: its supervisor's process; None while none runs.
        starts: how often it was started.
        exit_code: of the last start that ended by itself; -9 if it was killed, None before.
        error: what the last start ended with, None if it was in good order.
        disk_seconds: what its disk takes for a write from now on.

    Raises:
        ConfigurationError: no node can be started with the configuration.
    """

    def __init__(self, site: Site) -> None:
        site.config.checked()
        self.name = site.config.host
        self.host: Host | None = None
        self.starts = 0
        self.exit_code: int | None = None
        self.error: Exception | None = None
        self.disk_seconds = DISK_SECONDS
        self._site = site
        self._life: _Life | None = None
        self._buried: list[Host] = []
        self._over = False
        self._gone = asyncio.Event()

    @property
    def workers(self) -> list[SimulatedWorker]:
        """Its workers by number; empty while it does not run."""
        return self._life.workers if self._life is not None else []

    @property
    def in_force(self) -> RoutingTable | None:
        """The table that its workers go by; None if it has none, or does not run."""
        return self._life.node.in_force if self._life is not None else None

    def start(self) -> None:
        """Start it, unless it runs.

        What keeps it from running, such as another node in its directory, ends it: see `error`.
        """
        if self.host is not None:
            return
        self.starts += 1
        host = self.host = Host(self.name, self.starts)
        self._gone = asyncio.Event()
        self.exit_code, self.error = None, None
        host.on_death(self._died)
        host.start(self._main(host), "supervisor")

    def stop(self) -> None:
        """Ask it to finish what it has in hand and end, as SIGTERM does; see `gone`."""
        if self.host is not None:
            asyncio.get_running_loop().call_soon(self._terminate, context=self.host.context())

    async def gone(self) -> None:
        """Wait until it has ended, in whichever way."""
        if self.host is not None:
            await self._gone.wait()

    def crash(self) -> None:
        """End the supervisor without a word; its workers die with it."""
        if self.host is not None:
            self.host.kill()

    def crash_worker(self, number: int) -> None:
        """End a worker without a word.

        Raises:
            IndexError: there is none of that number.
        """
        self.workers[number].kill()

    def pause(self) -> None:
        """Stop the whole machine where it stands."""
        for host in self._hosts():
            host.pause()

    def go_on(self) -> None:
        """Let it run what became due meanwhile."""
        for host in self._hosts():
            host.go_on()

    def bury(self) -> None:
        """At the end of a simulation: end it, and unwind whatever ever ran."""
        self._over = True  # nobody is told, who might start it again
        self.crash()
        for host in self._buried:
            host.bury()

    def _hosts(self) -> list[Host]:
        mine = [self.host] if self.host is not None else []
        return mine + [worker.host for worker in self.workers if worker.host.alive]

    async def _main(self, host: Host) -> None:
        code = 1
        try:
            self._life = _Life(self._site, host, lambda: self.disk_seconds)
            await self._life.node.main()
            code = 0
        except Exception as error:  # as in any process, it ends there; `_blame` says it
            if not host.alive:
                raise  # its memory is being freed: it has ended long ago, and this is not why
            self._blame(host, error)
        self.exit_code = code
        host.kill()

    def _terminate(self) -> None:
        if self._life is not None:
            self._life.node.stop()
        elif self.host is not None:
            self.host.kill()  # so early nobody listens to signals yet

    def _blame(self, host: Host, error: Exception) -> None:
        log.error("%r ends", host, exc_info=error)
        self.error = error
        if not isinstance(error, (OSError, CutoverError)):  # those may come of what a fault did
            told = {"message": f"{host!r} ended with a defect", "exception": error}
            asyncio.get_running_loop().call_exception_handler(told)

    def _died(self) -> None:
        if self.exit_code is None:
            self.exit_code = -signal.SIGKILL
        host, self.host = self.host, None
        life, self._life = self._life, None
        hosts = life.hosts if life is not None else []
        for worker in hosts:
            worker.kill()  # their lifeline is cut
        self._buried += hosts if host is None else [host, *hosts]
        self._gone.set()
        if not self._over:
            self._site.ended(self)


class _Life:
    """What belongs to one start of a node, and goes with it."""

    def __init__(self, site: Site, host: Host, disk_seconds: Callable[[], float]) -> None:
        self.workers: list[SimulatedWorker] = []
        self.hosts: list[Host] = []
        self._site = site
        self._stir = asyncio.Event()
        config = site.config
        with contextlib.ExitStack() as files:
            store = Store(config.state_dir)
            files.callback(store.close)
            table = first_table(store, config)
            page, self._page_fd = _Page.create(config.state_dir / "page.bin", config.workers)
            page.published = self._published
            files.callback(os.close, self._page_fd)
            keeper = LoopKeeper(disk_seconds)
            files.callback(keeper.abandon)
            outside = Outside(
                link=site.link(), keeper=keeper, clock=site.clock, fresh=site.fresh,
                door=_Door(f"http://{config.host}:{config.port}"), spawn=self._spawn,
                rest=self._rest,
            )  # fmt: skip
            self.node = Node(config, store, page, table, outside)
            host.on_death(files.pop_all().close)

    def _spawn(self, number: int) -> SimulatedWorker:
        site = self._site
        birth = Birth(
            site.config, number, self._page_fd, site.clock, site.fresh().encode(), self._stir.set,
        )  # fmt: skip
        worker = SimulatedWorker(birth, len(self.hosts) + 1)
        self.hosts.append(worker.host)
        self.workers[number : number + 1] = [worker]
        return worker

    def _published(self) -> None:
        for worker in self.workers:
            worker.wake()

    async def _rest(self) -> None:
        """Rest from looking at workers while all of them rest, and have since the look just made.

        What they do after that they say beforehand.
        """
        if self.workers and all(worker.at_rest for worker in self.workers):
            self._stir.clear()
            await self._stir.wait()
        await asyncio.sleep(LOOK_SECONDS)


class _Page(Page):
    """The shared page; says when a table was published, to workers that do not look just now."""

    published: Callable[[], None] = staticmethod(lambda: None)

    def publish(self, table: RoutingTable) -> int:
        version = super().publish(table)
        self.published()
        return version


@dataclass(frozen=True)
class _Door:
    """Where clients come in; what lets them in are the workers' own servers."""

    url: str

    def close(self) -> None:
        """The supervisor has no socket of its own."""
