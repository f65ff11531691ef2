"""Units of conductor and gateway, and the pages that take an operator through all of it."""

import re
import shlex
import shutil
import subprocess

import pytest
import typer

from attestation.world import policy_text
from cli.hands import verbs
from cutover.cli.main import EXIT_CODES, app
from cutover.settings import load_settings
from deploy.deployment import DEPLOY, ROOT, unit

UNITS = sorted((DEPLOY / "gateway").glob("*.service"))
PAGES = [ROOT / f"docs/operating/{n}.md" for n in ("image", "hetzner", "phala", "gateway-hosts")]
HARDENED = {
    "NoNewPrivileges": "yes", "CapabilityBoundingSet": "", "ProtectSystem": "strict",
    "ProtectHome": "yes", "PrivateTmp": "yes", "PrivateDevices": "yes", "UMask": "0077",
    "ProtectKernelTunables": "yes", "ProtectKernelModules": "yes", "RestrictNamespaces": "yes",
    "RestrictSUIDSGID": "yes", "LockPersonality": "yes", "SystemCallArchitectures": "native",
    "StateDirectoryMode": "0700", "SystemCallErrorNumber": "EPERM",
}  # fmt: skip


def one(service, key):
    (value,) = service[key]
    return value


@pytest.mark.parametrize("path", UNITS, ids=lambda p: p.name)
class TestUnits:
    def test_it_is_hardened(self, path):
        """Each line that shuts a door is there, with that value."""
        service = unit(path)["Service"]
        assert {key: one(service, key) for key in HARDENED} == HARDENED
        assert service["SystemCallFilter"] == ["@system-service", "~@privileged"]

    def test_it_starts_a_verb_that_exists_with_options_that_exist(self, path):
        """As the program's own help has them."""
        program, verb, *rest = shlex.split(one(unit(path)["Service"], "ExecStart"))
        assert program.startswith("/usr/lib/")
        command = typer.main.get_command(app).commands[verb]
        options = {name for parameter in command.params for name in parameter.opts}
        assert {word for word in rest if word.startswith("-")} <= options

    def test_it_has_a_user_and_a_folder_of_its_own(self, path):
        """Named in sysusers; the folder is where it works, and is nobody else's."""
        service = unit(path)["Service"]
        user = one(service, "User")
        declared = (DEPLOY / "gateway/cutover.sysusers.conf").read_text()
        assert re.search(rf"^u {user}\s", declared, re.MULTILINE)
        assert one(service, "StateDirectory") == user
        assert one(service, "WorkingDirectory") == f"/var/lib/{user}"
        assert [one(unit(p)["Service"], "User") for p in UNITS].count(user) == 1

    def test_it_is_started_again_unless_a_person_must_look(self, path):
        """The exit codes that are excepted are the program's own."""
        service = unit(path)["Service"]
        assert one(service, "Restart") in ("always", "on-failure")
        excepted = {int(code) for code in one(service, "RestartPreventExitStatus").split()}
        assert 2 in excepted
        assert excepted <= EXIT_CODES.keys()
        assert 1 not in excepted

    def test_no_secret_is_in_it(self, path):
        """Keys come from a file that root alone reads."""
        service = unit(path)["Service"]
        assert one(service, "EnvironmentFile").startswith("/etc/cutover/")
        assert "Environment" not in service


def test_systemd_itself_accepts_the_units(tmp_path):
    """`systemd-analyze verify`, with a program in place of ours, which is not installed here."""
    judge = shutil.which("systemd-analyze")
    if judge is None:
        pytest.skip("no systemd-analyze is on this system, so it did not judge deploy/gateway")
    copies = []
    for path in UNITS:
        text = path.read_text().replace("/usr/lib/cutover/bin/cutover", "/bin/true")
        copies.append(tmp_path / path.name.replace("@.", "@gw-1."))
        copies[-1].write_text(text)
    said = subprocess.run(
        [judge, "verify", "--man=no", *copies], capture_output=True, text=True, check=False,
        timeout=30,
    )  # fmt: skip
    ours = [line for line in said.stderr.splitlines() if "cutover" in line]
    assert (said.returncode, ours) == (0, [])


def test_a_gateway_may_end_its_payments():
    """The time that the documents promise."""
    (path,) = [path for path in UNITS if "gateway" in path.name]
    assert one(unit(path)["Service"], "TimeoutStopSec") == "75s"


def examples(page):
    """Each example of a page by name."""
    found = re.findall(
        r"<!-- example: (\w+) -->\n\s*```toml\n(.*?)```", page.read_text(), re.DOTALL
    )
    return {name: re.sub(r"^ {3}", "", text, flags=re.MULTILINE) for name, text in found}


ENVIRONMENT = dict.fromkeys(
    ("HETZNER_AGENT_KEY", "PHALA_AGENT_KEY", "AGENT_API_KEY", "PING_PAY_WEBHOOK_SECRET"), "k" * 24
)


@pytest.mark.parametrize("name", ["conductor", "node"])
def test_the_hosts_configurations_load(name, tmp_path):
    """With the variables that the page puts into the environment files."""
    config = tmp_path / "cutover.toml"
    config.write_text(examples(PAGES[3])[name])
    (tmp_path / "phala-policy.toml").write_text(policy_text())
    settings = load_settings(config, ENVIRONMENT)
    assert str(settings.conductor.data).startswith("/var/lib/cutover-")
    assert settings.gateway is not None


def test_the_planes_tables_are_those_of_the_conductor_s_example():
    """A reader who follows all pages ends with one file."""
    whole = examples(PAGES[3])["conductor"]
    assert examples(PAGES[1])["hetzner"] in whole
    assert examples(PAGES[2])["phala"] in whole


def code(page):
    """Everything that a page sets as code."""
    text = page.read_text()
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL) + re.findall(r"`([^`\n]+)`", text)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_its_commands_and_files_exist(page):
    """Each verb of ours, each file of this repository that is named."""
    known = {" ".join(words) for words in verbs()}
    texts = code(page)
    assert len(texts) > 5
    for words in re.findall(r"\bcutover ((?:attest )?[a-z-]+)(?= [/A-Za-z`-]|$)", "\n".join(texts)):
        assert words in known, words
    for path in re.findall(r"(?<![\w/])((?:deploy|requirements|packages)/[\w./*-]+)", str(texts)):
        assert list(ROOT.glob(path.rstrip("."))), path


def test_the_pages_are_led_to():
    """From the page that has the order of work."""
    text = (ROOT / "docs/operating/real-hosts.md").read_text()
    assert all(f"({page.name})" in text for page in PAGES)


def test_no_text_of_a_deployment_names_a_registry():
    """Images come from wherever the operator has them."""
    places = [p for p in [*DEPLOY.rglob("*"), *PAGES] if p.is_file() and p.suffix != ".pyc"]
    assert len(places) > 12
    host = re.compile(r"\b(?:ghcr|quay|gcr|docker|ecr)\.(?:io|com)\b|\bhub\.docker\b")
    assert [str(path) for path in places if host.search(path.read_text("utf-8"))] == []
