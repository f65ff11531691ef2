"""The supervisor of a gateway node: subscribes, adopts, keeps the workers, reports.

It owns nothing on the way of a request. Without a conductor the node goes on alone with the last
table, which it also finds on disk after a restart; but payments to the candidate it lets through
only for as long as the conductor's last word allows, unless the table says that the run is over.
"""

import asyncio
import logging
import os
import secrets
import signal
from dataclasses import replace
from functools import partial
from typing import Final

from cutover.clock import ElapsedClock
from cutover.crashpoint import crashpoint
from cutover.errors import ConfigurationError
from cutover.evidence.wire import REFUSED_CHARS_MAX, Grant, NodeReport, key_proof
from cutover.gateway.adoption import Adopt, Ignore, Refuse, judge, raises
from cutover.gateway.config import GatewayConfig
from cutover.gateway.crashing import arm_node
from cutover.gateway.crew import Crew
from cutover.gateway.descriptors import fitting, raise_limit
from cutover.gateway.keeper import Keeper
from cutover.gateway.launch import Launcher
from cutover.gateway.link import Link, LinkError
from cutover.gateway.listen import Doors, listen
from cutover.gateway.page import MONEY_UNTIL, Page
from cutover.gateway.ports import Outside
from cutover.gateway.store import Store
from cutover.gateway.totals import Totals
from cutover.routing.table import RoutingTable

LOOK_SECONDS: Final = 0.05
BACKOFF_FIRST_SECONDS: Final = 0.1
BACKOFF_MAX_SECONDS: Final = 2.0
FINAL_REPORT_SECONDS: Final = 2.0
STOP_GRACE_SECONDS: Final = 1.0
VERSIONS_KEPT: Final = 64
KEEP_SECONDS: Final = 0.5
"""For a table that raises a share to be on disk; then it comes into force all the same."""

log = logging.getLogger("cutover.gateway.node")


def run(config: GatewayConfig) -> int:
    """Run a node until SIGTERM or SIGINT; blocks. Returns the exit code.

    Raises:
        ConfigurationError: it cannot be started as configured; nothing is left running.
    """
    for noisy in ("httpx", "httpcore"):  # a line for every poll and report says nothing
        logging.getLogger(noisy).setLevel(logging.WARNING)
    config = config.checked()
    arm_node(config)
    config = replace(config, limits=fitting(config.limits, raise_limit()))
    store = Store(config.state_dir)
    try:
        table = first_table(store, config)
        door = Doors(listen(config.host, config.port, config.workers))
        try:
            asyncio.run(_run(config, store, door, table))
        finally:
            door.close()
    finally:
        store.close()
    return 0


async def _run(
    config: GatewayConfig, store: Store, door: Doors, table: RoutingTable | None
) -> None:
    page, page_fd = Page.create(config.state_dir / "page.bin", config.workers)
    try:
        outside = Outside(
            link=Link(config.conductor_url, config.gateway_token),
            keeper=Keeper(),
            clock=ElapsedClock(),
            fresh=partial(secrets.token_hex, 8),
            door=door,
            spawn=Launcher(config, door.listeners, page_fd),
            rest=partial(asyncio.sleep, LOOK_SECONDS),
        )
        node = Node(config, store, page, table, outside)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, node.stop)
        await node.main()
    finally:
        os.close(page_fd)


def first_table(store: Store, config: GatewayConfig) -> RoutingTable | None:
    """The table that a node starts with: the last one it had, None if it never had one.

    Raises:
        ConfigurationError: it is damaged, or belongs to other planes.
    """
    table = store.table()
    if table is not None:
        verdict = judge(None, table, config.planes)
        if isinstance(verdict, Refuse):
            raise ConfigurationError(
                f"the table in {store.directory} does not fit: {verdict.reason}; use the "
                "configuration it was made for, or another state directory"
            )
    return table


class Node:
    """One node's supervisor.

    Args:
        config: checked.
        store: its state directory.
        page: shared with the workers that `outside` spawns.
        table: to start with, as `first_table` found it.
        outside: the world around it.
    """

    def __init__(
        self, config: GatewayConfig, store: Store, page: Page, table: RoutingTable | None,
        outside: Outside,
    ) -> None:  # fmt: skip
        self._config = config
        self._store = store
        self._page = page
        self._link, self._keeper = outside.link, outside.keeper
        self._door, self._rest = outside.door, outside.rest
        self._fresh = outside.fresh
        self._totals = Totals(sorted(config.planes))
        self._clock = outside.clock
        self._crew = Crew(page, self._totals, outside.clock, outside.spawn)
        self._boot = self._fresh()
        self._in_force: RoutingTable | None = None
        self._generation_of = {0: 0}  # by version of the page
        self._refused: tuple[int, str] = (0, "")
        self._report_now = asyncio.Event()
        self._stop = asyncio.Event()
        if table is not None:
            self._put_in_force(table)
            log.info("table %s from the disk is in force: %s", table.generation, table.stage)

    @property
    def in_force(self) -> RoutingTable | None:
        """The table that the workers go by; None if there never was one."""
        return self._in_force

    def stop(self) -> None:
        """Let `main` come to its end."""
        self._stop.set()

    async def main(self) -> None:
        """Serve until told to stop."""
        try:
            self._crew.start()
            crashpoint("node.serving")
            address = self._door.url
            self._store.keep_address(address, self._boot)
            name, workers = self._config.node, self._config.workers
            log.info("%s serves at %s with %s workers", name, address, workers)
            await self._serve()
            await self._wind_up()
        finally:
            self._crew.kill()
            self._keeper.close()
            self._store.drop_address()
            await self._link.close()

    async def _serve(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(self._look()),
                tasks.create_task(self._subscribe()),
                tasks.create_task(self._report()),
            ]
            await self._stop.wait()
            for task in running:
                task.cancel()

    async def _wind_up(self) -> None:
        """Refuse new connections, let the workers finish, say the last counts."""
        self._door.close()
        self._crew.tell_to_stop()
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self._config.stop_seconds() + STOP_GRACE_SECONDS
        # ASYNC110: processes have no event to await
        while not self._crew.gone() and loop.time() < give_up:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_SECONDS)
        self._crew.kill()
        self._crew.write_off()
        try:
            async with asyncio.timeout(FINAL_REPORT_SECONDS):
                while not await self._deliver():
                    pass
        except (LinkError, TimeoutError) as error:
            said = str(error) or f"no answer in {FINAL_REPORT_SECONDS:g} s"
            log.warning("the last report was not delivered: %s", said)

    # looking at the workers

    async def _look(self) -> None:
        adopted = 0
        while True:
            self._crew.check()
            urgent = self._crew.harvest()
            now = self._crew.adopted()
            if urgent or now != adopted:
                adopted = now
                self._report_now.set()
            await self._rest()

    # tables

    async def _subscribe(self) -> None:
        backoff, away = BACKOFF_FIRST_SECONDS, False
        while True:
            try:
                useful = await self._next_table()
            except LinkError as error:
                if not away:
                    log.warning("%s; going on with what is in force", error)
                away = True
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, BACKOFF_MAX_SECONDS)
                continue
            if away:
                log.info("the conductor is back")
            away = False
            if useful:
                backoff = BACKOFF_FIRST_SECONDS
            else:  # the same table would come again at once
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, BACKOFF_MAX_SECONDS)

    async def _next_table(self) -> bool:
        """Ask once; returns False when the offered table was of no use."""
        offered = await self._link.newer_table(self._config.node, self._in_force)
        if offered is None:
            self._agree()
            return True
        return await self._offer(offered)

    def _agree(self) -> None:
        """The conductor has no other table than ours: what was refused before was not of this one.

        A conductor that was replaced and does not know it yet may offer its table once more; that
        it was refused must not be held against the one that leads.
        """
        if self._refused[0]:
            self._refused = (0, "")
            self._report_now.set()

    async def _offer(self, offered: RoutingTable) -> bool:
        match judge(self._in_force, offered, self._config.planes, self._config.accept_run):
            case Adopt(fresh_run):
                await self._adopt(offered, fresh_run)
                return True
            case Ignore():
                return False
            case Refuse(reason):
                if self._refused != (offered.generation, reason):
                    log.error("a table was refused: %s", reason)
                    self._refused = (offered.generation, reason)
                    self._report_now.set()
                return False

    async def _adopt(self, table: RoutingTable, fresh_run: bool) -> None:
        """Put a table in force; one that raises no share does not wait for the disk.

        If the node dies in between, it starts with the table before and is offered this one again.
        """
        kept = self._keeper.keep("table", partial(self._store.keep_table, table))
        if raises(self._in_force, table):
            await asyncio.wait([kept], timeout=KEEP_SECONDS)
        if fresh_run:
            self._begin_run()
        self._put_in_force(table)
        log.info("table %s of term %s is in force: %s", table.generation, table.term, table.stage)

    def _put_in_force(self, table: RoutingTable) -> None:
        self._crew.harvest()  # before a slot is used anew
        self._crew.harvest_conversations()
        crashpoint("node.publish.before")
        version = self._page.publish(table)
        crashpoint("node.publish.after")
        self._totals.open(version, table.generation)
        self._generation_of[version] = table.generation
        self._generation_of.pop(version - VERSIONS_KEPT, None)
        self._in_force = table
        self._refused = (0, "")

    def _begin_run(self) -> None:
        """Counts of the run before must not be taken for the next one's: be another boot."""
        self._crew.harvest()
        self._page.words[MONEY_UNTIL] = 0  # what it was given was given by the run before
        self._totals.restart()
        self._generation_of = {0: 0}
        self._boot, url = self._fresh(), self._door.url
        self._keeper.keep("address", partial(self._store.keep_address, url, self._boot))

    # reports

    async def _report(self) -> None:
        pace, backoff = self._config.report_every_ms / 1000, BACKOFF_FIRST_SECONDS
        while True:
            try:
                async with asyncio.timeout(pace):
                    await self._report_now.wait()
            except TimeoutError:
                pass  # nothing urgent: it is time anyway
            self._report_now.clear()
            try:
                if not await self._deliver():
                    self._report_now.set()
                backoff = BACKOFF_FIRST_SECONDS
            except LinkError as error:
                log.debug("%s; its numbers are in the next one", error)
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, BACKOFF_MAX_SECONDS)

    async def _deliver(self) -> bool:
        """Report once; returns whether everything there was to say is said."""
        # In this order a request is in one of them: sent before the table came into force, it is
        # in flight; ended before that was looked at, it is counted.
        generation = self._generation_of.get(self._crew.adopted(), 0)
        in_flight, money_in_flight = self._crew.in_flight(), self._crew.money_in_flight()
        self._crew.harvest()
        self._crew.harvest_conversations()
        unsaid = self._totals.unsaid()
        table, boot = self._in_force, self._boot
        report = NodeReport(
            node=self._config.node,
            boot=boot,
            term=table.term if table else 0,
            generation=generation,
            refused_generation=self._refused[0],
            refused=self._refused[1][:REFUSED_CHARS_MAX],
            in_flight=in_flight,
            money_in_flight=money_in_flight,
            lost=self._totals.lost,
            counts=tuple(unsaid.counts()),
            conversations=tuple(unsaid.conversations()),
            key_proofs={
                name: key_proof(end.key, boot) for name, end in self._config.planes.items()
            },
        )
        crashpoint("node.report.before")
        sent_ms = self._clock.monotonic_ms()
        grant = await self._link.report(report)
        crashpoint("node.report.answered")
        if boot == self._boot:
            self._totals.acknowledge(unsaid)
            self._lease(grant, sent_ms)
        crashpoint("node.report.after")
        return unsaid.whole

    def _lease(self, grant: Grant, sent_ms: int) -> None:
        """Let payments go to the candidate for as long as the newest word allows, and no longer.

        It is counted from the moment of asking, so that what the way took is in it. Only the
        conductor of the table's own run has a say, and no replaced one.
        """
        table = self._in_force
        if table is not None and grant.run == table.run and grant.term >= table.term:
            self._page.words[MONEY_UNTIL] = sent_ms + grant.money_ms
