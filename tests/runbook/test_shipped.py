"""The shipped runbooks are executable, quote the operator's text, and are what they claim to be."""

import re

import pytest

from cutover.runbook.finding import Severity
from cutover.runbook.gate import Evidence
from cutover.runbook.intent import LEADING
from cutover.runbook.load import lint_text, load_text
from runbook.texts import RUNBOOKS, SHIPPED, changed, shipped

OPERATORS_TEXT = " ".join((RUNBOOKS / "runbook.md").read_text().split())


@pytest.fixture(params=SHIPPED)
def runbook(request):
    return load_text(shipped(request.param), f"{request.param}.toml")


def warned(name):
    return {finding.where for finding in lint_text(shipped(name), name)}


@pytest.mark.parametrize("name", SHIPPED)
def test_lint_finds_no_error(name):
    """What is shipped loads, under its own name, with its text kept word for word."""
    found = lint_text(shipped(name), name)
    assert [f for f in found if f.severity is Severity.ERROR] == []
    loaded = load_text(shipped(name), name)
    assert (loaded.name, loaded.text) == (name, shipped(name))


def clauses(runbook):
    rules = [
        *runbook.preconditions, *runbook.gates, *runbook.stages, *runbook.conditions,
        *runbook.post_checks, *(u for stage in runbook.stages for u in stage.unlocks),
    ]  # fmt: skip
    return [rule.clause for rule in rules]


def test_each_clause_quotes_the_operators_text(runbook):
    """Each passage of each clause stands in runbook.md."""
    for clause in clauses(runbook):
        for passage in clause.split(" … "):
            assert passage in OPERATORS_TEXT, passage


@pytest.mark.parametrize("name", SHIPPED)
def test_each_clause_in_the_file_is_quoted(name):
    """Clauses that the core does not carry (critical, error budget) are quotes, too."""
    found = re.findall(r'^clause = "(.*)"$', shipped(name), re.MULTILINE)
    assert len(found) == len(clauses(load_text(shipped(name), name))) + 2
    for clause in found:
        for passage in clause.split(" … "):
            assert passage in OPERATORS_TEXT, passage


def test_fast_track_is_one_flip_after_the_same_proofs():
    """Nothing, then everything; a quiet day before, 45 armed minutes after, the phased gates."""
    fast, phased = (load_text(shipped(name), name) for name in ("fast-track", "phased"))
    shares = [tuple(stage.share_bp[i] for i in LEADING) for stage in fast.stages]
    assert shares == [(0, 0, 0), (10_000, 10_000, 10_000)]
    assert fast.quiet_ms == 24 * 3_600_000
    assert fast.stages[-1].soak.observed_ms == 45 * 60_000
    assert fast.stages[-1].armed
    assert fast.live_intent_gate().intents == LEADING
    assert (fast.gates, fast.conditions) == (phased.gates, phased.conditions)


def test_demo_is_the_phased_runbook_with_short_soaks():
    """Same stages, shares, gates and rules; less than a minute of soak; verified evidence."""
    demo, phased = (load_text(shipped(name), name) for name in ("demo", "phased"))
    steps = [
        [
            (s.name, dict(s.share_bp), s.armed, [(u.intent, u.share_bp) for u in s.unlocks])
            for s in r
        ]
        for r in (demo.stages, phased.stages)
    ]
    assert steps[0] == steps[1]
    assert [type(g) for g in demo.gates] == [type(g) for g in phased.gates]
    assert [c.name for c in demo.conditions] == [c.name for c in phased.conditions]
    assert (demo.follows, demo.critical) == (phased.follows, phased.critical)
    assert sum(stage.soak.observed_ms for stage in demo.stages) < 60_000
    assert demo.rehearsal
    assert demo.attestation_gate().evidence is Evidence.VERIFIED


def test_a_rehearsal_is_warned_about():
    """It allows what production refuses; of evidence it asks for all."""
    assert "runbook.rehearsal" in warned("demo")
    assert not any(where.startswith("gate[attestation]") for where in warned("demo"))


def test_fast_track_warns_that_money_moves_without_a_clean_period():
    """One flip has no clean period before pay; the phased runbook has, and is not warned."""
    assert "stage[primary].share.pay" in warned("fast-track")
    assert "stage[primary].share.pay" not in warned("phased")


def test_phased_warns_of_spurious_rollbacks():
    """Nine days of canaries that flake once in a hundred runs are rolled back one time in five."""
    found = lint_text(shipped("phased"), "phased.toml")
    [odds] = [f for f in found if f.where == "rollback[canary-failed].runs"]
    assert odds.severity is Severity.WARNING
    assert "over 2352 armed runs" in odds.seen
    assert "0.23 % if 0.1 % of runs flake, 21 % if 1 % of runs flake, 100 % if 5 %" in odds.seen


def test_more_failures_in_a_row_silence_the_odds():
    """With eight in a row flakes alone do not matter any more."""
    text = changed(shipped("phased"), "\nruns = 2 ", "\nruns = 8 ")
    assert "rollback[canary-failed].runs" not in {f.where for f in lint_text(text, "x")}


def test_first_failed_payment_is_warned_about():
    """By the letter one failed payment of fewer than 50 rolls back; re-pinning is not warned."""
    where = "rollback[payments-failed].min_settled"
    assert where in warned("phased")
    repin = changed(shipped("phased"), 'low_sample = "roll_back" ', 'low_sample = "repin" ')
    assert where not in {f.where for f in lint_text(repin, "x")}


def test_a_soak_that_cannot_fit_its_canary_runs_is_warned_about():
    """The stage takes longer than its observed time says."""
    text = changed(
        shipped("phased"),
        '"2h", canary_runs = 24, answers = 0',
        '"1h", canary_runs = 24, answers = 0',
    )
    [found] = [f for f in lint_text(text, "x") if f.where == "stage[shadow].soak.canary_runs"]
    assert found.seen == "24 runs, which take 2h"
    assert found.expected == "at most 12 in soak.observed = 1h"
    assert found.severity is Severity.WARNING


def test_a_soak_that_flakes_would_restart_is_warned_about():
    """2016 runs in a row are out of reach for an ordinary canary; 24 and 0 are not warned about."""
    where = "stage[primary].soak.canary_runs"
    text = changed(shipped("phased"), '"7d", canary_runs = 0', '"7d", canary_runs = 2016')
    [found] = [f for f in lint_text(text, "x") if f.where == where]
    assert found.seen.startswith("2016 runs in a row: 1.6e-07 % of soaks get through")
    assert not {w for w in warned("phased") if w.endswith("canary_runs")}


def test_reported_evidence_for_all_but_money_is_allowed_and_weak():
    """The text's letter may be believed for the rest; each value goes where it is written."""
    text = changed(shipped("phased"), '\nevidence = "verified" ', '\nevidence = "reported" ')
    gate = load_text(text, "x").attestation_gate()
    assert (gate.evidence, gate.money_evidence) == (Evidence.REPORTED, Evidence.VERIFIED)
    assert "gate[attestation].evidence" in {f.where for f in lint_text(text, "x")}


@pytest.mark.parametrize("window", ["30m", "60m", "1h"])
def test_a_one_step_cutover_may_be_watched_for_30_to_60_minutes(window):
    """Both ends belong to it."""
    text = changed(shipped("fast-track"), 'observed = "45m"', f'observed = "{window}"')
    assert load_text(text, "x").stages[-1].armed


def test_a_rehearsal_of_one_step_may_be_short():
    """On loopback nobody waits for half an hour."""
    text = changed(shipped("fast-track"), 'observed = "45m"', 'observed = "5s"')
    assert load_text(changed(text, "rehearsal = false", "rehearsal = true"), "x").rehearsal
