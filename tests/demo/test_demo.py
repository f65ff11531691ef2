"""The demo as a new user runs it: real processes, real sockets, real clients."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cutover.attestation.recheck import Recheck
from cutover.demo.faults import FAULTS
from cutover.journal import archive
from cutover.journal.log import verify_log
from cutover.journal.redecide import redecide

ROOT = Path(__file__).parents[2]
SECONDS_MAX = 240
README = ROOT / "README.md"
MARK = "transcript: demo -->"


def transcript_of(text: str) -> set[str]:
    """The words of the lines that every demo prints: stages, unlocks and the names of gates."""
    lines = [line.partition("s  ")[2] for line in text.splitlines()]
    said = [line for line in lines if re.match(r"stage |\w+ is unlocked|    \w+: ", line)]
    return {re.sub(r"\d+", "N", re.match(r"(    \w+|[^(]+)", line)[0]).strip() for line in said}


def play(folder: Path, *arguments: str) -> tuple[int, dict, str]:
    command = [sys.executable, "-m", "cutover", "demo", "--headless", "--json"]
    done = subprocess.run(
        [*command, "--folder", str(folder), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert done.stdout, done.stderr[-3000:]
    return done.returncode, json.loads(done.stdout.splitlines()[-1]), done.stderr


@pytest.mark.long
def test_traffic_moves_to_the_candidate_and_no_request_fails(tmp_path):
    """Without a fault the run completes, clients are answered well, and the archive verifies."""
    code, result, log = play(tmp_path / "world")
    assert (code, result["result"], result["problems"]) == (0, "complete", []), log[-3000:]
    assert [stage["name"] for stage in result["stages"]] == ["shadow", "canary", "mixed", "primary"]
    assert result["requests"]["failed"] == 0
    assert result["requests"]["total"] > 300
    assert result["observed_split"] == {"analyze": 1.0, "create": 1.0, "pay": 1.0}
    assert result["weak"] is False, "every verdict rested on a quote"
    assert result["marks"] == ["TEST ROOT", "TRUST ON FIRST USE"]
    for stage in result["stages"][1:]:
        assert {"readiness", "dependency", "live_intents", "attestation"} <= set(stage["gates"])
    assert transcript_of(log) >= transcript_of(README.read_text().split(MARK)[1]), "README is old"
    assert verify_log(Path(result["journal"])).ok
    assert archive.verify(Path(result["archive"]), redecide=redecide, recheck=Recheck()) == []


@pytest.mark.long
def test_a_fault_ends_as_the_runbook_says(tmp_path):
    """One rollback in every test run; `make soak` plays all faults, tests/crash has the crashes."""
    judge(tmp_path, "canary-fails")


@pytest.mark.soak
@pytest.mark.parametrize("name", sorted(FAULTS))
def test_every_fault_ends_as_the_runbook_says(tmp_path, name):
    """Each fault ends with its result, by its rule, and within its bound of failed requests."""
    judge(tmp_path, name)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--fault", "nonsense"], "no fault 'nonsense'"),
        (["--folder", "/proc/nowhere"], "cannot be made"),
        (["--runbook", "nowhere.toml"], "cannot be read"),
        (["--runbook", "runbooks/phased.toml"], "is no rehearsal"),
    ],
)
def test_what_cannot_be_played_is_said_at_once(words, said):
    """A message and code 2; nothing is started and no folder is left."""
    before = set((ROOT / ".cutover").glob("*"))
    done = subprocess.run(
        [sys.executable, "-m", "cutover", "demo", *words],
        cwd=ROOT, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert set((ROOT / ".cutover").glob("*")) == before


def judge(folder: Path, name: str) -> None:
    code, result, log = play(folder / "world", "--fault", name)
    fault = FAULTS[name]
    assert (code, result["problems"]) == (0, []), log[-3000:]
    assert result["result"] == fault.result
    assert result["rule"] == fault.rule
    if fault.result == "rolled_back":
        assert result["seconds_to_all_back"] > 0
    assert verify_log(Path(result["journal"])).ok
