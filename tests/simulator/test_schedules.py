"""Schedules that are kept: what once failed, and what an operator fears most.

Each file says what it is about; here stands what must be seen in the run, so that none of them
becomes a run in which nothing happens.
"""

import io
import json
import tomllib

import pytest

from cutover.simulator.faults import Kind, read
from cutover.simulator.play import simulate
from cutover.simulator.swarm import Job
from simulator.paths import SCHEDULES, SWIFT, swift

FILES = sorted(SCHEDULES.glob("*.toml"))
JOB = Job(SWIFT.read_text("utf-8"), "swift.toml")


def decided(trace, kind):
    return [(at, fact) for at, fact in trace["facts"] if fact["type"] == kind]


def stage_at(trace, at):
    return [fact["stage"] for when, fact in decided(trace, "OpenStage") if when <= at][-1]


def began(trace, kind):
    return next(at for at, fault in trace["faults"] if f'"{kind}"' in fault)


def ended(trace, who):
    return [detail for _, one, what, detail in trace["all"] if (one, what) == (who, "ends")]


def paused_conductor(trace):
    """The standby finishes the run in a term of its own; who wakes is refused by the journal."""
    assert ended(trace, "conductor") == ["JournalError"]
    assert [fact["term"] for _, fact in decided(trace, "Started")] == [1, 2]
    assert trace["phase"] == "complete"


def late_conductor(trace):
    """It reached a node before its first write; the refusal was said, and taken back later."""
    said = [fact["refused"] for _, fact in decided(trace, "GatewayReport")]
    assert any(text.startswith("term 1 is older than term 2") for text in said)
    assert said[-1] == ""
    assert ended(trace, "conductor") == ["JournalError"]
    assert trace["phase"] == "complete"


def collateral_goes(trace):
    """Both verdicts are met; that nobody is paid then is what the simulation checks."""
    said = [fact["verdict"] for _, fact in decided(trace, "Attestation")]
    assert {"degraded", "unverifiable"} <= set(said)


def operators_race(trace):
    """All four orders were judged, one of them refused; the abort stands."""
    given = [what for _, who, what, _ in trace["all"] if who == "operator"]
    assert sorted(given) == ["orders abort", "orders hold", "orders promote", "orders resume"]
    assert len(decided(trace, "OrderRefused")) == 1
    assert trace["phase"] == "aborted"


def torn_write(trace):
    """Three deaths, three starts more; every stage opened once."""
    assert len(decided(trace, "Started")) == 4
    assert len(decided(trace, "OpenStage")) == 4
    assert trace["phase"] == "complete"


def both_planes_down(trace):
    """Money is closed before it can go anywhere, and opened again later."""
    assert decided(trace, "CloseMoney")[0][0] > began(trace, Kind.BLACKOUT)
    assert decided(trace, "ReopenMoney")
    assert trace["excused"] > 0


def third_party(trace):
    """The letter of the runbook: two runs in a row send it back, whoever's fault it was."""
    (back,) = decided(trace, "RollBack")
    assert back[1]["rule"] == "canary-failed"


def cut_off_gateway(trace):
    """The way back is done when the node has been told, four seconds after it was decided."""
    (back,), (done,) = decided(trace, "RollBack"), decided(trace, "Returned")
    assert done[0] - back[0] > 3_000_000
    assert stage_at(trace, back[0]) == "mixed"


def disk_full(trace):
    """Nothing is decided while the disk is full; the stage opens once there is room."""
    times = [at for at, _ in trace["facts"]]
    assert not [at for at in times if 5_500_000 < at < 13_000_000]
    assert set(ended(trace, "conductor")[:-1]) == {"JournalError"}
    assert len(decided(trace, "OpenStage")) == 4


def replayed_quote(trace):
    """It trips at once, by the rule for lost attestation."""
    ((at, back),) = decided(trace, "RollBack")
    assert back["rule"] == "attestation-lost"
    assert at - began(trace, Kind.REPLAYED_QUOTE) < 4_000_000


def redeploy(trace):
    """It happens in mixed, and primary waits for evidence of the new composition."""
    at = began(trace, Kind.REDEPLOY)
    assert stage_at(trace, at) == "mixed"
    primary = next(when for when, fact in decided(trace, "OpenStage") if fact["stage"] == "primary")
    seen = [fact["identity"] for when, fact in decided(trace, "Attestation") if when < primary]
    assert "compose-1" in seen[0]
    assert "compose-2" in seen[-1]


def crash_serving(trace):
    """Two conductors died with the answer in hand; the third one brought everything back."""
    (back,), (done,) = decided(trace, "RollBack"), decided(trace, "Returned")
    crashes = [at for at, who, what, _ in trace["all"] if (who, what) == ("conductor", "crashes")]
    assert len([at for at in crashes if back[0] <= at < done[0]]) == 2


def keys_and_clocks(trace):
    """No stage is left early or twice, whatever the wall says; two keys were seen."""
    assert len(decided(trace, "OpenStage")) == 4
    assert len({fact["identity"] for _, fact in decided(trace, "Attestation")}) == 2


def intruder(trace):
    """The verdict over his connection is wrong, and all goes back while he is there."""
    (back, rule), *_ = [(at, fact["rule"]) for at, fact in decided(trace, "RollBack")]
    assert rule == "attestation-lost"
    assert began(trace, Kind.INTRUDER) < back < began(trace, Kind.INTRUDER) + 5_000_000
    assert "invalid" in {fact["verdict"] for _, fact in decided(trace, "Attestation")}


def payments_unknown(trace):
    """Clients lose answers, the rule counts them as failed, and it goes back."""
    assert trace["excused"] > 0
    assert [fact["rule"] for _, fact in decided(trace, "RollBack")] == ["payments-failed"]


SEEN = {
    "paused_conductor_wakes_after_its_lease": paused_conductor,
    "late_conductor_offers_its_table": late_conductor,
    "collateral_goes_while_degraded": collateral_goes,
    "operators_race": operators_race,
    "torn_write_at_a_promotion": torn_write,
    "both_planes_down": both_planes_down,
    "third_party_down_for_both": third_party,
    "cut_off_gateway_during_a_rollback": cut_off_gateway,
    "disk_full_during_a_promotion": disk_full,
    "replayed_quote_while_exposed": replayed_quote,
    "redeploy_during_mixed": redeploy,
    "crash_while_serving_the_table_back": crash_serving,
    "keys_rotate_and_clocks_jump_while_soaking": keys_and_clocks,
    "payments_of_unknown_end": payments_unknown,
    "intruder_under_money": intruder,
}


def test_every_kept_schedule_says_what_must_be_seen():
    """A file without a look at it would prove little, a look without a file nothing."""
    assert {path.stem for path in FILES} == set(SEEN)
    assert all(len(tomllib.loads(path.read_text("utf-8"))["says"]) > 40 for path in FILES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_line_is_crossed_by_a_kept_schedule(path):
    """And what the file is about did happen."""
    schedule, seed = read(path.read_text("utf-8"), path.name)
    file = io.BytesIO()
    verdict = simulate(swift(), seed, schedule, habits=JOB.habits(seed), output=file)
    assert verdict.line == 0, f"line {verdict.line}: {verdict.text}"
    SEEN[path.stem](told(file.getvalue(), verdict))


def told(text, verdict):
    lines = [json.loads(line) for line in text.splitlines()]
    return {
        "all": lines,
        "facts": [(at, detail[2]) for at, _, what, detail in lines if what == "records"],
        "faults": [(at, said) for at, _, what, said in lines if what == "begins"],
        "phase": verdict.phase,
        "excused": verdict.excused,
    }
