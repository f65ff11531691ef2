"""A whole simulation: what a healthy one shows, and that a seed is all that decides."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cutover import crashpoint
from cutover.decision.run import Phase
from cutover.errors import ConfigurationError
from cutover.simulator import play
from cutover.simulator.faults import Fault, Kind
from cutover.simulator.play import DEFECT, HANG, LIVENESS, simulate
from cutover.simulator.trace import LINES_KEPT
from cutover.simulator.world.clients import Clients
from cutover.simulator.world.operators import Operators
from cutover.simulator.world.plane import Plane
from cutover.simulator.world.world import World
from simulator.paths import swift

STAGES = ["shadow", "canary", "mixed", "primary"]
SEED = 11
STORM = (
    Fault(Kind.CRASH_AT, 900, where="conductor", detail="journal.commit.after"),
    Fault(Kind.LOSE, 3000, 2000, "conductor~gateway-1", "50"),
    Fault(Kind.TORN_WRITE, 6000),
    Fault(Kind.PAUSE, 9000, 1200, "gateway-2"),
    Fault(Kind.CRASH_AT, 10_000, where="gateway-1", detail="worker.carry.after"),
    Fault(Kind.TAKEOVER, 12_000, 2500),
    Fault(Kind.HALVE, 13_000, 1500, "gateway-1~hetzner", "30"),
    Fault(Kind.REDEPLOY, 16_000, 800, "phala"),
)


@pytest.fixture(scope="module")
def healthy():
    file = io.BytesIO()
    verdict = simulate(swift(), 1, (), output=file)
    return verdict, [json.loads(line) for line in file.getvalue().splitlines()]


@pytest.fixture(scope="module")
def stormy():
    return simulate(swift(), SEED, STORM, until="mixed")


def facts(trace):
    return [detail[2] for _, _, what, detail in trace if what == "records"]


def test_a_healthy_run_completes_and_loses_no_request(healthy):
    """With no fault there is no excuse for any."""
    verdict, _ = healthy
    assert (verdict.line, verdict.text, verdict.phase) == (0, "", Phase.COMPLETE)
    assert verdict.excused == 0
    assert verdict.requests > 250
    assert verdict.last == ()


def test_a_healthy_run_opens_all_four_stages_in_order(healthy):
    """Each by a decision of its own; `pay` is unlocked in between."""
    verdict, trace = healthy
    opened = [fact["stage"] for fact in facts(trace) if fact["type"] == "OpenStage"]
    assert opened == STAGES
    assert verdict.moves["UnlockIntent"] == 1
    assert verdict.moves["Complete"] == 1
    assert not {"RollBack", "AbortRun", "CloseMoney"} & set(verdict.moves)


def test_the_trace_has_the_whole_journal_and_its_times_never_go_back(healthy):
    """Numbers without a gap, observed times in order."""
    verdict, trace = healthy
    numbers = [detail[0] for _, _, what, detail in trace if what == "records"]
    assert numbers == list(range(1, verdict.entries + 1))
    times = [at for at, *_ in trace]
    assert times == sorted(times)


def test_nothing_is_left_behind(healthy):
    """No crash point stays armed for who comes next."""
    assert healthy
    assert not crashpoint.is_armed()


def test_the_same_seed_gives_the_same_trace_twice(stormy, healthy):
    """In one process, whatever ran in between; another seed gives another."""
    assert simulate(swift(), SEED, STORM, until="mixed") == stormy
    assert simulate(swift(), 2, (), until="shadow") != simulate(swift(), 3, (), until="shadow")
    assert stormy.line == healthy[0].line == 0
    assert stormy.excused > 0
    assert stormy.moves["Started"] > 3


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
from cutover.simulator.play import simulate
from simulator.paths import swift
from simulator.test_play import SEED, STORM
print(simulate(swift(), SEED, STORM, until="mixed").digest)
"""


def test_another_process_with_another_hash_seed_gives_the_same_trace(stormy):
    """Nothing depends on the order of a set, on addresses or on the machine's clock."""
    for hash_seed in ("1", "2"):
        said = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(Path(__file__).parents[1])],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "TZ": "Asia/Tokyo"},
            capture_output=True, text=True, check=True, timeout=120,
        )  # fmt: skip
        assert said.stdout.strip() == stormy.digest


def test_writing_a_trace_changes_nothing():
    """Its digest is that of the run without one."""
    written = simulate(swift(), 1, (), output=io.BytesIO(), until="shadow")
    assert simulate(swift(), 1, (), until="shadow") == written


@pytest.mark.parametrize("until", ["shadow", "mixed", "running"])
def test_until_ends_at_the_stage_or_phase(until, healthy):
    """Before the rest is played, and nothing is held against it."""
    verdict = simulate(swift(), 1, (), until=until)
    assert verdict.line == 0
    assert verdict.phase == Phase.RUNNING
    assert verdict.entries < healthy[0].entries
    assert verdict.moves["OpenStage"] == {"mixed": 3}.get(until, 1)


def test_a_place_that_the_world_has_not_got_is_refused():
    """Before anything happens."""
    with pytest.raises(ConfigurationError, match="gateway-9"):
        simulate(swift(), 1, (Fault(Kind.CRASH, 1000, 1000, "gateway-9"),))


# what a simulation finds


def test_a_run_that_never_ends_is_found(monkeypatch):
    """Liveness: here nobody puts right what a person has to."""

    async def attend(self):
        await self._network.loop.create_future()

    monkeypatch.setattr(Operators, "attend", attend)
    monkeypatch.setattr(play, "LIVELY_SECONDS", 45.0)
    verdict = simulate(swift(), 1, (Fault(Kind.ORDER, 5000, detail="hold"),))
    assert verdict.line == LIVENESS
    assert "45 s after the last fault" in verdict.text
    assert len(verdict.last) == LINES_KEPT


def test_an_exception_where_there_must_be_none_is_found(monkeypatch):
    """Wherever it was raised, and though everything else goes well."""
    ask = Clients.ask

    def broken(self):
        if len(self.asked) == 3:
            self._loop.call_soon(lambda: 1 // 0)
        return ask(self)

    monkeypatch.setattr(Clients, "ask", broken)
    verdict = simulate(swift(), 1, (), until="shadow")
    assert verdict.line == DEFECT
    assert "ZeroDivisionError" in verdict.text


def test_a_lost_request_is_found(monkeypatch):
    """A plane that answers clients with an error, and no fault to excuse it."""
    process = Plane._process

    async def broken(self, headers, body):
        if headers.get("idempotency-key") == "client-2":
            return 500, b"{}"
        return await process(self, headers, body)

    monkeypatch.setattr(Plane, "_process", broken)
    verdict = simulate(swift(), 1, (), until="shadow")
    assert verdict.line == 7
    assert verdict.text.startswith("request 2 (pay, ")


def test_a_hang_is_found(monkeypatch):
    """With the tasks that wait."""

    async def acts(world, *_):
        await world.loop.create_future()

    monkeypatch.setattr(World, "start", lambda _: None)
    monkeypatch.setattr(play, "_acts", acts)
    verdict = simulate(swift(), 1, ())
    assert verdict.line == HANG
    assert "acts (test_play.py:" in verdict.text
