"""Crash points: named once, free while disarmed, armed for rehearsals only, and never silently."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from attestation.world import policy_text, root
from conductor.theatre import CUTOVER, Theatre
from cutover import crashpoint as module
from cutover.crashpoint import (
    POINTS,
    VARIABLE,
    Plan,
    Process,
    arm,
    arm_by_environment,
    crashpoint,
    disarm,
    handed_down,
    is_armed,
    read_plan,
)
from cutover.errors import ConfigurationError
from cutover.gateway.crashing import instrumented
from cutover.gateway.exchange import Exchange, IntentExchange
from cutover.gateway.upstream import Upstream

SOURCE = Path(module.__file__).parent


@pytest.fixture(autouse=True)
def _disarmed():
    yield
    disarm()


def _named(node):
    """The names that a call of `crashpoint` may have; `_when_written` passes its own on."""
    return [n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and n.value in POINTS]


def _calls():
    """Every call of a point in the product: the file's name, and the names it is called with."""
    passing = {"crashpoint", "_when_written"}
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in passing:
                yield path.name, _named(node.args[0])


def test_every_point_is_passed_at_one_place():
    """No call without a registered name, no name without a call, and none with two."""
    calls = list(_calls())
    assert [where for where, names in calls if not names] == []
    assert sorted(name for _, names in calls for name in names) == sorted(POINTS)


def test_a_disarmed_point_does_nothing():
    """Nothing is armed by itself, and an unknown name costs nobody a run."""
    assert not is_armed()
    crashpoint("journal.commit.before")
    crashpoint("no.such.point")


def test_a_hook_hears_of_every_point_until_it_is_disarmed():
    """Names in the order of their passing; what the hook raises comes out of the point."""
    heard = []
    arm(heard.append)
    crashpoint("start.opened")
    crashpoint("stop.after")
    disarm()
    crashpoint("start.begun")
    assert heard == ["start.opened", "stop.after"]


def test_an_unknown_name_is_an_error_once_armed():
    """A typo in a call is found by the first simulation that passes it."""
    arm(lambda name: None)
    with pytest.raises(ValueError, match=r"'no\.such\.point' is no crash point"):
        crashpoint("no.such.point")


def test_two_hooks_are_one_too_many():
    """Whoever comes second would take the first one's points away."""
    arm(lambda name: None)
    with pytest.raises(RuntimeError, match="armed already"):
        arm(lambda name: None)


def test_the_passing_is_counted_from_one():
    """`NAME` alone is the first passing."""
    assert read_plan("stop.before") == Plan("stop.before", 1)
    assert read_plan("stop.before:12") == Plan("stop.before", 12)


@pytest.mark.parametrize(
    "text",
    [
        "stop", ":1", "stop.before:", "stop.before:0", "stop.before:x", "stop.before:-1",
        "stop.before:\u0661", "stop.before:1:2",
    ],
)  # fmt: skip
def test_what_names_no_passing_of_a_point_is_refused(text):
    """The message names the variable and what is expected."""
    with pytest.raises(ConfigurationError, match=f"{VARIABLE}.*"):
        arm_by_environment(Process.CONDUCTOR, "", {VARIABLE: text})
    assert not is_armed()


def test_arming_is_refused_where_it_is_no_rehearsal():
    """Whatever the variable says, even a point of another process."""
    with pytest.raises(ConfigurationError, match="phased is no rehearsal"):
        arm_by_environment(Process.CONDUCTOR, "phased is no rehearsal", {VARIABLE: "node.serving"})
    assert not is_armed()


def test_the_variable_is_taken_out_and_said_loudly(caplog):
    """Children are not armed by accident, and nobody overlooks that this process is."""
    environment = {VARIABLE: "stop.before:2", "OTHER": "1"}
    assert arm_by_environment(Process.CONDUCTOR, "", environment)
    assert environment == {"OTHER": "1"}
    assert [r.levelname for r in caplog.records] == ["CRITICAL"]
    assert "will kill itself at crash point stop.before:2" in caplog.text


def test_points_of_other_processes_arm_nothing():
    """One variable for a whole rehearsal kills the one process that it names."""
    assert not arm_by_environment(Process.CONDUCTOR, "", {VARIABLE: "node.serving"})
    assert not arm_by_environment(Process.NODE, "", {VARIABLE: "stop.before"})
    assert handed_down() is None
    assert not is_armed()


def test_a_workers_point_is_handed_to_the_first_worker_only():
    """Its successor lives, or the rehearsal would never end."""
    assert not arm_by_environment(Process.NODE, "", {VARIABLE: "worker.carry.before:3"})
    assert handed_down()[VARIABLE] == "worker.carry.before:3"
    assert handed_down() is None


def test_the_process_dies_at_the_planned_passing():
    """Not before, and by a signal that it cannot catch."""
    program = (
        "import os; from cutover.crashpoint import *\n"
        "arm_by_environment(Process.CONDUCTOR, '')\n"
        "for n in range(9):\n print(n, flush=True); crashpoint('start.begun')\n"
        " crashpoint('stop.after')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False,
        env={VARIABLE: "start.begun:3"}, timeout=60,
    )  # fmt: skip
    assert ended.returncode == -9
    assert ended.stdout.split() == ["0", "1", "2"]


def test_a_workers_methods_are_wrapped_only_inside():
    """A request that nobody wants to die pays nothing, not even a look at a name."""
    owners = ((Upstream, "carry"), (Exchange, "answered"), (IntentExchange, "settle_answer"))
    before = [getattr(owner, name) for owner, name in owners]
    with instrumented():
        inside = [getattr(owner, name) for owner, name in owners]
        assert all(new is not old for new, old in zip(inside, before, strict=True))
    assert [getattr(owner, name) for owner, name in owners] == before


def test_a_gateway_towards_other_machines_is_not_armed(tmp_path):
    """Exit 2, the planes by name, and nothing is started."""
    (tmp_path / "run").mkdir()
    token = tmp_path / "run" / "gateway.token"
    token.write_text("x" * 43)
    token.chmod(0o600)
    (tmp_path / "run" / "conductor.port").write_text("1")
    config = tmp_path / "cutover.toml"
    config.write_text(
        '[conductor]\ndata = "run"\nport = 1\n[gateway]\nkey = "client-key-0123456789"\nport = 0\n'
        '[planes.hetzner]\nurl = "http://127.0.0.1:1"\nkey = "key-of-hetzner"\n'
        '[planes.phala]\nurl = "https://phala.example"\nkey = "key-of-phala"\n'
    )
    ended = subprocess.run(
        [*CUTOVER, "gateway", "--config", str(config)], capture_output=True, text=True,
        check=False, timeout=60, env={VARIABLE: "worker.carry.before"},
    )  # fmt: skip
    assert ended.returncode == 2
    assert "phala (phala.example) are not on loopback, so this is no rehearsal" in ended.stderr


def test_a_conductor_of_a_real_run_is_not_armed(tmp_path):
    """Exit 2; not even the journal is made."""
    with Theatre(tmp_path) as world:
        tee = tmp_path / "tee"
        tee.mkdir()
        (tee / "policy.toml").write_text(policy_text())
        (tee / "root.der").write_bytes(root())
        (tee / "pccs.json").write_text('{"url": "http://127.0.0.1:3"}')
        world.write_config({"hetzner": "http://127.0.0.1:1", "phala": "https://127.0.0.1:2"})
        world.config.write_text(world.config.read_text() + "[live]\n")
        world.runbook.write_text((SOURCE.parents[3] / "runbooks" / "phased.toml").read_text())
        ended = subprocess.run(
            [*CUTOVER, "run", str(world.runbook), "--config", str(world.config)],
            capture_output=True, text=True, check=False, timeout=60, env={VARIABLE: "stop.before"},
        )  # fmt: skip
    assert ended.returncode == 2
    assert "'phased' is no rehearsal" in ended.stderr
    assert not (tmp_path / "run" / "journal.db").exists()
