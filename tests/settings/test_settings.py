"""The deployment's file: every fault by file and line, secrets one way each and never shown."""

import pytest

from cutover.attestation import services
from cutover.errors import ConfigurationError
from cutover.runbook.intent import Intent
from cutover.settings import FILE_BYTES_MAX, load_settings

GOOD = """\
[conductor]
port = 8410
data = "run"

[gateway]
key_env = "CLIENT_KEY"
webhook_secret_env = "HOOK"
deadlines_ms = { pay = 90000 }

[planes.hetzner]
url = "https://hetzner.example/agent/"
key_file = "keys/hetzner"

[planes.phala]
url = "https://phala.example:8443"
key = "phala-key-SECRET"
"""
ENVIRONMENT = {"CLIENT_KEY": " client-key-SECRET\n", "HOOK": "hook-SECRET"}


def load(folder, text=GOOD, environment=ENVIRONMENT):
    (folder / "keys").mkdir(exist_ok=True)
    (folder / "keys/hetzner").write_text("hetzner-key-SECRET\n")
    path = folder / "cutover.toml"
    path.write_text(text)
    return load_settings(path, environment)


def fault(folder, *changes, environment=ENVIRONMENT):
    """The message about a changed file, with the folder left out."""
    text = GOOD
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    with pytest.raises(ConfigurationError) as caught:
        load(folder, text, environment)
    return str(caught.value).replace(f"{folder}/", "")


def test_secrets_come_from_three_places(tmp_path):
    """The environment, a file, or the configuration itself; blanks around them do not count."""
    settings = load(tmp_path)
    keys = {name: plane.key.get_secret_value() for name, plane in settings.planes.items()}
    assert keys == {"hetzner": "hetzner-key-SECRET", "phala": "phala-key-SECRET"}
    assert settings.gateway.key.get_secret_value() == "client-key-SECRET"
    assert settings.gateway.webhook_secret.get_secret_value() == "hook-SECRET"


def test_no_secret_shows(tmp_path):
    """Neither a representation, nor a dump for people, nor JSON has one in it."""
    settings = load(tmp_path)
    for shown in (
        repr(settings),
        str(settings),
        settings.model_dump_json(),
        f"{settings.gateway!r}",
    ):
        assert "SECRET" not in shown


def test_paths_are_relative_to_the_file(tmp_path, monkeypatch):
    """Wherever the command is given, the run's directory is the same."""
    monkeypatch.chdir("/")
    settings = load(tmp_path)
    assert settings.conductor.data == tmp_path / "run"
    assert settings.gateway.state == tmp_path / "run" / "gateway-node-1"
    placed = load(tmp_path, GOOD.replace('data = "run"', f'data = "{tmp_path}/x"'))
    assert placed.conductor.data == tmp_path / "x"
    stated = load(tmp_path, GOOD.replace("deadlines_ms", 'state = "node"\ndeadlines_ms'))
    assert stated.gateway.state == tmp_path / "node"


def test_addresses_lose_their_last_slash(tmp_path):
    """A base path stays, so that a plane may live under one."""
    settings = load(tmp_path)
    assert settings.planes["hetzner"].url == "https://hetzner.example/agent"


def test_what_is_left_out_has_the_documented_defaults(tmp_path):
    """The shortest file that works: two planes with keys."""
    text = GOOD[GOOD.index("[planes.hetzner]") :]
    settings = load(tmp_path, text)
    assert settings.gateway is None
    assert (settings.conductor.host, settings.conductor.port) == ("127.0.0.1", 0)
    assert set(settings.texts()) == {Intent.ANALYZE, Intent.CREATE, Intent.PAY}


THIRD = '[planes.third]\nurl = "http://x"\nkey = "key-of-third"\n'
HOOK = 'webhook_secret_env = "HOOK"'
URL = "https://phala.example:8443"
KEY = 'key = "phala-key-SECRET"'


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("port = 8410", "port = 70000", "cutover.toml:2: conductor.port: "),
        ("port = 8410", 'port = "SECRET"', "cutover.toml:2: conductor.port: "),
        ("port = 8410", "prot = 8410", "cutover.toml:2: conductor.prot: Extra inputs"),
        ("port = 8410", "port =", "cutover.toml:2: not valid TOML"),
        ("[gateway]", "[gateway", "cutover.toml:5: not valid TOML"),
        ("{ pay = 90000 }", "{ pay = 0 }", "cutover.toml:8: gateway.deadlines_ms.pay: "),
        ("{ pay = 90000 }", "{ tip = 5 }", "cutover.toml:8: gateway.deadlines_ms.tip"),
        (URL, "ftp://SECRET", "cutover.toml:15: planes.phala.url: "),
        (URL, "https://u:SECRET@x", "cutover.toml:15: planes.phala.url: "),
        (URL, "https://x:99999", "cutover.toml:15: planes.phala.url: "),
        (URL, "https://x:0", "cutover.toml:15: planes.phala.url: "),
        (URL, "https://[::1", "cutover.toml:15: planes.phala.url: "),
        (URL, "https://x/?k=SECRET", "cutover.toml:15: planes.phala.url: "),
        (URL, "https://x y", "cutover.toml:15: planes.phala.url: "),
        (URL, "https://ph\xe4la", "cutover.toml:15: planes.phala.url: "),
        (KEY, "", "cutover.toml:14: planes.phala: none of key, key_env, key_file given"),
        (KEY, KEY + '\nkey_env = "X"', "cutover.toml:14: planes.phala: key and key_env of"),
        (KEY, 'key = ""', "cutover.toml:16: planes.phala.key: the key is empty"),
        (KEY, 'key = "SECRET and more"', "cutover.toml:16: planes.phala.key: the key is empty"),
        (KEY, 'key = "SECR\xc9T"', "cutover.toml:16: planes.phala.key: the key is empty"),
        (KEY, f'key = "{"SECRET" * 50}"', "cutover.toml:16: planes.phala.key: the key is empty"),
        (KEY, 'key_env = ""', "cutover.toml:16: planes.phala.key_env: it names '', which is unset"),
        (KEY, 'key_env = "NOPE"', "cutover.toml:16: planes.phala.key_env: it names 'NOPE'"),
        (KEY, "key = 5", "cutover.toml:16: planes.phala.key: Input should be a valid string"),
        ("keys/hetzner", "keys/none", "cutover.toml:12: planes.hetzner.key_file: keys/none cannot"),
        ("keys/hetzner", "keys", "cutover.toml:12: planes.hetzner.key_file: keys cannot be read"),
        ('"HOOK"', '"NOPE"', "cutover.toml:7: gateway.webhook_secret_env: it names 'NOPE'"),
        (HOOK, 'webhook_secret = ""', "cutover.toml:7: gateway.webhook_secret: the secret is"),
        (
            HOOK,
            'webhook_secret_env = "HOOK"\nwebhook_secret = "SECRET"',
            "cutover.toml:8: gateway.webhook_secret: both",
        ),
        ("[planes.phala]", THIRD + "[planes.phala]", "cutover.toml:10: planes: "),
    ],
)  # fmt: skip
def test_every_fault_is_named_by_file_and_line(tmp_path, old, new, said):
    """What was seen, where and what is expected; a value that could be a secret is not repeated."""
    message = fault(tmp_path, (old, new))
    assert any(line.startswith(said) for line in message.splitlines()), message
    assert "SECRET" not in message


def test_all_faults_are_told_at_once(tmp_path):
    """Nobody wants to start five times to read five lines."""
    message = fault(tmp_path, ("port = 8410", "port = -1"), (URL, "x"))
    assert len(message.splitlines()) == 2


def test_a_cause_that_is_chained_shows_no_value(tmp_path):
    """The validator's own error stands behind ours in a traceback; it must not show one either."""
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, GOOD.replace(KEY, 'key = ["SECRET"]'))
    assert "SECRET" not in str(caught.value.__cause__)


def test_an_empty_environment_is_empty(tmp_path, monkeypatch):
    """What is handed in is looked at, not the process's own environment."""
    monkeypatch.setenv("CLIENT_KEY", "of-the-process")
    assert "CLIENT_KEY" in fault(tmp_path, environment={})


@pytest.mark.parametrize("content", [b"\xff\xfe", b"#" * (FILE_BYTES_MAX + 1)])
def test_a_file_that_is_no_text_or_too_large_is_refused(tmp_path, content):
    """Before it is parsed."""
    path = tmp_path / "cutover.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"cutover\.toml"):
        load_settings(path)


def test_no_file_is_explained(tmp_path):
    """The path is in the message."""
    with pytest.raises(ConfigurationError, match=r"nowhere\.toml cannot be read"):
        load_settings(tmp_path / "nowhere.toml")


def test_deep_nesting_is_no_crash(tmp_path):
    """A file made to exhaust the parser is refused like any other."""
    with pytest.raises(ConfigurationError, match="not valid TOML"):
        load(tmp_path, "x = " + "[" * 5_000)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_leave(tmp_path, host):
    """Nobody else hears what is said there."""
    text = GOOD.replace("port = 8410", f'port = 8410\nhost = "{host}"')
    assert load(tmp_path, text).conductor.host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "conductor.example", "127.0.0.1.x"])
def test_tokens_cross_no_network_in_the_clear_without_leave(tmp_path, host):
    """Anything but loopback is refused until the operator says that it is behind TLS."""
    said = fault(tmp_path, ("port = 8410", f'port = 8410\nhost = "{host}"'))
    assert "conductor.insecure_http: " in said
    assert "tunnel" in said
    allowed = f'port = 8410\nhost = "{host}"\ninsecure_http = true'
    text = GOOD.replace("port = 8410", allowed)
    assert load(tmp_path, text).conductor.host == host


def test_no_host_is_no_loopback(tmp_path):
    """An empty host would listen everywhere."""
    assert "conductor.insecure_http" in fault(tmp_path, ("port = 8410", 'port = 1\nhost = ""'))


ATTESTATION = GOOD + '\n[attestation]\npolicy = "phala.toml"\n'


def test_attestation_has_defaults_and_paths_from_the_file(tmp_path):
    """Only the policy must be named; what paths lead to is not read here."""
    assert load(tmp_path).attestation is None
    asked = load(tmp_path, ATTESTATION).attestation
    assert asked.policy == tmp_path / "phala.toml"
    assert asked.pccs == services.DEFAULT
    assert asked.unsafe_test_root is None
    rooted = load(tmp_path, ATTESTATION + 'unsafe_test_root = "root.der"\n').attestation
    assert rooted.unsafe_test_root == tmp_path / "root.der"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("pccs = []", "cutover.toml:20: attestation.pccs: "),
        ('pccs = ["ftp://x"]', "cutover.toml:20: attestation.pccs.0: "),
        ("refresh_seconds = 0", "cutover.toml:20: attestation.refresh_seconds: "),
        ('test_root = "x"', "cutover.toml:20: attestation.test_root: Extra inputs"),
    ],
)
def test_a_fault_of_attestation_has_its_line(tmp_path, more, said):
    """No service, no address, no pause between questions, or a root by another name."""
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, ATTESTATION + more)
    assert str(caught.value).replace(f"{tmp_path}/", "").startswith(said)


def test_a_key_has_its_place(tmp_path):
    """What is found out later about a setting is said with file and line, too."""
    settings = load(tmp_path, ATTESTATION)
    path = tmp_path / "cutover.toml"
    assert settings.place("attestation", "policy") == f"{path}:19: attestation.policy"
    assert settings.place("planes", "phala", "url") == f"{path}:15: planes.phala.url"
    assert load(tmp_path).place("attestation") == f"{path}:1: attestation"
