"""The planes' compose files as they are rendered: pinned, unprivileged, without a secret, true."""

import hashlib
import json
import re
import tomllib
from collections import defaultdict
from dataclasses import fields

import pytest

from agent_runtime.settings import Settings
from agent_runtime.variables import variable_of
from cutover.attestation.compose import ComposePolicy, judge_compose, services
from cutover.attestation.verdict import Outcome
from cutover.conductor.preconditions.changes import LOADERS, MAY_MOUNT, changed_by_service
from cutover.conductor.preconditions.image import digest_of
from cutover.deployed import plane_access
from cutover.settings import load_settings
from deploy.deployment import AGENT, CADDY, DEPLOY, ROOT, plain, render, variables
from sandbox.credentials import Credentials

VARIABLES = {variable_of(item).name: variable_of(item) for item in fields(Settings)}
HETZNER = ("hetzner", "--agent", AGENT, "--caddy", CADDY, "--domain", "agent.hetzner.example")
EXAMPLE = (DEPLOY / "agent.env.example").read_text("utf-8")
SECRETS = re.findall(r"^([A-Z_]+)=$", EXAMPLE, re.MULTILINE)


@pytest.fixture(scope="module")
def planes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planes")
    for words in (HETZNER, ("phala", "--agent", AGENT)):
        said = render(*words, "-o", folder / words[0])
        assert said.returncode == 0, said.stderr
        (folder / f"{words[0]}.said").write_text(said.stdout)
    return folder


@pytest.fixture(scope="module")
def composed(planes):
    return {
        "hetzner": plain(planes / "hetzner/compose.yaml"),
        "phala": plain(planes / "phala/docker-compose.yaml"),
    }


@pytest.mark.parametrize(
    "words",
    [
        ("phala", "--agent", "images.example/agent:2.0"),
        ("phala", "--agent", f"{AGENT}0"),
        ("phala", "--agent", "${AGENT_IMAGE}"),
        ("hetzner", "--agent", AGENT, "--caddy", "caddy:2", "--domain", "a.example"),
        ("hetzner", "--agent", AGENT, "--caddy", CADDY, "--domain", "a.example {"),
        ("hetzner", "--agent", AGENT, "--caddy", CADDY),
        ("phala", "--agent", AGENT, "--settings", "none.env"),
        ("phala", "--agent", AGENT, "--settings", DEPLOY / "agent.env.example"),
    ],
)
def test_what_is_not_pinned_or_no_name_is_refused(words, tmp_path):
    """Exit 2, and not a file is written."""
    said = render(*words, "-o", tmp_path / "out")
    assert said.returncode == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("NEAR_PRIVATE_KEY=ed25519:PLANTED", "s.env:2: NEAR_PRIVATE_KEY is none of"),
        ("AGENT_ALLOWED_TOKENS=${PLANTED}", "s.env:2: expected NAME=VALUE"),
        ('AGENT_ALLOWED_TOKENS="PLANTED"', "s.env:2: expected NAME=VALUE"),
        ("PLANTED", "s.env:2: expected NAME=VALUE"),
        ("AGENT_STRICT_PAY=true\nAGENT_STRICT_PAY=true", "s.env:3: AGENT_STRICT_PAY is twice"),
    ],
)
def test_a_setting_that_is_none_is_refused_by_line_and_not_repeated(tmp_path, line, said):
    """A secret at the wrong place would end in a file that is measured and shown."""
    (tmp_path / "s.env").write_text(f"# mine\n{line}\n")
    words = ("phala", "--agent", AGENT, "--settings", tmp_path / "s.env")
    answer = render(*words, "-o", tmp_path / "out")
    assert answer.returncode == 2
    assert said in answer.stderr
    assert "PLANTED" not in answer.stderr
    assert not (tmp_path / "out").exists()


def test_settings_are_in_both_planes_files_and_the_runtime_reads_them(tmp_path):
    """The same file for both: measured on the attested plane, and equal by parity."""
    text = (DEPLOY / "settings.env.example").read_text("utf-8")
    names = re.findall(r"^([A-Z0-9_]+)=$", text, re.MULTILINE)
    assert not {VARIABLES[name].secret or VARIABLES[name].own for name in names} & {True}
    assert not set(names) & set(SECRETS)
    assert {"AGENT_ALLOWED_TOKENS", "AGENT_MAX_PAYOUT_AMOUNT", "TEST_CANARY_REPOS"} <= set(names)
    filled = text.replace("AGENT_MAX_PAYOUT_AMOUNT=", "AGENT_MAX_PAYOUT_AMOUNT=12.5")
    filled = filled.replace("AGENT_TOKEN_LIMITS=", "AGENT_TOKEN_LIMITS=NEAR=5/50, USDC=10/100")
    (tmp_path / "s.env").write_text(filled)
    for words in (HETZNER, ("phala", "--agent", AGENT)):
        said = render(*words, "--settings", tmp_path / "s.env", "-o", tmp_path / words[0])
        assert said.returncode == 0, said.stderr
    files = [tmp_path / "hetzner/compose.yaml", tmp_path / "phala/docker-compose.yaml"]
    for path in files:
        told = variables(plain(path)["agent"])
        assert told["AGENT_MAX_PAYOUT_AMOUNT"] == "12.5"
        assert told["AGENT_TOKEN_LIMITS"] == "NEAR=5/50, USDC=10/100"
        assert "AGENT_ALLOWED_TOKENS" not in told
    measured = json.loads((tmp_path / "phala/app-compose.json").read_bytes())
    assert "AGENT_MAX_PAYOUT_AMOUNT=12.5" in measured["docker_compose_file"]
    assert "AGENT_MAX_PAYOUT_AMOUNT" not in measured["allowed_envs"]


def test_every_image_is_pinned_and_both_planes_run_one(composed):
    """In full, without a variable; the runtime's digest is also what the runtime is told."""
    for found in composed.values():
        assert all(digest_of(service["image"]) for service in found.values())
        assert found["agent"]["image"] == AGENT
        assert variables(found["agent"])["IMAGE_DIGEST"] == digest_of(AGENT)
        assert not any("build" in service for service in found.values())


def test_nothing_has_rights_that_it_needs_not(composed):
    """No root, no capability, no writable root, no new privileges; Caddy may bind its ports."""
    for name, found in composed.items():
        for which, service in found.items():
            assert service["read_only"] is True, (name, which)
            assert service["cap_drop"] == ["ALL"]
            assert service["security_opt"] == ["no-new-privileges:true"]
            assert not service.keys() & {"privileged", "network_mode", "pid", "ipc", "devices"}
        assert found["agent"]["user"] == "10001:10001"
        assert "cap_add" not in found["agent"]
        assert "docker.sock" not in str(found)
    assert composed["hetzner"]["caddy"]["cap_add"] == ["NET_BIND_SERVICE"]
    assert "ports" not in composed["hetzner"]["agent"]


def test_variables_are_the_runtime_s_and_secrets_come_from_outside(composed):
    """Each name is one that the runtime reads; no secret has a value in any file."""
    for found in composed.values():
        told = variables(found["agent"])
        assert told.keys() <= VARIABLES.keys()
        assert not any(VARIABLES[name].secret for name, value in told.items() if value is not None)
    assert set(SECRETS) <= VARIABLES.keys()
    assert len(SECRETS) == len(set(SECRETS)) > 15
    needed = {name for name, one in VARIABLES.items() if one.secret}
    assert needed - set(SECRETS) == {"OTEL_EXPORTER_OTLP_HEADERS"}
    assert composed["hetzner"]["agent"]["env_file"] == ["agent.env"]


def test_both_planes_start_with_what_they_are_told(composed):
    """The runtime accepts the whole, production rules and all; what both share is the same."""
    urls = defaultdict(lambda: "https://rail.example")
    rails = Credentials.generate().common_env(urls)
    given = {name: rails.get(name, "") for name in SECRETS}
    given |= {"AGENT_SERVER_API_KEY": "k" * 24, "PARITY_KEY": "p" * 24, "NEAR_ACCOUNT_ID": ""}
    read = {}
    for plane, found in composed.items():
        told = {name: value for name, value in variables(found["agent"]).items() if value}
        read[plane] = Settings.from_environ({**given, **told})
        assert read[plane].production
        assert read[plane].plane_id == plane
    assert (read["hetzner"].attested, read["phala"].attested) == (False, True)
    differ = [
        variable_of(item)
        for item in fields(Settings)
        if getattr(read["hetzner"], item.name) != getattr(read["phala"], item.name)
    ]
    assert [one.name for one in differ if not one.own] == []


def test_our_own_policy_accepts_the_attested_file(planes):
    """As the conductor judges it: one service, pinned, no variable beyond those that are listed."""
    raw = (planes / "phala/app-compose.json").read_bytes()
    envs = frozenset([*SECRETS, "AGENT_TLS_NAMES"])
    policy = ComposePolicy(frozenset({"agent"}), envs, frozenset())
    assert [reason.outcome for reason in judge_compose(raw, policy)] == [Outcome.PASSED]
    strict = ComposePolicy(frozenset({"agent"}), envs - {"NEAR_PRIVATE_KEY"}, frozenset())
    assert [reason.code for reason in judge_compose(raw, strict)] == ["unexpected_env"]
    assert hashlib.sha256(raw).hexdigest() in (planes / "phala.said").read_text()


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (AGENT, "images.example/agent:2.0", "unpinned_image"),
        (AGENT, "${AGENT_IMAGE}", "unpinned_image"),
        ("    read_only: true", "    build: .", "code_from_elsewhere"),
        ("\nvolumes:", "  other:\n    image: " + AGENT + "\n\nvolumes:", "unexpected_service"),
    ],
)
def test_our_own_policy_names_what_would_spoil_it(planes, old, new, code):
    """A tag, a variable for an image, code from elsewhere, a second service."""
    whole = json.loads((planes / "phala/app-compose.json").read_bytes())
    text = whole["docker_compose_file"]
    assert text.count(old) == 1
    raw = json.dumps({**whole, "docker_compose_file": text.replace(old, new)}).encode()
    policy = ComposePolicy(frozenset({"agent"}), frozenset(whole["allowed_envs"]), frozenset())
    assert code in [reason.code for reason in judge_compose(raw, policy)]


def test_neither_file_changes_what_its_image_runs(composed):
    """By the rules that a preflight judges an engine's record and a compose file by."""
    for found in composed.values():
        assert changed_by_service(found["agent"], MAY_MOUNT) == []
    names = variables(composed["phala"]["agent"])
    assert not set(LOADERS) & set(names)


def test_the_page_lists_the_names_that_the_policy_may_allow(planes):
    """Exactly those of the rendered file."""
    page = (ROOT / "docs/operating/phala.md").read_text("utf-8")
    block = re.search(r"<!-- allowed envs -->\n\s*```toml\n(.*?)```", page, re.DOTALL)[1]
    raw = json.loads((planes / "phala/app-compose.json").read_bytes())
    assert tomllib.loads(block)["allowed_envs"] == sorted(raw["allowed_envs"])


def test_the_attested_file_is_the_compose_file_with_the_socket(planes, composed):
    """Nothing is lost on the way, and the guest agent is reached where the runtime looks."""
    raw = (planes / "phala/app-compose.json").read_bytes()
    written = (planes / "phala/docker-compose.yaml").read_text()
    assert json.loads(raw)["docker_compose_file"] == written
    agent = services(raw)["agent"]
    assert "/var/run/dstack.sock:/var/run/dstack.sock" in agent["volumes"]
    told = variables(composed["phala"]["agent"])
    assert (told["DSTACK_ENDPOINT"], told["AGENT_TLS"]) == ("/var/run/dstack.sock", "attested")
    assert set(json.loads(raw)["allowed_envs"]) == {n for n, v in told.items() if v is None}


def test_the_conductor_reads_the_fallback_s_record(planes, tmp_path):
    """The very file that is deployed, named in the configuration."""
    config = planes / "cutover.toml"
    config.write_text(
        '[planes.hetzner]\nurl = "https://h.example"\nkey = "key-of-hetzner"\n'
        'compose = "hetzner/compose.yaml"\n'
        '[planes.phala]\nurl = "https://p.example"\nkey = "key-of-phala"\n'
    )
    access = plane_access(load_settings(config))["hetzner"]
    assert (access.image, access.record) == (AGENT, "compose.yaml, service agent")
