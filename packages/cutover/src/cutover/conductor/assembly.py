"""Puts a conductor together from its journal and what lies outside it.

Time, chance, planes, chain and log come in from outside; everything else that a conductor is made
of is made here, the same way at every start.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from cutover.clock import Clock, ObservedClock
from cutover.conductor.desk import Desk
from cutover.conductor.engine import Engine
from cutover.conductor.gatherer import Gatherer
from cutover.conductor.loop import Loop, Watcher
from cutover.conductor.nodes import Nodes
from cutover.conductor.ports import Attester, Chain, Inspector, PlaneClient, Reference
from cutover.conductor.probes import Probes
from cutover.conductor.recovery import recover
from cutover.crashpoint import crashpoint
from cutover.decision.fact import Entry, Fact
from cutover.decision.run import Run
from cutover.evidence.observation import Adopted, Started
from cutover.journal.store import Journal
from cutover.runbook.document import Runbook
from cutover.runbook.intent import Intent


@dataclass(frozen=True)
class Outside:
    """Everything that comes to a conductor from outside.

    Attributes:
        clock: the machine's clocks.
        suspended_ms: how long the machine has slept in all, milliseconds; None if it cannot sleep.
        fresh: makes an id that was never used before; a conductor has no other source of chance.
        planes: fallback first.
        attester: looks at what the candidate is.
        reference: our own connectivity; None when none is configured.
        chain: where a named transaction is looked up; None when none is configured.
        inspector: makes what carries out preconditions and post-cutover checks, from what gives the
            state of the run.
        texts: what is said to the candidate for each live intent.
        cleanse: takes secrets out of whatever comes in.
        watch: told of every batch of new entries, after they are durable.
        keys: plane name to key, to compare the nodes' key proofs with.
        versions: what executes the run.
        follow: given the state that every batch of new entries leaves, before `watch` is told.
    """

    clock: Clock
    suspended_ms: Callable[[], int] | None
    fresh: Callable[[], str]
    planes: Sequence[PlaneClient]
    attester: Attester
    reference: Reference | None
    chain: Chain | None
    inspector: Callable[[Callable[[], Run]], Inspector]
    texts: Mapping[Intent, str]
    cleanse: Callable[[Fact], Fact]
    watch: Watcher
    keys: Mapping[str, str] = field(repr=False)
    versions: Mapping[str, str]
    follow: Callable[[Run], None] = lambda _: None


@dataclass(frozen=True)
class Parts:
    """What a conductor is made of."""

    loop: Loop
    nodes: Nodes
    desk: Desk
    probes: Probes
    gatherer: Gatherer


def assemble(runbook: Runbook, journal: Journal, outside: Outside) -> Parts:
    """Recover a run from its journal, or begin it, and make what goes on with it.

    The first facts of this incarnation are in the journal when this returns.

    Raises:
        JournalError: the journal cannot be trusted, or not be written.
        ConfigurationError: the run adopted another runbook.
    """
    before = recover(journal, runbook)
    last = journal.last()
    clock = ObservedClock(outside.clock, last.at_ms if last else 0)
    engine = Engine(runbook, before, journal, clock)
    tick_ms = runbook.timing.readiness_every_ms
    watch = _watcher(engine, outside)
    loop = Loop(engine, tick_ms, watch, outside.cleanse, outside.suspended_ms)
    crashpoint("start.verified")
    loop.begin(_first_facts(runbook, journal, before, last, outside))
    crashpoint("start.begun")
    nodes = Nodes(clock, runbook.blind.after_ms, loop.submit, tuple(engine.run.nodes))
    return Parts(
        loop=loop,
        nodes=nodes,
        desk=Desk(loop, nodes, outside.keys),
        probes=_probes(runbook, loop, outside),
        gatherer=_gatherer(runbook, loop, outside),
    )


def _watcher(engine: Engine, outside: Outside) -> Watcher:
    def watch(entries: Sequence[Entry]) -> None:
        outside.follow(engine.run)
        outside.watch(entries)

    return watch


def _first_facts(
    runbook: Runbook, journal: Journal, before: Run, last: Entry | None, outside: Outside
) -> list[Adopted | Started]:
    down = max(0, outside.clock.wall_ms() - last.wall_ms) if last else 0
    started = Started(before.term + 1, outside.fresh(), down)
    if last is not None:
        return [started]
    digest = hashlib.sha256(runbook.text.encode()).hexdigest()
    return [Adopted(journal.run_id, runbook.text, digest, dict(outside.versions)), started]


def _probes(runbook: Runbook, loop: Loop, outside: Outside) -> Probes:
    return Probes(
        runbook,
        outside.planes,
        outside.attester,
        outside.reference,
        loop.submit,
        lambda name: loop.engine.run.plane(name).identity,
    )


def _gatherer(runbook: Runbook, loop: Loop, outside: Outside) -> Gatherer:
    return Gatherer(
        runbook,
        loop,
        next(plane for plane in outside.planes if plane.name == runbook.candidate),
        outside.texts,
        outside.chain,
        outside.inspector(lambda: loop.engine.run),
        outside.attester,
        outside.clock.wall_ms,
    )
