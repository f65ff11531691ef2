"""One world: planes, conductors, gateway nodes, clients, operators, and what is between them."""

from collections.abc import Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random  # noqa: TID251 - the type and the generator; the seed is passed in
from typing import Any, Final, NoReturn

from cutover import crashpoint
from cutover.conductor.assembly import Outside
from cutover.conductor.cleanse import Cleanser
from cutover.conductor.config import GatewayAccess
from cutover.conductor.pin import Pin
from cutover.conductor.plane_client import HttpPlane
from cutover.conductor.ports import PlaneClient
from cutover.decision.fact import Entry
from cutover.decision.run import Run
from cutover.decision.step import pins
from cutover.gateway.config import GatewayConfig, Limits, PlaneEndpoint
from cutover.runbook.document import Runbook
from cutover.runbook.intent import Intent
from cutover.simulator.faults import Fault, Kind
from cutover.simulator.kernel.clock import SimulatedClock
from cutover.simulator.kernel.host import HOST, Killed
from cutover.simulator.kernel.loop import SimulationLoop
from cutover.simulator.kernel.network import OUTSIDE, Network
from cutover.simulator.kernel.weather import ANYWHERE, Weather
from cutover.simulator.trace import Trace
from cutover.simulator.world.chain import SimulatedChain
from cutover.simulator.world.clients import Clients
from cutover.simulator.world.conductor import ConductorProcess, Site
from cutover.simulator.world.disk import Disk, DiskJournal
from cutover.simulator.world.http import client
from cutover.simulator.world.inspector import PAY, SimulatedInspector
from cutover.simulator.world.link import SimulatedLink
from cutover.simulator.world.node import NodeProcess
from cutover.simulator.world.operators import Operators
from cutover.simulator.world.pinned import PinnedPlane
from cutover.simulator.world.plane import Plane, Secrets
from cutover.simulator.world.port import PortPlane
from cutover.simulator.world.reference import SimulatedReference
from cutover.simulator.world.tee import SimulatedTee

TEXTS: Final = {
    Intent.ANALYZE: "analyze acme/tool",
    Intent.CREATE: "create acme/tool",
    Intent.PAY: PAY,
}
NODES: Final = ("gateway-1", "gateway-2")
CONDUCTORS: Final = ("conductor", "standby")
RECOVERED_MS: Final = 2_000
"""After which a process that died is there again, whoever had to start it."""
CLIENT_KEY: Final = "secret-of-a-simulated-client"
WEBHOOK_SECRET: Final = "secret-of-a-simulated-webhook"  # noqa: S105 - a simulated one


@dataclass(frozen=True)
class Habits:
    """How a world is, apart from its faults.

    Attributes:
        nodes: gateway nodes.
        request_every_ms: mean time between two clients' requests.
        report_every_ms: pace of a node's reports.
        attend_every_ms: how often a person looks whether something has to be put right.
        idle_ms: after which a node lets go of a plane's connection that nobody used.
        wire: whether the conductor asks the planes in bytes of HTTP; otherwise at its own port.
    """

    nodes: int = 2
    request_every_ms: int = 100
    report_every_ms: int = 1_000
    attend_every_ms: int = 2_000
    idle_ms: int = 3_000
    wire: bool = True


class Watch:
    """Who looks on; by default nobody. A checker takes the place of this."""

    def recorded(self, who: str, entries: Sequence[Entry]) -> None:
        """Entries are durable."""

    def submitted(self, plane: str, key: str, text: str) -> None:
        """A plane was asked to execute something."""

    def reported(self, node: str, boot: str, term: int, generation: int) -> None:
        """A node said what is in force."""

    def faulty(self, fault: Fault, *, begins: bool) -> None:
        """A fault begins or ends."""

    def overheard(self, data: bytes) -> None:
        """A person in the middle was told something."""


class World:
    """Everything of one simulation.

    Args:
        loop: its loop.
        runbook: that is executed.
        seed: of all chance in it.
        folder: a real, empty directory for its disks.
        trace: told of what happens.
        habits: how it is.
        watch: who looks on.
    """

    def __init__(
        self, loop: SimulationLoop, runbook: Runbook, seed: int, folder: Path, trace: Trace,
        habits: Habits, watch: Watch,
    ) -> None:  # fmt: skip
        self.loop, self.runbook, self.trace, self.watch = loop, runbook, trace, watch
        self.habits = habits
        self._seed = seed
        self.clock = SimulatedClock(loop)
        self.network = loop.network = Network(loop, Weather(self.chance("weather")))
        self.chain = SimulatedChain(self.clock)
        self.reference = SimulatedReference()
        self.planes = {name: self._plane(name) for name in runbook.planes}
        candidate = self.planes[runbook.candidate]
        self.network.keys[candidate.name] = candidate.spki
        self.tee = SimulatedTee(
            self.network, candidate, loop.now_ms, runbook.timing.attestation_every_ms
        )
        self.disk = Disk(folder, self.chance("disk"))
        site = Site(runbook, self.disk, self._outside, self._opened, self._recorded, self.say)
        self.conductors = [ConductorProcess(site, name) for name in CONDUCTORS]
        self.nodes = [self._node(name, folder, habits) for name in NODES[: habits.nodes]]
        names = [node.name for node in self.nodes]
        every = habits.request_every_ms
        self.clients = Clients(loop, names, CLIENT_KEY, self.chance("clients"), every)
        self._ids = {name: self.fresh(name) for name in CONDUCTORS}
        attend_s = habits.attend_every_ms / 1000
        self.operators = Operators(self.network, self.conductors, runbook, self.say, attend_s)
        self._http, self._wire = client(loop), habits.wire
        self._crash_at: dict[tuple[str, str], int] = {}
        self._writer, self._seq = "", 0

    def chance(self, whose: str) -> Random:
        """A source of chance of its own, so that one part's use changes no other's."""
        return Random(f"{self._seed}/{whose}")  # noqa: S311 - a simulation must repeat itself

    def fresh(self, whose: str) -> Callable[[], str]:
        """Makes ids, never the same twice."""
        chance = self.chance(f"ids of {whose}")
        return lambda: f"{chance.getrandbits(64):016x}"

    # who is in it

    def start(self) -> None:
        """Start what runs from the beginning."""
        crashpoint.arm(self._passed)
        for plane in self.planes.values():
            plane.start()
        self.conductors[0].start()
        for node in self.nodes:
            node.start()

    def places(self) -> list[str]:
        """Names that a schedule may use."""
        return [*self._processes(), *self.planes, OUTSIDE, ANYWHERE]

    def process(self, name: str) -> "ConductorProcess | NodeProcess":
        """A process by its name.

        Raises:
            KeyError: there is none of that name.
        """
        return self._processes()[name]

    def _processes(self) -> "dict[str, ConductorProcess | NodeProcess]":
        found: dict[str, ConductorProcess | NodeProcess] = {}
        found.update({one.name: one for one in self.conductors})
        found.update({one.name: one for one in self.nodes})
        return found

    def states(self) -> list[Run]:
        """What the conductors that still run know."""
        running = [one for one in self.conductors if one.host is not None]
        return [one.parts.loop.engine.run for one in running if one.parts is not None]

    def bury(self) -> None:
        """End everything."""
        crashpoint.disarm()
        for process in self._processes().values():
            process.bury()
        for plane in self.planes.values():
            plane.bury()

    # what happens

    def say(self, who: str, what: str, detail: Any = None) -> None:
        """Add a line to the trace."""
        self.trace.say(round(self.loop.time() * 1_000_000), who, what, detail)

    def faulty(self, fault: Fault, *, begins: bool) -> None:
        """A fault begins or ends."""
        self.watch.faulty(fault, begins=begins)

    def crash_at(self, where: str, point: str) -> None:
        """Let a process die at the next passing of a crash point."""
        self._crash_at[where, point] = 1

    def die(self, name: str) -> NoReturn:
        """Kill a process from within: whatever called this goes no further.

        Raises:
            Killed: always.
        """
        process, host = self.process(name), HOST.get()
        fault = Fault(Kind.CRASH, self.loop.now_ms(), RECOVERED_MS, name)
        Context().run(self._down, fault)
        if host is None or host is process.host:
            process.crash()
        else:
            self.say(name, "a worker crashes")
            host.kill()  # its supervisor replaces it
        raise Killed(name)

    def _down(self, fault: Fault) -> None:
        """From now on, for as long as it takes to be there again, a process is down."""
        self.faulty(fault, begins=True)
        end = partial(self.faulty, fault, begins=False)
        self.loop.call_later(fault.lasts_ms / 1000, end)

    def limit_disk(self) -> None:
        """Tell whoever writes the journal how the disk is now."""
        for one in self.conductors:
            if one.journal is not None:
                self.disk.limit(one.journal)

    def _passed(self, point: str) -> None:
        host = HOST.get()
        if host is not None and self._crash_at.pop((host.name, point), 0):
            self.die(host.name)

    def _opened(self, journal: DiskJournal) -> None:
        """Hear of what a process made durable and did not live to tell."""
        self._recorded(self._writer, list(journal.entries(self._seq)))

    def _recorded(self, who: str, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        self._writer, self._seq = who, entries[-1].seq
        for entry in entries:
            self.say(who, "records", [entry.seq, entry.at_ms, entry.fact])
        self.watch.recorded(who, entries)

    # how it is made

    def _plane(self, name: str) -> Plane:
        shared = Secrets(_key(name), WEBHOOK_SECRET)
        chance, wall_ms = self.chance(name), self.clock.wall_ms
        plane = Plane(self.loop, name, shared, self.chain, chance, wall_ms)
        plane.told = lambda key, text: self.watch.submitted(name, key, text)
        return plane

    def _node(self, name: str, folder: Path, habits: Habits) -> NodeProcess:
        config = GatewayConfig(
            node=name, host=name, port=80, workers=1, client_keys=(CLIENT_KEY,),
            planes={p: PlaneEndpoint(self._url(p), _key(p)) for p in self.planes},
            conductor_url="http://conductor", gateway_token="none",  # noqa: S106 - the link is simulated
            state_dir=folder / name, report_every_ms=habits.report_every_ms, loop="asyncio",
            limits=Limits(idle_seconds=habits.idle_ms / 1000),
        )  # fmt: skip
        chance = self.chance(f"link of {name}")

        def link() -> SimulatedLink:
            return SimulatedLink(self.network, self.conductors, chance, self.watch.reported)

        return NodeProcess(config, link, self.clock, self.fresh(name), self.say)

    def _url(self, plane: str) -> str:
        """Where nodes reach a plane: the candidate over TLS, since it must prove its key."""
        scheme = "https" if plane == self.runbook.candidate else "http"
        return f"{scheme}://{plane}:80"

    def _asked(self, name: str, key: str, pin: Pin) -> PlaneClient:
        """How a conductor asks a plane."""
        client: PlaneClient = PortPlane(self.planes[name], key, self.network)
        if self._wire:
            client = HttpPlane(name, f"http://{name}:80", key, self._http)
        if name == self.runbook.candidate and pins(self.runbook):
            return PinnedPlane(client, pin, self.network)
        return client

    def _outside(self, name: str) -> Outside:
        keys = {plane: _key(plane) for plane in self.planes}
        access = GatewayAccess(f"http://{self.nodes[0].name}:80", CLIENT_KEY, WEBHOOK_SECRET)
        pin = Pin()
        return Outside(
            clock=self.clock,
            suspended_ms=None,
            fresh=self._ids[name],
            planes=[self._asked(plane, key, pin) for plane, key in keys.items()],
            attester=self.tee,
            reference=self.reference,
            chain=self.chain,
            inspector=lambda run: SimulatedInspector(
                self.runbook, run, list(self.planes.values()), access, self._http, self.chain,
                self.clock.wall_ms,
            ),
            texts=TEXTS,
            cleanse=Cleanser({f"planes.{name}": key for name, key in keys.items()}),
            watch=lambda _: None,
            follow=lambda run: pin.hold(run.plane(self.runbook.candidate).tls_spki),
            keys=keys,
            versions={"simulator": "1"},
        )  # fmt: skip


def secrets(runbook: Runbook) -> list[str]:
    """What must be found nowhere."""
    return [CLIENT_KEY, WEBHOOK_SECRET, *(_key(plane) for plane in runbook.planes)]


def _key(plane: str) -> str:
    return f"secret-key-of-simulated-{plane}"
