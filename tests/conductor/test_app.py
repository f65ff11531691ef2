"""What is refused before anything starts, and what a killed start leaves behind."""

import sqlite3
from contextlib import closing

import pytest
from pydantic import SecretStr

from attestation.world import policy_text, root
from conductor.doubles import DEMO, PHASED
from conductor.test_recovery import ADOPTED
from conductor.theatre import Theatre
from cutover.app import JOURNAL_FILE, gateway_config
from cutover.archiving import seal, secret_values
from cutover.conductor.address import PORT_FILE
from cutover.conductor.credentials import read_or_make
from cutover.errors import ConfigurationError, CutoverError
from cutover.evidence.observation import Readiness
from cutover.fit import check_fit
from cutover.journal.schema import begun
from cutover.journal.store import Journal
from cutover.settings import load_settings

H, P = "http://127.0.0.1:3001", "https://127.0.0.1:3002"


def configured(folder, hetzner=H, phala=P, other="phala", conductor="", gateway=True, every=1_000):
    path = folder / "cutover.toml"
    (folder / "policy.toml").write_text(policy_text())
    (folder / "root.der").write_bytes(root())
    path.write_text(
        f"[conductor]\n{conductor}\n"
        + (f"[gateway]\nreport_every_ms = {every}\n" if gateway else "")
        + ('key = "client-key-0123"\n' if gateway else "")
        + f'[planes.hetzner]\nurl = "{hetzner}"\nkey = "key-of-hetzner"\n'
        + f'[planes.{other}]\nurl = "{phala}"\nkey = "key-of-phala"\n'
        + '[attestation]\npolicy = "policy.toml"\nunsafe_test_root = "root.der"\n'
    )
    return load_settings(path, {})


def test_a_file_that_a_killed_start_left_is_no_journal_yet(tmp_path):
    """Neither an empty file nor one with no table in it stands in the way of the run."""
    path = tmp_path / JOURNAL_FILE
    assert not begun(path)
    path.touch()
    assert not begun(path)
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = WAL")
    assert path.stat().st_size > 0
    assert not begun(path)
    Journal.open(path, "run-1").close()
    assert begun(path)


def test_a_run_begins_over_an_empty_file(tmp_path):
    """As a process, with everything else in place."""
    with Theatre(tmp_path) as world:
        world.planes("--tee")
        world.data.mkdir()
        (world.data / JOURNAL_FILE).touch()
        world.conductor()
        assert len(world.facts("Adopted")) == 1, world.log("conductor")


@pytest.mark.parametrize(
    ("runbook", "changes", "said"),
    [
        (DEMO, {"other": "gcp"}, "give both the same names"),
        (DEMO, {"phala": "https://phala.example"}, "not on loopback"),
        (PHASED, {"phala": H}, "a cutover needs two"),
        (PHASED, {"phala": H + "/"}, "a cutover needs two"),
        (DEMO, {"every": 1_001}, "expected at most 1000"),
    ],
)
def test_what_does_not_fit_together_is_refused(tmp_path, runbook, changes, said):
    """Other planes, a rehearsal off loopback, a move from a plane to itself, rare reports."""
    with pytest.raises(ConfigurationError, match=said):
        check_fit(runbook, configured(tmp_path, **changes))


def test_three_reports_fit_into_the_time_after_which_a_node_is_silent(tmp_path):
    """One that is lost and one that is late stop no soak."""
    check_fit(DEMO, configured(tmp_path, every=1_000))
    check_fit(DEMO, configured(tmp_path, gateway=False))


def test_a_gateway_finds_its_conductor_also_while_none_runs(tmp_path):
    """By the fixed port, or by the port of its last start: the node goes on alone meanwhile."""
    data = tmp_path / ".cutover"
    read_or_make(data)
    with pytest.raises(ConfigurationError, match=r"gateway\.conductor"):
        gateway_config(configured(tmp_path))
    fixed = configured(tmp_path, conductor="port = 8410")
    assert gateway_config(fixed).conductor_url == "http://127.0.0.1:8410"
    (data / PORT_FILE).write_text("8555")
    assert gateway_config(configured(tmp_path)).conductor_url == "http://127.0.0.1:8555"
    running = '{"url": "http://127.0.0.1:8666", "pid": 1}'
    (data / "conductor.json").write_text(running)
    assert gateway_config(configured(tmp_path)).conductor_url == "http://127.0.0.1:8666"


def test_a_gateway_needs_its_section(tmp_path):
    """Without one there is no key that clients could present."""
    with pytest.raises(ConfigurationError, match=r"no \[gateway\] section"):
        gateway_config(configured(tmp_path, gateway=False))


@pytest.mark.parametrize("secret", ["client-key-0123", "operator"])
def test_no_secret_gets_into_an_archive(tmp_path, secret):
    """A journal in which a plane repeated one is not sealed; the tokens count as secrets, too."""
    settings = configured(tmp_path)
    data = tmp_path / ".cutover"
    tokens = read_or_make(data)
    said = tokens.operator if secret == "operator" else secret
    journal = Journal.open(data / JOURNAL_FILE, "run-1")
    journal.append([ADOPTED, Readiness("phala", 200, True, True, f"echo {said}")], 0, 0)
    journal.close()
    named = "operator.token" if secret == "operator" else "gateway.key"
    with pytest.raises(CutoverError, match=rf"\b{named}\b") as caught:
        seal(data / JOURNAL_FILE, settings)
    assert said not in str(caught.value)


def test_a_key_too_short_to_be_told_from_chance_does_not_stop_a_run(tmp_path):
    """It would be found in any hash; a plane's old short key is used all the same."""
    settings = configured(tmp_path)
    plane = settings.planes["phala"].model_copy(update={"key": SecretStr("k1")})
    short = settings.model_copy(update={"planes": {**settings.planes, "phala": plane}})
    assert "planes.phala" not in secret_values(short)
    assert "planes.hetzner" in secret_values(short)
