"""`cutover conformance`: all hold is 0, one fails is 1, what cannot be run is 2, nothing too."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOLDS = """\
says = "120 s of non-200 do not roll back"
clause = "`/ready` non-200 for > 2 minutes"
given = { at = "canary" }
when = [
  { bad = "120s" },
  { expect = { phase = "running", moves = [] } },
]
"""


@pytest.fixture
def suite(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    (tmp_path / "a_holds.toml").write_text(HOLDS)
    return tmp_path


def test_a_suite_that_holds_exits_0(cutover, suite):
    """The summary counts scenarios and entries; `-v` shows statement and clause."""
    said = cutover("conformance", suite, "-v")
    assert said.code == 0, said.all
    assert "holds  a_holds.toml: 120 s of non-200 do not roll back" in said.out
    assert "clause: `/ready` non-200 for > 2 minutes" in said.out
    assert "1 of 1 scenarios hold" in said.out


def test_a_scenario_that_fails_exits_1_and_says_where(cutover, suite):
    """File, line, step, expected and seen are named, also when another holds."""
    (suite / "b_fails.toml").write_text(HOLDS.replace('"120s"', '"125s"'))
    said = cutover("conformance", suite)
    assert said.code == 1
    assert "FAILS  b_fails.toml:6: 120 s of non-200 do not roll back" in said.out
    assert 'step 2, phase: expected "running", saw "rolled_back"' in said.out
    assert "1 of 2 scenarios hold" in said.out


def test_json_is_one_document_in_any_number_of_processes(cutover, suite):
    """Results are sorted by file; a problem is a record."""
    (suite / "b_fails.toml").write_text(HOLDS.replace('"120s"', '"125s"'))
    said = cutover("conformance", suite, "--json", "--jobs", "2")
    assert said.code == 1
    told = json.loads(said.out)
    assert (told["scenarios"], told["failed"]) == (2, 1)
    assert [r["file"] for r in told["results"]] == ["a_holds.toml", "b_fails.toml"]
    assert told["results"][0]["problem"] is None
    assert told["results"][1]["problem"]["line"] == 6
    assert told["results"][1]["problem"]["word"] == "phase"


def test_only_chooses_by_name(cutover, suite):
    """A pattern of names with or without the ending; one that matches nothing is an error."""
    (suite / "b_fails.toml").write_text(HOLDS.replace('"120s"', '"125s"'))
    assert cutover("conformance", suite, "--only", "a_*").code == 0
    said = cutover("conformance", suite, "--only", "c_*")
    assert said.code == 2
    assert "none of 2 scenarios" in said.err


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("bad =", "badly ="), "bad.toml:5: step 1: no step begins with 'badly'"),
        (("phase =", "phrase ="), "bad.toml:6: step 2: no expectation 'phrase'"),
        (('"120s"', "120"), "bad.toml:5: step 1: bad: saw 120"),
        (('bad = "120s"', 'bad = "120s", plan = 1'), "bad.toml:5: step 1: bad has no plan"),
        (('bad = "120s"', 'bad = "120s", plane = "x"'), "bad.toml:5: step 1: no plane 'x'"),
        (('bad = "120s"', 'order = "waive"'), "bad.toml:5: step 1: order 'waive' has no details"),
        (('bad = "120s"', 'until = "canary"'), "bad.toml:5: step 1: until needs within"),
        (('"canary" }', '"canarry" }'), "bad.toml: given: no point 'canarry'"),
        (('"canary" }', '"canary", runbook = "x" }'), "bad.toml: given: no runbook 'x'"),
        (('"canary" }', '"canary", set = { "a.b" = 1 } }'), "bad.toml: given: set: the runbook"),
        (('"canary" }', '"canary", what = 1 }'), "bad.toml: Object contains unknown field `what`"),
        (("says = ", "say = "), "bad.toml: Object contains unknown field `say`"),
        (("  { expect = { phase", "  # { expect = { phase"), "it expects nothing"),
        (("when = [", "when = ]"), "bad.toml: "),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_exits_2(cutover, suite, change, named):
    """An unknown word, a wrong kind, a place that is not: file, line and word are named."""
    (suite / "bad.toml").write_text(HOLDS.replace(*change))
    said = cutover("conformance", suite, "--only", "bad")
    assert said.code == 2, said.all
    assert named in said.err


def test_nothing_to_run_is_no_pass(cutover, tmp_path):
    """An empty directory, and one that is not there."""
    assert "no scenario is not a pass" in cutover("conformance", tmp_path).err
    assert cutover("conformance", tmp_path).code == 2
    assert cutover("conformance", tmp_path / "none").code == 2
    assert cutover("conformance").code == 2
