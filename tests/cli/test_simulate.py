"""`cutover simulate`: exit codes, what it prints, and what it refuses before anything is played."""

import hashlib
import json
from pathlib import Path

import pytest

from cutover.simulator.faults import Fault, Kind, document, read

ROOT = Path(__file__).parents[2]
SWIFT = ROOT / "runbooks/swift.toml"
EARLY = ("--until", "shadow")
VERDICT = {
    "seed", "line", "text", "phase", "entries", "requests", "excused", "moves", "simulated_ms",
    "digest", "last",
}  # fmt: skip
TALLY = {"runs", "failed", "phases", "faults", "moves", "requests", "excused", "simulated_ms"}


@pytest.fixture
def storm(tmp_path):
    """Writes a file of faults."""

    def write(text):
        path = tmp_path / "storm.toml"
        path.write_text(text if isinstance(text, str) else document(text, 5), "utf-8")
        return path

    return write


def test_a_healthy_run_exits_0_and_says_how_it_ended(cutover):
    """One line, with the trace's digest."""
    said = cutover("simulate", SWIFT, "--faults", "none", *EARLY)
    assert said.code == 0, said.all
    assert "seed 0: running after" in said.out
    assert "(0 lost to faults), trace " in said.out


def test_the_faults_of_a_seed_are_named(cutover):
    """As lines that a file of faults could hold; the same seed, the same words."""
    once, twice = (cutover("simulate", SWIFT, "--seed", 4, *EARLY) for _ in range(2))
    assert once.code == 0, once.all
    assert once.out == twice.out
    named = [line.removeprefix("fault ") for line in once.out.splitlines() if "what = " in line]
    assert len(named) >= 3
    read("faults = [" + ", ".join(named) + "]", "named")


def test_the_json_of_one_run(cutover, storm):
    """The verdict, the faults as played, and no smallest schedule when nothing was found."""
    jump = Fault(Kind.WALL_JUMP, 500, detail="60")
    said = json.loads(cutover("simulate", SWIFT, "--faults", storm((jump,)), *EARLY, "--json").out)
    assert set(said) == {"verdict", "faults", "smallest"}
    assert set(said["verdict"]) >= VERDICT
    assert said["verdict"]["seed"] == 5  # the file's own
    assert said["faults"] == [str(jump)]
    assert said["smallest"] == ""


def test_a_seed_on_the_command_line_outranks_the_file_s(cutover, storm):
    """To play the same faults in other worlds."""
    words = ("--faults", storm(()), "--seed", 9, *EARLY, "--json")
    assert json.loads(cutover("simulate", SWIFT, *words).out)["verdict"]["seed"] == 9


def test_the_json_of_many_runs(cutover):
    """A tally over all seeds, whose progress goes to standard error."""
    said = cutover("simulate", SWIFT, "--runs", 3, "--jobs", 1, *EARLY, "--json")
    assert said.code == 0, said.all
    told = json.loads(said.out)
    assert set(told) == {"tally", "smallest"}
    assert set(told["tally"]) >= TALLY
    assert told["tally"]["runs"] == sum(told["tally"]["phases"].values()) == 3
    assert "3 of 3 seeds, 0 failed" in said.err


def test_many_runs_as_tables(cutover):
    """How they ended, and what was played."""
    said = cutover("simulate", SWIFT, "--runs", 2, "--jobs", 1, *EARLY)
    assert said.code == 0, said.all
    assert "no line was crossed, and every run came to an end" in said.out
    assert "2 simulations, " in said.out


def test_a_trace_is_written_whole(cutover, tmp_path):
    """Its digest is the one that is printed."""
    path = tmp_path / "trace.jsonl"
    said = cutover("simulate", SWIFT, "--faults", "none", "--trace", path, *EARLY, "--json")
    text = path.read_bytes()
    assert json.loads(said.out)["verdict"]["digest"] == hashlib.sha256(text).hexdigest()
    assert all(len(json.loads(line)) == 4 for line in text.splitlines())


@pytest.fixture
def without_excuses(monkeypatch):
    """Every request that a fault costs its answer is a violation."""
    monkeypatch.setattr("cutover.simulator.watch.requests.touches_route", lambda *_: False)


NEEDED = Fault(Kind.RESTART, 2000, 400, "hetzner")
STORM = (Fault(Kind.CHAIN_DOWN, 500, 400), NEEDED, Fault(Kind.WALL_JUMP, 3000, detail="60"))


@pytest.mark.usefixtures("without_excuses")
def test_a_violation_exits_1_with_the_smallest_schedule_as_a_file(cutover, storm, tmp_path):
    """The trace's end, the line, and a file for `--faults` that fails again in the same way."""
    said = cutover("simulate", SWIFT, "--faults", storm(STORM), "--until", "canary")
    assert said.code == 1
    assert "line 7 was crossed: request " in said.out
    text = said.out.split("smallest schedule:\n")[1]
    (least,), seed = read(text, "printed")
    assert (least.what, least.where, seed) == (NEEDED.what, NEEDED.where, 5)
    assert least.lasts_ms < NEEDED.lasts_ms
    kept = tmp_path / "least.toml"
    kept.write_text(text, "utf-8")
    again = cutover("simulate", SWIFT, "--faults", kept, "--until", "canary", "--no-shrink")
    assert again.code == 1
    assert "smallest" not in again.all


@pytest.mark.usefixtures("without_excuses")
def test_a_violation_among_many_exits_1_and_names_each_seed(cutover, storm):
    """In JSON with every verdict that failed."""
    words = ("--faults", storm((NEEDED,)), "--runs", 2, "--jobs", 1, "--until", "canary")
    said = cutover("simulate", SWIFT, *words, "--no-shrink", "--json")
    assert said.code == 1
    told = json.loads(said.out)
    assert [one["seed"] for one in told["tally"]["failed"]] == [5, 6]
    plain = cutover("simulate", SWIFT, *words, "--no-shrink")
    assert "seed 5: line 7: " in plain.out


# what is refused


def refused(said, *words):
    assert said.code == 2, said.all
    for word in words:
        assert word in said.err
    assert "Traceback" not in said.all
    assert "trace " not in said.out


def test_a_runbook_that_cannot_be_read_is_refused(cutover, tmp_path):
    """One that is not there, one that is no TOML, one that the linter refuses."""
    refused(cutover("simulate", tmp_path / "none.toml"), "none.toml")
    bad = tmp_path / "bad.toml"
    bad.write_text("[runbook", "utf-8")
    refused(cutover("simulate", bad), "bad.toml")
    bad.write_text(
        SWIFT.read_text("utf-8").replace('"5s", canary_runs', '"5", canary_runs'), "utf-8"
    )
    refused(cutover("simulate", bad), "bad.toml")


def test_a_bad_file_of_faults_is_refused_by_name(cutover, storm, tmp_path):
    """Missing, no text, or with a word that nobody knows."""
    refused(cutover("simulate", SWIFT, "--faults", tmp_path / "none.toml"), "none.toml")
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    refused(cutover("simulate", SWIFT, "--faults", binary), "binary.toml")
    flood = storm('faults = [{ what = "flood", at = "1s" }]')
    refused(cutover("simulate", SWIFT, "--faults", flood), "storm.toml: fault 1", "flood")


def test_a_place_that_is_not_in_the_world_is_refused(cutover, storm):
    """With the places that are."""
    nowhere = storm((Fault(Kind.CRASH, 1000, 500, "gateway-7"),))
    refused(cutover("simulate", SWIFT, "--faults", nowhere), "gateway-7", "gateway-1", "phala")


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(Kind.HANG, 1000, 500, "gateway-1"), "hetzner, phala"),
        (Fault(Kind.REDEPLOY, 1000, 500, "hetzner"), "the candidate, phala"),
        (Fault(Kind.CRASH, 1000, 500, "phala"), "a conductor or a gateway"),
        (Fault(Kind.PAUSE, 1000, 500, "*"), "a conductor or a gateway"),
    ],
    ids=lambda value: getattr(value, "what", None),
)
def test_a_place_of_another_kind_is_refused(cutover, storm, fault, expected):
    """What befalls planes cannot befall a gateway."""
    refused(cutover("simulate", SWIFT, "--faults", storm((fault,))), str(fault), expected)


def test_an_unknown_end_is_refused(cutover):
    """With the stages and phases of this runbook."""
    said = cutover("simulate", SWIFT, "--until", "tuesday")
    refused(said, "tuesday", "shadow", "primary", "complete")


@pytest.mark.parametrize("horizon", ["0s", "40", "soon"])
def test_a_bad_horizon_is_refused(cutover, horizon):
    """It is a duration, as everywhere."""
    refused(cutover("simulate", SWIFT, "--horizon", horizon), "--horizon")


def test_a_trace_of_many_runs_is_refused(cutover, tmp_path):
    """Which one would it be."""
    said = cutover("simulate", SWIFT, "--runs", 2, "--trace", tmp_path / "t")
    refused(said, "--trace")
    assert list(tmp_path.iterdir()) == []


def test_a_trace_that_cannot_be_written_is_refused(cutover, tmp_path):
    """Before anything is played."""
    refused(cutover("simulate", SWIFT, "--trace", tmp_path / "no/such/t", *EARLY), "no/such/t")


@pytest.mark.parametrize("words", [("--runs", "0"), ("--nodes", "3"), ("--jobs", "-1")])
def test_numbers_out_of_range_are_refused(cutover, words):
    """By the option's name."""
    refused(cutover("simulate", SWIFT, *words), words[0])
