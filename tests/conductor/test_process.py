"""A conductor as a process: stopped in good order, killed at any moment, always the same run."""

import random
import signal
import time

import msgspec
import pytest

from conductor.theatre import CUTOVER, Theatre, kill, until
from cutover.cli.client import Conductor
from cutover.conductor.recovery import recover
from cutover.decision.command import HoldOrder, ResumeOrder
from cutover.evidence.observation import Started, Stopped
from cutover.journal.store import Journal
from cutover.routing.table import RoutingTable
from cutover.runbook.load import load_text

DOWN_SECONDS = 1.2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_good_order(tmp_path, number):
    """Exit 0 within seconds though a gateway waits up to 20 s for a table; `Stopped` comes last."""
    with Theatre(tmp_path) as world:
        world.planes("--tee")
        child = world.conductor()
        world.gateway()
        until("a report", lambda: world.facts("GatewayReport"), tell=world.story)
        began = time.monotonic()
        child.send_signal(number)
        assert child.wait(10) == 0, world.story()
        assert time.monotonic() - began < 8
        assert world.entries()[-1].fact == Stopped("stopped by a signal")
        assert not (world.data / "conductor.json").exists()
        assert world.cli("status").returncode == 5
        assert world.is_ready(), "the gateway goes on alone"


@pytest.mark.long
def test_kill_9_at_any_moment_loses_nothing_that_was_acknowledged(tmp_path):
    """Killed while starting, while working, right after an order: the run goes on and completes."""
    chance = random.Random(20_260_223)
    with Theatre(tmp_path) as world:
        world.planes("--tee")
        for _ in range(3):  # somewhere between the first line of Python and the first entry
            child = world.start("conductor", *CUTOVER, "run", str(world.runbook),
                                "--config", str(world.config))  # fmt: skip
            time.sleep(chance.uniform(0.2, 0.9))
            kill(child)
        world.conductor()
        world.gateway()
        world.traffic()
        said = []
        for n in range(3):
            until("something new", lambda: world.stages() or world.facts("Readiness"))
            time.sleep(chance.uniform(0, 0.6))
            said.append(HoldOrder("ann", f"hold {n}"))
            Conductor(world.data).order(said[-1])
            kill(world.children["conductor"])
            assert said[-1] in [e.fact for e in world.entries()]
            time.sleep(DOWN_SECONDS if n == 1 else 0)
            world.conductor()
            Conductor(world.data).order(ResumeOrder("ann", f"go on {n}"))
        assert world.ended(90) == 0, world.story()
        _it_is_one_run(world, said)


def _it_is_one_run(world, said):
    entries = world.entries()
    facts = [entry.fact for entry in entries]
    assert [type(f).__name__ for f in facts].count("Adopted") == 1
    assert [f for f in facts if isinstance(f, HoldOrder)] == said
    starts = [e for e in entries if isinstance(e.fact, Started)]
    terms = [e.fact.term for e in starts]
    assert terms == list(range(1, len(terms) + 1))
    assert len(terms) >= 4
    assert len({e.fact.boot for e in starts}) == len(starts)
    assert world.stages() == ["shadow", "canary", "mixed", "primary"]
    assert world.clients.failed == []
    _downtime_is_not_observed(entries, starts)
    runbook = load_text(world.runbook.read_text("utf-8"), "runbook.toml")
    with Journal.open_read_only(world.data / "journal.db") as reader:
        assert recover(reader, runbook).phase == "complete"
    [kept] = world.data.parent.glob("**/table.json")
    table = msgspec.json.decode(kept.read_bytes(), type=RoutingTable)
    assert (table.term, table.leased) == (terms[-1], False), "the node goes on without a conductor"


def _downtime_is_not_observed(entries, starts):
    """The wall clock shows the gap; the run's own clock does not, and soak cannot span it."""
    gaps = []
    for start in starts[1:]:
        before = entries[start.seq - 2]
        gaps.append((start.wall_ms - before.wall_ms, start.at_ms - before.at_ms))
    longest = max(gaps)
    assert longest[0] >= DOWN_SECONDS * 1000
    assert max(observed for _, observed in gaps) < DOWN_SECONDS * 1000 / 2
    assert max(start.fact.downtime_ms for start in starts) >= DOWN_SECONDS * 1000 - 50
