"""`cutover whatif`: the comparison as tables and JSON, and what it refuses."""

import json
from pathlib import Path

import pytest

from cutover.decision.kinds import RollBack
from cutover.journal.store import Journal
from cutover.runbook.load import load_text
from decision.scenario import runbook_text
from replay.recording import Recording
from replay.stories import reach

JOURNALS = Path(__file__).parents[1] / "replay/journals"
HEALTHY = JOURNALS / "healthy-0.1.0.zip"
PAYMENTS = JOURNALS / "rollback-payments-0.1.0.zip"
LONGER = {"stage.shadow.soak": {"observed": "16s", "canary_runs": 4, "answers": 0}}


@pytest.fixture
def rules(tmp_path):
    """Writes a shipped runbook with values replaced."""

    def write(base="demo", **changes):
        path = tmp_path / "other.toml"
        path.write_text(runbook_text(base, repr(changes)), "utf-8")
        return path

    return write


def test_the_same_rules_say_so(cutover, rules):
    """Exit 0, and one sentence that answers."""
    said = cutover("whatif", HEALTHY, "--runbook", rules())
    assert said.code == 0
    assert "same: over 432 entries, 57s observed" in said.out
    assert "what this rests on" not in said.out


def test_the_tables_tell_both_paths(cutover, rules):
    """Where they part, both timelines, promotions, exposure, ends and limits."""
    said = cutover("whatif", HEALTHY, "-r", rules(**LONGER))
    assert said.code == 0
    lines = [" ".join(line.split()) for line in said.out.splitlines()]
    assert "the paths part at entry 69, 6.5s (of 432 entries, 57s observed)" in lines
    assert "other no move: 6s of 16s observed" in lines
    assert "6.5s 69 OpenStage canary ." in lines
    assert "OpenStage canary 6.5s 16.5s 10s" in lines
    assert "OpenStage primary 46.5s not by then" in lines
    assert "as recorded: complete after 57s" in lines
    assert any(
        line.startswith("other rules: not complete: running, mixed; waits:") for line in lines
    )
    assert any(line.startswith("record_ends the record ends at 57s;") for line in lines)


def test_the_json_has_everything(cutover, rules):
    """One document, with every part of the comparison under its name."""
    other = rules("brisk", **{"rollback.payments-failed.percent": 20})
    told = json.loads(cutover("whatif", PAYMENTS, "-r", other, "--json").out)
    assert set(told) == {
        "run", "entries", "observed_ms", "verdict", "parting", "recorded", "alternative",
        "promotions", "rollbacks", "exposure", "payments", "recorded_end", "alternative_end",
        "limits",
    }  # fmt: skip
    assert told["verdict"] == "parts"
    assert told["parting"]["recorded"] == "RollBack payments-failed"
    (avoided,) = told["rollbacks"]["avoided"]
    assert (avoided["what"], avoided["seq"]) == ("payments-failed", told["parting"]["seq"])
    assert told["rollbacks"]["added"] == []
    money = next(one for one in told["exposure"] if one["risk"] == "money")
    assert money["alternative_share_hours"] > money["recorded_share_hours"]
    assert told["payments"]["assumed"] > 0
    assert {limit["code"] for limit in told["limits"]} >= {"another_world", "assumed_outcomes"}


@pytest.mark.parametrize(
    ("until", "entries", "parts"),
    [("60", 60, False), ("68", 70, True), ("6s", 62, False), ("8s", 84, True)],
)
def test_until_ends_the_comparison(cutover, rules, until, entries, parts):
    """At an entry, with what was decided on it, or at an observed time; and it is said."""
    words = ("whatif", HEALTHY, "-r", rules(**LONGER), "--until", until, "--json")
    told = json.loads(cutover(*words).out)
    assert told["entries"] == entries
    assert (told["verdict"] == "parts") is parts
    assert told["limits"][0] == {
        "code": "cut", "text": f"compared are {entries} of 432 entries",
    }  # fmt: skip


@pytest.mark.parametrize("until", ["soon", "0", "-3", "1m30s"])
def test_another_until_is_refused(cutover, rules, until):
    """Exit 2, with what is expected."""
    said = cutover("whatif", HEALTHY, "-r", rules(), f"--until={until}")
    assert said.code == 2
    assert "the number of an entry, or a duration" in said.err


def test_a_runbook_of_other_planes_is_refused_with_its_line(cutover, tmp_path):
    """File, line, what was seen and what would fit; exit 2."""
    text = runbook_text("demo", "{}").replace('candidate = "phala"', 'candidate = "dstack"')
    other = tmp_path / "other.toml"
    other.write_text(text)
    said = cutover("whatif", HEALTHY, "-r", other)
    assert said.code == 2
    line = next(n for n, row in enumerate(text.splitlines(), 1) if row.startswith("candidate"))
    assert f"{other}:{line}: error: runbook.candidate: saw 'dstack'; expected 'phala'" in said.err
    assert said.out == ""


def test_a_broken_runbook_and_a_missing_one_are_refused(cutover, tmp_path):
    """As every verb does; exit 2."""
    broken = tmp_path / "broken.toml"
    broken.write_text("[runbook]\nname = 3\n")
    assert cutover("whatif", HEALTHY, "-r", broken).code == 2
    assert cutover("whatif", HEALTHY, "-r", tmp_path / "nowhere.toml").code == 2
    assert cutover("whatif", HEALTHY).code == 2


def test_a_record_that_cannot_be_trusted_is_refused(cutover, rules, tmp_path):
    """A cut archive and no file at all; exit 4."""
    cut = tmp_path / "cut.zip"
    cut.write_bytes(HEALTHY.read_bytes()[:-40])
    assert cutover("whatif", cut, "-r", rules()).code == 4
    assert cutover("whatif", tmp_path / "nowhere.db", "-r", rules()).code == 4


def test_a_record_that_diverges_is_compared_up_to_there(cutover, rules, tmp_path):
    """What today's code would not have decided is no ground to compare rules on; it is said."""
    path = tmp_path / "journal.db"
    world = Recording(load_text(runbook_text("demo", "{}"), "demo"), path, 1)
    reach(world, 1)
    world._journal.close()
    sound = world.run.seq
    journal = Journal.open(path, None)
    journal.append([RollBack("not-ready", (), ())], world.now, world.wall)
    journal.close()
    told = json.loads(cutover("whatif", path, "-r", rules(), "--json").out)
    assert told["verdict"] == "same"
    assert told["entries"] == sound
    assert [limit["code"] for limit in told["limits"]][:2] == ["diverges", "cut"]
