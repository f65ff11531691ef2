"""A whole run in verified mode, as processes: a foreign plane that proves what it runs on."""

import json
import signal

import pytest

from conductor.theatre import Theatre, until
from cutover.evidence.observation import Verdict
from cutover.runbook.gate import Evidence

VERIFIED = (
    ('\nevidence = "reported"\nmoney_evidence = "reported"',
     '\nevidence = "verified"\nmoney_evidence = "verified"'),
    ('attestation_every = "1s"', 'attestation_every = "2s"'),
    ('attestation_deadline = "900ms"', 'attestation_deadline = "1900ms"'),
    ('promote_age = "1s"', 'promote_age = "2s"'),
)  # fmt: skip
ANSWERS = 200


class AttestedTheatre(Theatre):
    """The candidate speaks TLS under its own key and is verified under a test root."""

    def plane_options(self, name):
        return ("--tls", str(self.folder / "tee")) if name == "phala" else ()

    def write_config(self, urls):
        super().write_config({**urls, "phala": urls["phala"].replace("http:", "https:")})
        known = self.folder / "tee" / "pccs.json"
        until("a collateral service", known.exists, tell=lambda: self.log("phala"))
        service = json.loads(known.read_text())["url"]
        with self.config.open("a") as file:
            file.write(
                f'[attestation]\npolicy = "tee/policy.toml"\npccs = ["{service}"]\n'
                'unsafe_test_root = "tee/root.der"\n'
            )


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A run that has exposed its verified candidate to clients."""
    with AttestedTheatre(tmp_path_factory.mktemp("attested"), VERIFIED) as made:
        made.planes("--tee")
        made.conductor()
        made.gateway()
        made.traffic()
        until("an exposed candidate", lambda: "canary" in made.stages(), tell=made.story)
        until("answers", lambda: made.clients.answered > ANSWERS, tell=made.story)
        made.clients.stop()
        made.children["conductor"].send_signal(signal.SIGTERM)
        assert made.ended() == 0, made.story()
        yield made


def test_a_verified_candidate_is_promoted_and_answers_clients(world):
    """Live intents and canary runs reached it, and no client failed."""
    assert world.stages()[:2] == ["shadow", "canary"]
    assert any(one.ok for one in world.facts("LiveIntent"))
    assert world.clients.failed == []


def test_every_verdict_rests_on_kept_evidence(world):
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


def test_preconditions_were_judged_under_the_attested_key(world):
    """The candidate's certificate is nobody's but its quote's."""
    (tls,) = [one for one in world.facts("PreconditionSeen") if one.check == "tls_and_domain"]
    assert tls.ok is True
    key = world.facts("Attestation")[-1].tls_spki
    assert any(f"under the attested key {key[:16]}" in reason for reason in tls.reasons)


def test_the_log_names_root_and_policy_at_the_start(world):
    """Whoever reads only the log sees the mark, too."""
    said = (world.folder / "conductor.log").read_text().splitlines()
    (line,) = [line for line in said if "attestation_configured" in line]
    assert "TEST ROOT" in line
    assert "policy.toml" in line


def test_a_stranger_can_judge_every_kept_look_again(world):
    """Offline, from the run's directory alone, under the root that he knows."""
    said = world.cli("attest", "recheck", str(world.data), "--root", "tee/root.der")
    assert said.returncode == 0, said.stdout + said.stderr


def test_a_conductor_that_cannot_remember_stops_and_says_so(world):
    """A damaged memory is not an empty one: the grace of a platform would begin again."""
    memory = world.data / "attestation" / "attestation-phala.json"
    memory.write_text("{")
    world.conductor()
    assert world.ended() == 1, world.story()
    assert f"{memory} cannot be used" in world.log("conductor")
