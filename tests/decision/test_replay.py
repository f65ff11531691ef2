"""A journal that no conductor could have written diverges, even when its hashes are right."""

from pathlib import Path

import pytest

from cutover import __version__
from cutover.decision.ahead import next_decision
from cutover.decision.command import DisarmOrder, HoldOrder, WaiveOrder
from cutover.decision.fact import Entry, Fact
from cutover.decision.fold import apply
from cutover.decision.kinds import RollBack
from cutover.decision.replay import Divergence, replay
from cutover.decision.run import Run
from cutover.decision.stored import digest
from cutover.evidence.observation import Adopted, Snapshot, Started, Verdict
from cutover.runbook.gate import Check
from cutover.runbook.load import load_text
from cutover.simulator.checkers.watch import Watch
from cutover.simulator.conformance.runbooks import runbook_text
from cutover.simulator.conformance.world import World

RUNBOOKS = Path(__file__).parents[2] / "runbooks"
RUNBOOK = load_text(runbook_text(RUNBOOKS, "demo", {}), "demo")


def told(world: World, *facts: Fact, upto: int | None = None) -> Divergence | None:
    """What replay says of the journal with facts appended."""
    entries = list(world.entries[:upto])
    for fact in facts:
        entries.append(Entry(len(entries) + 1, entries[-1].at_ms, 0, fact))
    return replay(entries, lambda _: RUNBOOK).divergence


def begun() -> World:
    world = World(RUNBOOK, Watch())
    world.advance(3_000)
    world.order(HoldOrder("ann", "look"))
    world.advance(1_000)
    assert told(world) is None
    return world


@pytest.mark.parametrize(
    ("fact", "expected"),
    [
        (DisarmOrder("mallory", "", "attestation-lost", 10**12), "needs an actor and a reason"),
        (DisarmOrder("mallory", "x", "attestation-lost", 10**12), "at most 24 hours"),
        (WaiveOrder("mallory", "x", Check.TLS_AND_DOMAIN), "does not apply there"),
        (Started(1, "x", 0), "term 2"),
        (Started(7, "x", 0), "term 2"),
        (Snapshot(5, "00" * 32), "entry"),
    ],
)
def test_what_no_conductor_writes_diverges(fact: Fact, expected: str) -> None:
    """An order that does not apply, a term out of turn and a false digest are named."""
    world = begun()
    wrong = told(world, fact)
    assert wrong is not None
    assert wrong.seq == len(world.entries) + 1
    assert expected in wrong.expected


def test_what_a_conductor_writes_does_not() -> None:
    """A snapshot, a restart and another snapshot replay."""
    world = begun()
    world.snapshot()
    world.restart(1_000)
    world.snapshot()
    assert told(world) is None


def test_a_journal_that_ends_before_a_move_that_was_due_diverges() -> None:
    """Facts and what follows from them are written together; cutting between them shows."""
    world = World(RUNBOOK, Watch())
    assert world.until(lambda run: run.stage >= 1, 10**8)
    world.verdict = Verdict.INVALID
    world.attest()
    cut = next(i for i, e in enumerate(world.entries) if isinstance(e.fact, RollBack))
    wrong = told(world, upto=cut)
    assert wrong is not None
    assert wrong.seq == cut + 1
    assert "RollBack" in wrong.expected
    assert told(world) is None


@pytest.mark.parametrize(
    ("version", "sha256", "same"),
    [(__version__, "", True), (__version__, "00" * 32, False), ("0.0.9", "00" * 32, True)],
)
def test_the_digest_that_a_conductor_binds_is_judged(version: str, sha256: str, same: bool) -> None:
    """What this version stores must be the state; the form of another version is its own."""
    text = RUNBOOK.text
    first = Entry(1, 0, 0, Adopted("run-1", text, "", {"cutover": version}))
    run = apply(RUNBOOK, Run(id="run-1"), first)
    hold = next_decision(RUNBOOK, run, 0)
    assert hold is not None
    entries = [first, Entry(2, 0, 0, hold)]
    run = apply(RUNBOOK, run, entries[1])
    entries.append(Entry(3, 0, 0, Snapshot(2, sha256 or digest(run))))
    assert (replay(entries, lambda _: RUNBOOK).divergence is None) is same
