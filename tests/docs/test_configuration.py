"""The page about the configuration file: every setting is there as it is, and its examples load."""

import re
import tomllib
from pathlib import Path

import pytest
from pydantic_core import PydanticUndefined

from attestation.world import policy_text, root
from cutover.app import load_runbook
from cutover.conductor.preconditions import LOOPBACK
from cutover.fit import check_fit
from cutover.settings import (
    AttestationSettings,
    ConductorSettings,
    GatewaySettings,
    LiveSettings,
    PlaneSettings,
    PreconditionSettings,
    Settings,
    load_settings,
)

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/configuration.md").read_text("utf-8")
SECTIONS = {
    "conductor": ConductorSettings,
    "planes.NAME": PlaneSettings,
    "gateway": GatewaySettings,
    "live": LiveSettings,
    "attestation": AttestationSettings,
    "preconditions": PreconditionSettings,
}
ROWS = re.findall(r"^\| `([\w.]+)\.(\w+)` \| (.+?) \| (.+?) \| (.+) \|$", PAGE, re.MULTILINE)
SETTINGS = [(s, name) for s, model in SECTIONS.items() for name in model.model_fields]


def test_every_section_of_the_file_is_documented():
    """The page knows all tables that a file may have."""
    assert {name.partition(".")[0] for name in SECTIONS} == set(Settings.model_fields)


def test_every_setting_has_one_row():
    """Neither missing nor left over, in the order of the code."""
    assert [(section, name) for section, name, *_ in ROWS] == SETTINGS


@pytest.mark.parametrize(("section", "name", "kind", "default", "meaning"), ROWS)
def test_each_row_is_true(section, name, kind, default, meaning):
    """Type, default and limits are the model's; the meaning is a sentence."""
    field = SECTIONS[section].model_fields[name]
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        assert default == "required"
    elif value is None:
        assert default == "-"
    elif value == {}:
        assert default == "`{}`"
    elif isinstance(value, tuple):
        assert tuple(tomllib.loads(f"value = {default.strip('`')}")["value"]) == value
    elif isinstance(value, bool):
        assert (kind, default) == ("true or false", "`true`" if value else "`false`")
    else:
        assert default.strip('`"') == str(value)
    for limit in field.metadata:
        for word in ("ge", "le"):
            if hasattr(limit, word):
                assert str(getattr(limit, word)) in kind
    assert ("secret" in kind) == ("SecretStr" in str(field.annotation))
    assert len(meaning) > 12
    assert meaning.endswith(".")


def example(name):
    return re.search(rf"<!-- example: {name} -->\n```toml\n(.*?)```", PAGE, re.DOTALL)[1]


def load(folder, name):
    path = folder / "cutover.toml"
    path.write_text(example(name))
    (folder / "phala.key").write_text("only-for-trying-out-p\n")
    (folder / "phala-policy.toml").write_text(policy_text(production=name == "hosts"))
    (folder / "test-root.der").write_bytes(root())
    named = re.findall(r'_env = "(\w+)"', example(name))
    return load_settings(path, {variable: f"value-of-{variable}" for variable in named})


def test_the_example_for_real_hosts_is_whole(tmp_path):
    """It loads, fits the phased runbook, and leaves nothing open that production asks for."""
    settings = load(tmp_path, "hosts")
    check_fit(load_runbook(ROOT / "runbooks/phased.toml"), settings)
    for plane in settings.planes.values():
        assert plane.url.startswith("https://")
        assert re.search(r"@sha256:[0-9a-f]{64}$", plane.image)
        assert plane.key_env
    assert len({plane.image for plane in settings.planes.values()}) == 1
    assert settings.conductor.near_rpc
    assert settings.conductor.reference_url
    assert settings.gateway.webhook_secret
    assert settings.attestation.unsafe_test_root is None


def test_the_example_for_a_laptop_fits_the_demo(tmp_path):
    """It loads and passes the demo's fit, planes on loopback included."""
    settings = load(tmp_path, "loopback")
    check_fit(load_runbook(ROOT / "runbooks/demo.toml"), settings)
    assert all(any(host in plane.url for host in LOOPBACK) for plane in settings.planes.values())


def test_the_examples_show_every_table():
    """A reader can copy from them whatever there is."""
    text = example("hosts")
    tables = ("conductor", "gateway", "live", "planes.phala", "attestation")
    assert all(f"[{name}]" in text for name in tables)
