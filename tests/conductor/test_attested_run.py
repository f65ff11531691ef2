"""A whole run in verified mode, as processes: a foreign plane that proves what it runs on."""

import json

import pytest

from conductor.theatre import Theatre
from cutover.evidence.observation import Stopped, Verdict
from cutover.runbook.gate import Evidence


@pytest.mark.long
def test_a_foreign_plane_that_proves_itself_is_carried_to_completion(tmp_path):
    """From the first look to the sealed archive, and all that must be true of such a run."""
    with Theatre(tmp_path) as world:
        world.planes("--tee")
        world.conductor()
        world.gateway()
        world.traffic()
        assert world.ended() == 0, world.story()
        world.clients.stop()
        _every_step_was_taken_and_every_client_answered(world)
        _every_verdict_rests_on_kept_evidence(world)
        _every_switch_was_verified_again(world)
        _preconditions_were_judged_under_the_attested_key(world)
        _the_mark_is_in_log_status_and_archive(world)
        _a_stranger_can_judge_it_all_again(world)


def _every_step_was_taken_and_every_client_answered(world):
    """Every stage opens in order, all checks hold, the conductor is done."""
    assert world.stages() == ["shadow", "canary", "mixed", "primary"]
    assert [fact.intent for fact in world.facts("UnlockIntent")] == ["pay"]
    assert all(fact.ok for fact in world.facts("PostCheckSeen"))
    assert len(world.facts("PostCheckSeen")) == 4
    assert len(world.facts("Complete")) == 1
    assert world.clients.failed == []
    assert world.clients.answered > 50
    assert world.entries()[-1].fact == Stopped("the run is over")
    assert "complete; sealed in" in world.log("conductor")


def _every_switch_was_verified_again(world):
    """With the new table in force a look was taken for it, beside those that merely watch."""
    purposes = {look["purpose"] for look in _looks(world)}
    assert purposes >= {"after:canary", "after:mixed", "after:pay", "after:primary"}


def _looks(world):
    folder = world.data / "evidence"
    files = [file for file in folder.rglob("*") if file.is_file()]
    texts = [text for file in files if (text := file.read_bytes()).startswith(b"{")]
    return [look for text in texts if "purpose" in (look := json.loads(text))]


def _every_verdict_rests_on_kept_evidence(world):
    """Verified, about one identity and one key, marked, with a life and a record.

    On a busy machine a look may come to its deadline; nothing is ever said against the plane.
    """
    seen = world.facts("Attestation")
    assert {one.evidence for one in seen} == {Evidence.VERIFIED}
    good = [one for one in seen if one.verdict is Verdict.VERIFIED]
    assert {one.verdict for one in seen} <= {Verdict.VERIFIED, Verdict.UNVERIFIABLE}
    assert good
    assert len({one.identity for one in good}) == len({one.tls_spki for one in good}) == 1
    assert {one.marks for one in good} == {("TEST ROOT",)}
    assert all(0 < one.lasts_ms <= 300_000 for one in good)
    assert all(one.record for one in seen)
    assert list((world.data / "evidence").rglob("*"))


def _preconditions_were_judged_under_the_attested_key(world):
    """The candidate's certificate is nobody's but its quote's."""
    (tls,) = [one for one in world.facts("PreconditionSeen") if one.check == "tls_and_domain"]
    assert tls.ok is True
    key = world.facts("Attestation")[-1].tls_spki
    assert any(f"under the attested key {key[:16]}" in reason for reason in tls.reasons)


def _the_mark_is_in_log_status_and_archive(world):
    """Whoever reads any of them is told that the root is a test's."""
    said = (world.folder / "conductor.log").read_text().splitlines()
    (line,) = [line for line in said if "attestation_configured" in line]
    assert "TEST ROOT" in line
    assert "policy.toml" in line
    assert "TEST ROOT" in world.cli("status").stdout
    verified = world.cli("archive", "verify", str(world.data / "archive.zip"))
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "TEST ROOT" in verified.stdout + verified.stderr


def _a_stranger_can_judge_it_all_again(world):
    """The journal by its chain; every kept look offline, under the root that he knows."""
    assert world.cli("verify-log", str(world.data / "journal.db")).returncode == 0
    said = world.cli("attest", "recheck", str(world.data), "--root", "tee/root.der")
    assert said.returncode == 0, said.stdout + said.stderr


def test_a_conductor_that_cannot_remember_stops_and_says_so(tmp_path):
    """A damaged memory is not an empty one: the grace of a platform would begin again."""
    memory = tmp_path / "run" / "attestation" / "attestation-phala.json"
    memory.parent.mkdir(parents=True)
    memory.write_text("{")
    with Theatre(tmp_path) as world:
        world.planes("--tee")
        world.conductor()
        assert world.ended() == 1, world.story()
        assert f"{memory} cannot be used" in world.log("conductor")
