"""Verbs that need no run: help, lint, schema, plans; and what the exit codes say."""

import json
import tomllib
from pathlib import Path

import pytest

import jsonschema_lite
from attestation.world import policy_text, root
from cli.hands import verbs
from cutover.attestation.collateral import root_sha256
from cutover.cli.main import EXIT_CODES
from cutover.errors import CutoverError

ROOT = Path(__file__).parents[2]
RUNBOOKS = sorted((ROOT / "runbooks").glob("*.toml"))
CONFIG = """\
[conductor]
data = "run"
[gateway]
key = "PLANTED-client-0123"
[planes.hetzner]
url = "http://127.0.0.1:1"
key = "PLANTED-hetzner-0123"
[planes.phala]
url = "http://127.0.0.1:2"
key = "PLANTED-phala-0123"
"""
BELIEVED = ('\nevidence = "verified"', '\nevidence = "reported"')
"""What a rehearsal may believe; money never moves on it."""


@pytest.fixture
def place(tmp_path):
    (tmp_path / "cutover.toml").write_text(CONFIG)
    demo = (ROOT / "runbooks/demo.toml").read_text("utf-8")
    (tmp_path / "demo.toml").write_text(demo.replace(*BELIEVED))
    return tmp_path


@pytest.mark.parametrize("verb", verbs(), ids=" ".join)
def test_every_verb_explains_itself(cutover, verb):
    """`--help` works for each, says what it does, and exits 0."""
    said = cutover(*verb, "--help")
    assert said.code == 0
    assert said.out.startswith(f"Usage: cutover {' '.join(verb)}")
    assert len(said.out.splitlines()) > 4


def test_the_exit_codes_are_in_the_help(cutover):
    """Nobody has to read the source for them."""
    said = " ".join(cutover("--help").out.split())
    assert all(f"{code} {text}" in said for code, text in EXIT_CODES.items())


def test_every_error_of_ours_has_a_documented_code():
    """No class of error ends with a code that the table does not know."""
    kinds = [CutoverError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    assert {kind.exit_code for kind in kinds} <= set(EXIT_CODES)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), 2),
        (("preflight", "demo.toml", "--config", "nowhere.toml"), 2),
        (("preflight", "nowhere.toml"), 2),
        (("preflight", "demo.toml"), 1),
        (("run", "demo.toml"), 3),
        (("bogus",), 2),
        (("hold",), 2),
        (("run", "demo.toml", "--config", "nowhere.toml"), 2),
        (("run", "nowhere.toml"), 2),
        (("run", "broken.toml"), 2),
        (("run", "demo.toml", "--config", "broken.toml"), 2),
        (("gateway", "--config", "broken.toml"), 2),
        (("gateway",), 2),
        (("postcheck", "demo.toml", "--config", "broken.toml"), 2),
        (("lint", "nowhere.toml"), 2),
        (("lint", "broken.toml"), 1),
        (("disarm", "x", "--reason", "y", "--expires", "5d"), 2),
        (("demo", "--fault", "nothing-like-it"), 2),
        (("postcheck", "demo.toml"), 4),
        (("verify-log", "nowhere.db"), 4),
        (("archive", "verify", "nowhere.zip"), 4),
        (("archive", "create", "nowhere.db", "-o", "x.zip"), 4),
        (("status",), 5),
        (("explain",), 5),
        (("hold", "--reason", "x"), 5),
        (("forget", "node-1", "--reason", "x"), 5),
        (("schema",), 0),
        (("--version",), 0),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_the_table_of_exit_codes_is_true(cutover, place, words, code):
    """Each kind of trouble ends with its code, an explanation on standard error, no traceback."""
    (place / "broken.toml").write_text("[conductor]\nport = \n")
    said = cutover(*words, cwd=place, data=place / "nothing")
    assert said.code == code, said.all
    assert "Traceback" not in said.all
    if code in (2, 4, 5):
        assert said.err
    assert not (place / "run" / "journal.db").exists()


def test_a_bad_configuration_is_named_by_file_and_line(cutover, place):
    """The message can be clicked on."""
    (place / "bad.toml").write_text(CONFIG.replace("[gateway]", "[gateway]\nport = 99999"))
    said = cutover("run", "demo.toml", "--config", "bad.toml", cwd=place)
    assert said.code == 2
    assert "bad.toml:4: gateway.port: " in said.err
    assert "PLANTED" not in said.all


def test_a_bad_runbook_is_named_by_file_and_line(cutover, place):
    """And nothing was started."""
    text = (place / "demo.toml").read_text().replace('readiness_every = "500ms"', "")
    (place / "bad.toml").write_text(text)
    said = cutover("run", "bad.toml", cwd=place)
    assert said.code == 2
    assert "bad.toml:" in said.err
    assert "readiness_every" in said.err
    assert not (place / "run").exists()


def test_a_rehearsal_off_loopback_is_refused(cutover, place):
    """It goes on without what production waits for."""
    (place / "cutover.toml").write_text(CONFIG.replace("http://127.0.0.1:2", "https://x.example"))
    said = cutover("run", "demo.toml", cwd=place)
    assert said.code == 2
    assert "not on loopback" in said.err


def test_a_dry_run_starts_nothing(cutover, place):
    """It prints the stages and leaves no trace: no directory, no token, no journal."""
    before = sorted(p.name for p in place.iterdir())
    said = cutover("run", "demo.toml", "--dry-run", cwd=place)
    assert said.code == 0
    for word in ("hetzner -> phala", "nothing was started", "shadow", "primary", "pay 50%"):
        assert word in said.out
    assert sorted(p.name for p in place.iterdir()) == before


CONDUCTOR = """[conductor]
near_rpc = ["https://rpc.example"]
near_sender = "a.near"
reference_url = "https://status.example"
"""
WHOLE = (
    ("[planes.hetzner]", '[planes.hetzner]\nimage = "agent@sha256:0a"'),
    ("[planes.phala]", '[planes.phala]\nimage = "agent@sha256:0a"'),
    ("[conductor]", CONDUCTOR),
    ("[gateway]", '[gateway]\nurl = "https://agents.example"\nwebhook_secret = "PLANTED-hook"'),
)  # fmt: skip
VERIFIED = (
    '[attestation]\npolicy = "policy.toml"\n',
    ("http://127.0.0.1:2", "https://127.0.0.1:2"),
)
MISSING = [
    "planes.hetzner.image", "gateway.url", "conductor.near_rpc", "gateway.webhook_secret",
    "conductor.reference_url",
]  # fmt: skip
"""What phala runs is in the compose file that it proves."""


def test_a_dry_run_advises_what_the_gates_will_need(cutover, place):
    """Each missing setting is named, as text and as JSON; with all of them there is no advice."""
    live = '[live]\nanalyze = "analyze a/b"\ncreate = "create a/b"\npay = "pay 0.01 USDC to a/b"\n'
    live += VERIFIED[0]
    (place / "policy.toml").write_text(policy_text(production=True))
    dry = ("run", RUNBOOKS[0].with_name("phased.toml"), "--dry-run")
    (place / "cutover.toml").write_text(CONFIG.replace(*VERIFIED[1]) + live)
    found = json.loads(cutover(*dry, "--json", cwd=place).out)
    assert [stage["name"] for stage in found["stages"]] == ["shadow", "canary", "mixed", "primary"]
    assert [one["setting"] for one in found["advice"]] == MISSING
    said = cutover(*dry, cwd=place)
    assert said.code == 0
    assert [f"advice: {name} is not set: " in said.out for name in MISSING] == [True] * len(MISSING)
    whole = CONFIG.replace(*VERIFIED[1]) + live
    for old, new in WHOLE:
        assert whole.count(old) == 1
        whole = whole.replace(old, new)
    (place / "cutover.toml").write_text(whole)
    assert json.loads(cutover(*dry, "--json", cwd=place).out)["advice"] == []
    assert (
        json.loads(cutover("run", "demo.toml", *dry[2:], "--json", cwd=place).out)["advice"] == []
    )


def test_a_dry_run_says_how_the_candidate_is_verified(cutover, place):
    """Policy, services, root and the marks to come; and that a report is believed, where it is."""
    (place / "phased.toml").write_text((ROOT / "runbooks/demo.toml").read_text("utf-8"))
    (place / "policy.toml").write_text(policy_text())
    (place / "root.der").write_bytes(root())
    more = VERIFIED[0] + 'pccs = ["https://pccs.example"]\nunsafe_test_root = "root.der"\n'
    (place / "cutover.toml").write_text(CONFIG.replace(*VERIFIED[1]) + more)
    found = json.loads(cutover("run", "phased.toml", "--dry-run", "--json", cwd=place).out)
    assert found["attestation"] == {
        "evidence": "verified", "policy": str(place / "policy.toml"), "plane": "phala",
        "release": "r1", "services": ["https://pccs.example"],
        "root": f"TEST ROOT {root_sha256(root())}", "marks": ["TEST ROOT"],
    }  # fmt: skip
    said = cutover("run", "phased.toml", "--dry-run", cwd=place).out
    assert "every verdict will be marked TEST ROOT" in said
    (place / "reported.toml").write_text((place / "phased.toml").read_text().replace(*BELIEVED))
    said = cutover("run", "reported.toml", "--dry-run", cwd=place).out
    assert "[attestation] is not used by this runbook" in said
    assert sorted(path.suffix for path in place.iterdir()) == [".der", *[".toml"] * 5]


def test_a_dry_postcheck_names_the_checks(cutover, place):
    """For people and as JSON."""
    said = cutover("postcheck", "demo.toml", "--dry-run", cwd=place)
    assert said.code == 0
    assert said.out.count("would check") == 4
    found = json.loads(cutover("postcheck", "demo.toml", "--dry-run", "--json", cwd=place).out)
    assert len(found) == 4
    assert all(set(one) == {"name", "clause"} for one in found)


def test_lint_prints_the_odds(cutover):
    """What a flaky canary would do over a whole run, for three rates."""
    said = cutover("lint", *RUNBOOKS)
    assert said.code == 0
    assert said.out.count(": odds of a spurious rollback") == len(RUNBOOKS)
    assert all(f"{rate}%" in said.out for rate in ("0.1", "1.0", "5.0"))


def test_lint_as_json(cutover):
    """Findings and odds, one report a file."""
    reports = json.loads(cutover("lint", *RUNBOOKS, "--json").out)
    assert [Path(one["source"]) for one in reports] == RUNBOOKS
    for one in reports:
        assert set(one) == {"source", "findings", "odds", "verdict"}
        assert all(0 <= odds <= 1 for _, odds in one["odds"])
        assert [rate for rate, _ in one["odds"]] == sorted(rate for rate, _ in one["odds"])


def test_lint_fails_with_its_finding(cutover, place):
    """The first line is file, line, what was seen and what is expected."""
    (place / "bad.toml").write_text("[runbook]\nname = 5\n")
    said = cutover("lint", "bad.toml", cwd=place)
    assert said.code == 1
    assert "bad.toml:2: error: runbook.name: saw 5; expected" in said.out


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda p: p.name)
def test_the_schema_describes_our_runbooks(cutover, path):
    """Each shipped runbook has the shape that the schema prints; a wrong one has not."""
    schema = json.loads(cutover("schema").out)
    values = tomllib.loads(path.read_text("utf-8"))
    assert jsonschema_lite.faults(schema, values) == []
    del values["timing"]["canary_every"]
    values["stage"][0]["surprise"] = 1
    assert len(jsonschema_lite.faults(schema, values)) >= 2
