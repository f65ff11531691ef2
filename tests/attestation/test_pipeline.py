"""A whole plane under a full policy: what it takes to be verified, and each way not to be."""

import dataclasses
import hashlib
import json

import pytest

from attestation.world import (
    LIES,
    NONCE,
    NOW,
    SEED,
    TLS_SPKI,
    WALLETS,
    Plane,
    asked,
    codes,
    collateral,
    judge,
    policy,
    root,
    wallet,
)
from cutover.attestation.bundle import Bundle, Nonce
from cutover.attestation.collateral import Floor
from cutover.attestation.strict import canonical_json
from cutover.attestation.verdict import Outcome, Step, amounts_to, observation, passed
from sandbox.tee.boot import compose_text
from sandbox.tee.machine import Machine


def machine(**boot):
    return Machine(SEED, Machine(SEED).boot.model_copy(update=boot), nonce="n")


def test_a_good_plane_is_verified_and_marked():
    """Every step passes; the test root is the only thing to say, and it is said everywhere."""
    found = judge()
    assert found.verdict == "verified"
    assert {reason.step for reason in found.causes()} == {Step.ROOT}
    assert found.marks() == ("TEST ROOT",)
    seen = observation("phala", found, NOW * 1000)
    assert seen.marks == ("TEST ROOT",)
    assert (seen.verdict, seen.identity) == ("verified", found.identity)
    assert seen.tls_spki == TLS_SPKI.hex()
    assert seen.lasts_ms == (found.deadline - NOW) * 1000
    assert observation("phala", found, NOW * 1000 + 1500).lasts_ms == seen.lasts_ms - 1500
    assert observation("phala", found, NOW * 1000 - 1500).lasts_ms == seen.lasts_ms


def test_what_is_journaled_says_first_who_proved_itself():
    """Platform, app, compose and key in a line; a warning that has a mark is not repeated."""
    found = judge(rules=policy(source="first_use"))
    seen = observation("phala", found, NOW * 1000)
    (said,) = seen.reasons
    assert said.startswith("platform UpToDate, app ")
    for part in (found.app_id, found.compose_hash, TLS_SPKI.hex()):
        assert part[:16] in said
    old = judge(papers=collateral(standard={"status": "OutOfDate"}))
    words = observation("phala", old, NOW * 1000).reasons
    assert words[0].startswith("platform OutOfDate")
    assert any(word.startswith("tcb: degraded") for word in words)
    other = judge(circumstances=asked(peer_spki=bytes(32)))
    assert all("platform" not in word for word in observation("phala", other, NOW * 1000).reasons)


def test_only_a_key_that_proved_itself_is_named():
    """Evidence for another endpoint's key, or under no signature, names none and lasts no time."""
    other = judge(circumstances=asked(peer_spki=bytes(32)))
    seen = observation("phala", other, NOW * 1000)
    assert other.tls_spki == TLS_SPKI.hex()
    assert (seen.tls_spki, seen.lasts_ms) == ("", None)
    unsigned = judge(quote=Plane().bundle().quote[:700])
    assert observation("phala", unsigned, NOW * 1000).tls_spki == ""


@pytest.mark.parametrize("style", ["0.5", "0.6"])
@pytest.mark.parametrize("config", ["v1", "v2"])
def test_both_styles_of_log_and_both_forms_of_config_are_read(style, config):
    """A plane of either line is verified, digests given or blank."""
    own = machine(style=style, mr_config=config)
    assert judge(Plane(own), rules=policy(own)).verdict == "verified"


EXPECTED = {
    "other_app": {"app_id:not_by_policy", "app_id:not_by_statement", "wallet_key:not_released"},
    "other_compose": {"compose_hash:not_allowed", "compose_hash:other_file"},
    "other_instance": {"instance:not_by_statement"},
    "other_image": {"measurements:unknown_image"},
    "other_size": {"measurements:unknown_image"},
    "other_kms": {"key_provider:other_id"},
    "local_keys": {"key_provider:other_kind"},
    "bad_signature": {"quote_signature:bad_signature"},
    "patched_report_data": {"quote_signature:bad_signature"},
    "uncertified_key": {"quote_signature:rejected"},
    "foreign_pck": {"quote_signature:bad_signature"},
    "foreign_root": {"quote_signature:bad_signature"},
    "debug": {"quote_format:debug", "quote_signature:debug"},
    "sept_ve_enabled": {"quote_format:sept_ve"},
    "forged_compose": {"event_log:malformed"},
    "foreign_event_type": {"event_log:malformed"},
    "reordered_log": {"event_log:replay"},
    "truncated_log": {"event_log:replay"},
    "empty_log": {"event_log:malformed"},
    "unasked_report_data": {"statement:not_bound"},
    "measured_twice": {"event_log:claims"},
    "measured_late": {"event_log:claims"},
}


def test_every_lie_is_expected():
    """A new lie of the sandbox must be judged here as well."""
    assert set(EXPECTED) == set(LIES)


@pytest.mark.parametrize("lie", EXPECTED)
def test_each_lie_is_found_out(lie):
    """Whatever a machine answers instead of the truth is invalid, for the right reason."""
    found = judge(Plane(lie=lie))
    assert found.verdict == "invalid"
    assert set(codes(found)) >= EXPECTED[lie]


def test_no_failure_hides_another():
    """Three things wrong at once are three reasons."""
    found = judge(
        Plane(lie="other_size"),
        circumstances=asked(peer_spki=bytes(32), nonce=Nonce(bytes(32), NOW - 1)),
    )
    assert set(codes(found)) == {
        "measurements:unknown_image",
        "tls_key:other_peer",
        "nonce:other",
    }


@pytest.mark.parametrize(
    ("nonce", "verdict", "code"),
    [
        (Nonce(b"\1" * 32, NOW - 10), "invalid", "nonce:other"),
        (Nonce(NONCE, NOW - 10, used=True), "invalid", "nonce:reused"),
        (Nonce(NONCE, NOW - 61), "stale", "nonce:too_old"),
        (Nonce(NONCE, NOW + 1), "invalid", "nonce:future"),
        (None, "invalid", "nonce:none_issued"),
    ],
)
def test_an_answer_counts_once_and_soon(nonce, verdict, code):
    """Old, reused and other nonces prove nothing about now."""
    found = judge(circumstances=asked(nonce=nonce))
    assert (found.verdict, codes(found)) == (verdict, [code])


def test_a_nonce_in_its_last_second_is_fresh():
    """The age limit is inclusive."""
    assert judge(circumstances=asked(nonce=Nonce(NONCE, NOW - 60))).verdict == "verified"


@pytest.mark.parametrize(
    ("peer", "code"), [(bytes(32), "tls_key:other_peer"), (None, "tls_key:no_tls")]
)
def test_who_answers_is_who_proved_itself(peer, code):
    """Another key at the other end, or none, is refused."""
    found = judge(circumstances=asked(peer_spki=peer))
    assert (found.verdict, codes(found)) == ("invalid", [code])


def test_a_certificate_that_has_ended_is_stale():
    """The key may be right, but its holder should have renewed it."""
    assert judge(circumstances=asked(peer_ends=NOW + 1)).verdict == "verified"
    found = judge(circumstances=asked(peer_ends=NOW))
    assert (found.verdict, codes(found)) == ("stale", ["tls_key:certificate_ended"])


def test_keys_that_contradict_the_statement_are_refused():
    """The keys part may name no other TLS key, and no wallet that the statement does not cover."""
    keys = json.loads(Plane().bundle().keys)
    other = canonical_json({**keys, "tls_spki_sha256": "00" * 32})
    assert set(codes(judge(keys=other))) == {"tls_key:other_in_keys", "wallet_key:other_key_set"}
    fewer = canonical_json({**keys, "wallets": keys["wallets"][:1]})
    assert set(codes(judge(keys=fewer))) == {
        "wallet_key:other_key_set",
        "wallet_key:other_purposes",
    }


def test_a_key_of_another_app_or_of_nobody_s_making_is_refused():
    """The chain must lead to the pinned root for this app, and the key must sign the statement."""
    plane = Plane()
    keys = json.loads(plane.bundle().keys)
    for position, (algorithm, purpose) in enumerate(WALLETS):
        bent = json.loads(json.dumps(keys))
        stale = wallet(plane.machine, algorithm, purpose, b"another statement")
        bent["wallets"][position] = stale
        assert codes(judge(keys=canonical_json(bent))) == ["wallet_key:not_held"]
        bent["wallets"][position] = {
            **keys["wallets"][position],
            "signature_chain": keys["wallets"][1 - position]["signature_chain"],
        }
        assert codes(judge(keys=canonical_json(bent))) == ["wallet_key:not_released"]


@pytest.mark.parametrize(
    ("said", "verdict", "code"),
    [
        ({"plane": "hetzner"}, "invalid", "statement:other_plane"),
        ({"release": "r0"}, "invalid", "statement:other_release"),
        ({"expires": NOW}, "stale", "statement:expired"),
        ({"purpose": "something else"}, "invalid", "statement:malformed"),
        ({"more": "x"}, "invalid", "statement:malformed"),
        ({"app": "00" * 20}, "invalid", "app_id:not_by_statement"),
        ({"instance": "00" * 20}, "invalid", "instance:not_by_statement"),
        ({"keys": "00" * 32}, "invalid", "wallet_key:other_key_set"),
        ({"expires": True}, "invalid", "statement:malformed"),
        ({"nonce": "AA" * 32}, "invalid", "statement:malformed"),
    ],
)
def test_the_statement_must_be_about_this_plane(said, verdict, code):
    """A truly bound statement that says something else is refused."""
    found = judge(Plane(said=said))
    assert found.verdict == verdict
    assert code in codes(found)


def test_another_spelling_of_the_statement_is_refused():
    """Bound, and the same values, but not canonical: there is one text for one statement."""
    plane = Plane()
    spaced = json.dumps(json.loads(plane.statement())).encode()
    evidence = plane.machine.evidence(hashlib.sha512(spaced).digest())
    found = judge(quote=evidence.quote, statement=spaced)
    assert "statement:malformed" in codes(found)
    assert found.verdict == "invalid"


@pytest.mark.parametrize("part", ["quote", "event_log", "app_compose", "statement", "keys"])
def test_a_part_that_is_absent_is_missing(part):
    """Under a policy no part is optional."""
    found = judge(**{part: None})
    assert found.verdict == "missing"
    assert any(code.endswith(":absent") for code in codes(found, "missing"))


@pytest.mark.parametrize("part", ["quote", "event_log", "app_compose", "statement", "keys"])
def test_a_part_that_is_too_large_is_not_read(part):
    """Size comes before any parser."""
    found = judge(**{part: b" " * 300_000})
    assert found.verdict == "invalid"
    assert "size:too_large" in codes(found)


def test_a_plane_that_hands_over_nothing_is_missing():
    """No part, no proof."""
    found = judge(**dict.fromkeys(("quote", "event_log", "app_compose", "statement", "keys")))
    assert found.verdict == "missing"
    assert found.identity == ""


BAD_COMPOSE = {
    "unpinned_image": compose_text("registry.example/busybox:latest"),
    "unknown_script": compose_text(pre_launch_script="id"),
    "unexpected_env": compose_text(allowed_envs=["SECRET"]),
    "unexpected_service": compose_text(
        docker_compose_file="services:\n  other:\n    image: a@sha256:" + "0" * 64
    ),
    "code_from_elsewhere": compose_text(
        docker_compose_file="services:\n  agent:\n    build: .\n    image: a@sha256:" + "0" * 64
    ),
    "unreadable": compose_text(docker_compose_file="services: &x\n  agent: *x"),
}


@pytest.mark.parametrize("code", BAD_COMPOSE)
def test_an_allowed_hash_does_not_excuse_bad_content(code):
    """The list of hashes is made by people: what it allows is read all the same."""
    own = machine(compose=BAD_COMPOSE[code])
    found = judge(Plane(own), rules=policy(own))
    assert codes(found) == [f"compose_policy:{code}"]


@pytest.mark.parametrize(
    "text",
    [
        "services:\n  agent:\n    image: $IMAGE@sha256:" + "0" * 64,
        "services:\n  agent:\n    image: a@sha256:" + "0" * 63,
        "services:\n  agent:\n    image: a:latest\n    image: a@sha256:" + "0" * 64,
        "services:\n  agent: {<<: {image: a@sha256:" + "0" * 64 + "}}",
        "include: [other.yml]\nservices:\n  agent:\n    image: a@sha256:" + "0" * 64,
        "services: {}",
        "a: 1\n---\nb: 2",
        "[" * 5000,
        "!!python/object/apply:os.system [id]",
    ],
)
def test_compose_files_that_could_be_read_apart_are_refused(text):
    """Variables, repeated keys, merges, includes, several documents, tags and depth."""
    own = machine(compose=compose_text(docker_compose_file=text))
    found = judge(Plane(own), rules=policy(own))
    assert found.verdict == "invalid"
    assert all(code.startswith("compose_policy:") for code in codes(found))


def test_bytes_written_again_are_another_file():
    """The same JSON with other blanks has another hash."""
    again = json.dumps(json.loads(Machine(SEED).boot.compose), indent=1).encode()
    found = judge(app_compose=again)
    assert set(codes(found)) == {"compose_hash:other_file", "compose_policy:needs_compose_hash"}


@pytest.mark.parametrize(
    ("boot", "rules", "code"),
    [
        ({"mr_config": "unset"}, {}, "mr_config_id:unset"),
        ({}, {"instances": '["' + "0" * 40 + '"]'}, "instance:unknown"),
        ({}, {"app_id": "0" * 40}, "app_id:not_by_policy"),
        ({}, {"compose_hashes": '["' + "0" * 64 + '"]'}, "compose_hash:not_allowed"),
        ({}, {"rtmr1": "1" * 96}, "measurements:unknown_image"),
        ({}, {"wallet": ""}, "wallet_key:other_purposes"),
    ],
)
def test_each_line_of_the_policy_counts(boot, rules, code):
    """Changing one line changes the verdict, by that line's reason."""
    own = machine(**boot)
    found = judge(Plane(own), rules=policy(own, **rules))
    assert (found.verdict, codes(found)) == ("invalid", [code])


def test_mr_config_id_may_be_unset_only_where_the_policy_says_so():
    """`when_set` accepts zeros, and says that it proved nothing."""
    own = machine(mr_config="unset")
    found = judge(Plane(own), rules=policy(own, config_id="when_set"))
    assert found.verdict == "verified"
    assert "mr_config_id:unset" in codes(found, "not_asked")


def test_an_application_event_needs_its_name_in_the_policy():
    """Events after `system-ready` are refused unless named."""
    own = machine()
    own.emit("mpc-image-digest", b"x")
    assert codes(judge(Plane(own)))[0] == "event_log:claims"
    assert judge(Plane(own), rules=policy(events='["mpc-image-digest"]')).verdict == "verified"


def test_trust_on_first_use_is_said_for_ever():
    """Verified, but marked wherever the verdict is shown."""
    found = judge(rules=policy(source="first_use"))
    assert found.verdict == "verified"
    assert "TRUST ON FIRST USE" in found.marks()
    assert "TRUST ON FIRST USE" in observation("phala", found, NOW * 1000).marks
    assert "measurements:first_use" in codes(found, "warned")


def test_a_test_root_needs_its_loudly_named_line():
    """A policy without that root refuses it, and evidence under it fails under Intel's."""
    production = dataclasses.replace(policy(), test_root_sha256=None)
    found = judge(rules=production)
    assert (found.verdict, codes(found)) == ("invalid", ["root:test_root_refused"])
    found = judge(rules=production, circumstances=asked(root=None))
    assert found.verdict == "invalid"
    assert not found.test_root
    assert "quote_signature:bad_signature" in codes(found)


TCB = [
    ({"status": "UpToDate", "advisories": ["INTEL-DOC-10000"]}, {}, "verified"),
    ({"status": "UpToDate", "advisories": ["A"]}, {"rejected": '["A"]'}, "invalid"),
    ({"status": "SWHardeningNeeded", "advisories": ["A"]}, {}, "degraded"),
    ({"status": "SWHardeningNeeded", "advisories": ["A"]}, {"hardening": '["A"]'}, "verified"),
    ({"status": "SWHardeningNeeded", "advisories": ["A", "B"]}, {"hardening": '["A"]'}, "degraded"),
    ({"status": "SWHardeningNeeded"}, {"hardening": '["A"]'}, "degraded"),
    ({"status": "ConfigurationNeeded"}, {}, "degraded"),
    ({"status": "ConfigurationAndSWHardeningNeeded"}, {}, "degraded"),
    ({"status": "OutOfDate"}, {}, "degraded"),
    ({"status": "OutOfDateConfigurationNeeded"}, {}, "invalid"),
    ({"status": "Revoked"}, {}, "invalid"),
    ({"status": "NoMatchingLevel"}, {}, "invalid"),
    ({"module_status": "OutOfDate"}, {}, "degraded"),
    ({"qe_status": "OutOfDate"}, {}, "degraded"),
    ({"qe_status": "Revoked"}, {}, "invalid"),
]


@pytest.mark.parametrize(("level", "rules", "verdict"), TCB)
def test_each_level_of_the_platform_has_its_verdict(level, rules, verdict):
    """What the library only reports is judged here."""
    found = judge(papers=collateral(standard=level), rules=policy(**rules))
    assert found.verdict == verdict


def test_a_grace_is_counted_from_the_first_sighting_and_ends():
    """Held to the last second of the grace, refused from then on."""
    papers = collateral(standard={"status": "OutOfDate"})
    week = 7 * 86_400
    held = judge(papers=papers, circumstances=asked(out_of_date_since=NOW - week + 1))
    assert (held.verdict, held.deadline) == ("degraded", NOW + 1)
    over = judge(papers=papers, circumstances=asked(out_of_date_since=NOW - week))
    assert (over.verdict, codes(over)) == ("invalid", ["tcb:grace_over"])


@pytest.mark.parametrize(
    ("settings", "circumstances", "code"),
    [
        ({"tcb_info": {"age_seconds": 8 * 86_400}}, {}, "collateral:too_old"),
        ({"pck_crl": {"life_seconds": 3600}}, {}, "collateral:expired"),
        ({"tcb_info": {"age_seconds": -86_400}}, {}, "collateral:not_yet_valid"),
        ({}, {"floor": Floor(21, 0)}, "collateral:evaluation_went_down"),
        ({}, {"floor": Floor(0, 21)}, "collateral:evaluation_went_down"),
        ({}, {"last_seen": NOW + 1}, "clock:went_back"),
    ],
)
def test_our_own_trouble_is_not_the_plane_s(settings, circumstances, code):
    """Old collateral and a clock set back make a verdict unverifiable, never invalid."""
    found = judge(papers=collateral(**settings), circumstances=asked(**circumstances))
    assert found.verdict == "unverifiable"
    assert code in codes(found)


def test_without_collateral_nothing_is_verified():
    """A good quote that nobody can check is unverifiable."""
    from cutover.attestation.verifier import verify

    found = verify(Plane().bundle(), None, policy(), asked())
    assert found.verdict == "unverifiable"


def test_a_revoked_platform_is_invalid():
    """Revocation of the PCK certificate is the quote's failure."""
    found = judge(papers=collateral(revoked=["platform-1"]))
    assert (found.verdict, codes(found)[0]) == ("invalid", "quote_signature:revoked")


@pytest.mark.parametrize(
    ("change", "deadline"),
    [
        ({}, 300),
        ({"plane": {"expires": NOW + 10_000}}, 900),
        ({"circumstances": {"peer_ends": NOW + 7}}, 7),
    ],
)
def test_a_verdict_ends_with_its_first_part_to_end(change, deadline):
    """Statement, age limit or certificate: the earliest counts."""
    plane = Plane(**change.get("plane", {}))
    found = judge(plane, circumstances=asked(**change.get("circumstances", {})))
    assert found.deadline - NOW == deadline


def test_the_age_of_collateral_ends_a_verdict_too():
    """A verdict does not outlive the collateral's age limit."""
    papers = collateral()
    plane = Plane(expires=NOW + 10_000)
    late = papers.issued + 7 * 86_400 - 5
    found = judge(
        dataclasses.replace(plane, expires=late + 10_000),
        papers=papers,
        circumstances=asked(now=late, nonce=Nonce(NONCE, late), peer_ends=late + 9999),
    )
    assert (found.verdict, found.deadline) == ("verified", late + 5)


@pytest.mark.parametrize(
    "changed",
    [
        Plane(machine(disk="another")),
        Plane(tls_spki=hashlib.sha256(b"rotated").digest()),
        Plane(machine(compose=compose_text(name="second"))),
        Plane(wallets=WALLETS[:1]),
    ],
    ids=["instance", "tls key", "compose", "wallets"],
)
def test_identity_changes_with_code_instance_and_keys(changed):
    """What comes back from a change is another plane and starts at its gates."""
    again = judge(Plane(nonce=NONCE))
    assert again.identity == judge().identity
    found = judge(changed, circumstances=asked(peer_spki=changed.tls_spki))
    assert found.identity
    assert found.identity != again.identity


def test_identity_stays_over_nonces():
    """Another question to the same plane, the same identity."""
    other = b"\7" * 32
    found = judge(Plane(nonce=other), circumstances=asked(nonce=Nonce(other, NOW)))
    assert (found.verdict, found.identity) == ("verified", judge().identity)


def test_no_reasons_are_no_proof():
    """Empty is not verified, nor is anything without the signature."""
    assert amounts_to(()) == "unverifiable"
    assert amounts_to((passed(Step.SIZE, "x", "y"),)) == "unverifiable"


def test_every_outcome_but_three_keeps_from_verified():
    """A new outcome must take its place."""
    signed = passed(Step.QUOTE_SIGNATURE, "signed", "")
    for outcome in Outcome:
        reasons = (signed, dataclasses_replace(signed, step=Step.TCB, outcome=outcome))
        fine = outcome in {Outcome.PASSED, Outcome.WARNED, Outcome.NOT_ASKED}
        assert (amounts_to(reasons) == "verified") is fine


def dataclasses_replace(reason, **changes):
    import msgspec

    return msgspec.structs.replace(reason, **changes)


def test_a_live_look_without_a_policy_still_wants_nonce_and_key():
    """Leaving the policy out does not make a live judgement blind to freshness and channel."""
    from cutover.attestation.verifier import verify

    bundle = Bundle(quote=Plane().bundle().quote)
    circumstances = asked(nonce=None, peer_spki=None, root=root())
    found = verify(bundle, collateral(), None, circumstances)
    assert found.verdict == "invalid"
    assert TLS_SPKI.hex() not in found.tls_spki
