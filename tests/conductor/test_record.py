"""A plane's deployment record: what it vouches for, and each way in which it does not."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutover.attestation.strict import MalformedError
from cutover.conductor.preconditions.changes import (
    MAY_MOUNT,
    changed_by_mounts,
    changed_by_service,
)
from cutover.conductor.preconditions.finding import amounts_to
from cutover.conductor.preconditions.record import Limits, judge_record, read_record
from cutover.deployed import plane_access
from cutover.errors import ConfigurationError
from cutover.evidence.planes import Answer
from cutover.settings import load_settings
from deploy.engine import DIGEST, IMAGE_ID, NAME, PATH, SECRET, container, image

NOW_MS = 1_772_366_400_000  # 2026-03-01T12:00:00Z, two hours after the container began
LIMITS = Limits(age_ms_max=3_600_000, may_mount=MAY_MOUNT)
HEALTH = {"uptime": 7_199_000, "build": "r1", "version": "0.1.0"}
OTHER = "sha256:" + "0b" * 32


def raw(running=None, made=None, taken="2026-03-01T11:50:00Z"):
    running = running or container()
    running["Config"]["Env"] = [one for one in running["Config"]["Env"] if SECRET not in one]
    return json.dumps({"takenAt": taken, "container": running, "image": made or image()}).encode()


def judged(running=None, made=None, taken="2026-03-01T11:50:00Z", **health):
    record = read_record(raw(running, made, taken))
    answer = Answer(200, {**HEALTH, **health})
    return judge_record("hetzner", record, "r.json", answer, NOW_MS, LIMITS)


def test_a_whole_record_vouches_for_a_digest():
    """Unchanged, of the process that answers, with labels that fit what it says."""
    reference, found = judged()
    assert reference == f"{NAME}@{DIGEST}"
    assert [finding.ok for finding in found] == [True, True, True]


@pytest.mark.parametrize(
    ("running", "made", "text"),
    [
        (container(Cmd=["--debug"]), None, "the command is changed"),
        (container(Entrypoint=["/x"]), None, "the entrypoint is changed"),
        (container(WorkingDir="/x"), None, "the working directory is changed"),
        (container(Env=[PATH, "PYTHONPATH=/x"]), None, "the variable PYTHONPATH is changed"),
        (container(Env=["PATH=/x"]), None, "the variable PATH is changed"),
        (container(Mounts=[{"Destination": "/opt/agent/lib"}]), None, "a mount at '/opt/agent"),
        (container(Mounts=[{"Destination": "/"}]), None, "a mount at '/'"),
        (
            container(HostConfig={"Privileged": True, "Tmpfs": None}), None,
            "the container is privileged",
        ),
        (
            container(HostConfig={"Privileged": False, "Tmpfs": {"/opt": ""}}), None,
            "a mount at '/opt'",
        ),
        (
            container(State={"Running": False, "StartedAt": "2026-03-01T10:00:00Z"}), None,
            "the container does not run",
        ),
        (None, image(Id=OTHER), "container and image are of two images"),
        (None, image(RepoDigests=[f"{NAME}@{OTHER}"]), "none of the image's RepoDigests"),
        (container(Image=IMAGE_ID), image(RepoDigests=[]), "none of the image's RepoDigests"),
    ],
)  # fmt: skip
def test_what_makes_another_program_of_the_image_fails(running, made, text):
    """Even with the right digest; and a digest that is not the image's is none."""
    _, found = judged(running, made)
    assert amounts_to(found) is False
    assert text in str([finding.text for finding in found if finding.ok is False])


def test_an_image_s_id_is_never_its_digest():
    """A container started by a tag has the one digest of its repositories, or none."""
    tagged = container()
    tagged["Config"]["Image"] = f"{NAME}:2.0"
    assert judged(tagged)[0] == f"{NAME}@{DIGEST}"
    for known in ([], [f"{NAME}@{DIGEST}", f"other@{OTHER}"]):
        reference, found = judged(tagged, image(RepoDigests=known))
        assert (reference, amounts_to(found)) == ("", False)


@pytest.mark.parametrize(
    ("taken", "health", "text"),
    [
        ("2026-03-01T10:59:59Z", {}, "r.json is 60 min old, expected at most 60"),
        ("2026-03-01T12:02:01+00:00", {}, "from 121 s ahead"),
        ("2026-03-01T11:50:00Z", {"uptime": 60_000}, "began 7139 s after the recorded container"),
        ("2026-03-01T11:50:00Z", {"uptime": 9_000_000}, "s before the recorded container"),
        ("2026-03-01T11:50:00Z", {"uptime": None}, "/health tells no uptime"),
        ("2026-03-01T11:50:00Z", {"uptime": True}, "/health tells no uptime"),
    ],
)
def test_a_record_of_another_moment_cannot_be_judged_by(taken, health, text):
    """Too old, from the future, or of a container that has begun again since."""
    reference, found = judged(taken=taken, **health)
    assert amounts_to(found) is None
    assert text in str([finding.text for finding in found if finding.ok is None])
    assert bool(reference) is bool(health)


def test_labels_that_contradict_the_plane_fail():
    """Revision and version stand in the image, and the plane tells its own."""
    found = judged(build="r2", version="0.2.0")[1]
    texts = [finding.text for finding in found if finding.ok is False]
    assert [text.split(",")[0] for text in texts] == [
        "hetzner: /health says build r2", "hetzner: /health says version 0.2.0",
    ]  # fmt: skip


def without(part, *path):
    value = json.loads(raw())
    inner = value[part]
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "deployment record: "),
        (b"<html>", "deployment record: "),
        (b'["PLANTED-near-key-0123456789"]', "no JSON object"),
        (raw(taken="yesterday"), "takenAt: no such time"),
        (raw(taken="2026-03-01T12:00:00"), "takenAt: "),
        (without("container", "HostConfig"), "missing required field `HostConfig`"),
        (without("container", "HostConfig", "Privileged"), "missing required field `Privileged`"),
        (without("container", "Mounts"), "missing required field `Mounts`"),
        (without("container", "Config", "Env"), "missing required field `Env`"),
        (without("image", "RepoDigests"), "missing required field `RepoDigests`"),
        (raw(container(Mounts="none")), "Expected `array`"),
    ],
)
def test_what_is_no_record_is_refused(text, said):
    """Nothing that is missing is taken to be as it must be."""
    with pytest.raises(MalformedError) as caught:
        read_record(text)
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_record_with_a_plane_s_secrets_is_refused_and_none_is_repeated():
    """The engine's whole answer has the plane's environment, which must not leave its host."""
    whole = json.dumps({"takenAt": "2026-03-01T11:50:00Z", "container": [container()],
                        "image": [image()]})  # fmt: skip
    with pytest.raises(MalformedError, match="delete the file") as caught:
        read_record(whole.encode())
    assert "2 variables" in str(caught.value)
    assert SECRET not in str(caught.value)


@given(st.dictionaries(st.text(max_size=4), st.just(SECRET), max_size=3), st.sampled_from(
    ["takenAt", "container", "image"]))  # fmt: skip
def test_nothing_of_a_wrong_file_is_repeated(inner, name):
    """Whatever stands where a part should be."""
    text = json.dumps({**json.loads(raw()), name: inner}).encode()
    with pytest.raises(MalformedError) as caught:
        read_record(text)
    assert SECRET not in str(caught.value)


CONFIG = """\
[planes.hetzner]
url = "https://h.example"
key = "key-of-hetzner"
{}
[planes.phala]
url = "https://p.example"
key = "key-of-phala"
"""


@pytest.mark.parametrize(
    ("setting", "text", "said"),
    [
        ('record = "r"', '{\n"takenAt": 1,\n}', "planes.hetzner.record: {}/r:3: saw "),
        ('record = "r"', None, "planes.hetzner.record: {}/r: [Errno 2]"),
        ('record = "r"', "x" * 300_000, "{}/r: saw a large file"),
        ('compose = "r"', "services:\n  agent:\n\timage: x", "planes.hetzner.compose: {}/r:3: saw"),
        ('compose = "r"', "services:\n  web: {}", "{}/r: saw service agent missing; expected"),
        ('compose = "r"', f"services:\n  agent: [{SECRET}]", "{}/r: saw service agent of another"),
        ('image = "a"\nrecord = "r"', "", "both it and image are given, expected one of image"),
        ('compose = "a"\nrecord = "r"', "", "both it and compose are given"),
    ],
)  # fmt: skip
def test_an_unusable_file_is_named_with_its_line(tmp_path, setting, text, said):
    """The setting's place, the file's, and the line where it stops being what it should be."""
    (tmp_path / "cutover.toml").write_text(CONFIG.format(setting))
    if text is not None:
        (tmp_path / "r").write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        plane_access(load_settings(tmp_path / "cutover.toml", {}))
    assert said.replace("{}", str(tmp_path)) in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("service", "changes"),
    [
        ({}, []),
        ({"privileged": "false", "tmpfs": ["/run:size=1m"]}, []),
        ({"volumes": ["data:/var/lib/agent", "/var/run/dstack.sock:/var/run/dstack.sock:ro"]}, []),
        ({"secrets": ["near"]}, []),
        ({"environment": ["PORT=1", "NAME"]}, []),
        ({"command": ["x"], "entrypoint": "y", "working_dir": "/z"}, ["command", "entrypoint",
                                                                       "working_dir"]),
        ({"privileged": "true", "build": "."}, ["build", "privileged"]),
        ({"volumes": ["./patch:/opt/agent/lib:ro"]}, ["a mount at '/opt/agent/lib'"]),
        ({"volumes": ["/opt"]}, ["a mount at '/opt'"]),
        ({"volumes": ["x:/var/lib/agent/../../opt"]}, ["a mount at '/var/lib/agent/../../opt'"]),
        ({"volumes": ["x:/var/lib/agents"]}, ["a mount at '/var/lib/agents'"]),
        ({"volumes": ["x:${PLACE}"]}, ["a mount at 'x'"]),
        ({"volumes": [{"type": "bind", "source": "/x", "target": "/usr"}]}, ["a mount at '/usr'"]),
        ({"volumes": [{"type": "volume", "source": "x"}]}, ["a mount at 'x'"]),
        ({"configs": [{"source": "x"}]}, ["a mount at '/x'"]),
        ({"configs": [{"source": "x", "target": "/opt/y.py"}]}, ["a mount at '/opt/y.py'"]),
        ({"tmpfs": "/opt"}, ["a mount at '/opt'"]),
        ({"environment": ["PYTHONPATH=/x"]}, ["the variable PYTHONPATH"]),
        ({"environment": {"LD_PRELOAD": "/x"}}, ["the variable LD_PRELOAD"]),
    ],
)  # fmt: skip
def test_what_a_compose_file_changes_is_named(service, changes):
    """By key, by place, by variable; where data belongs something may be mounted."""
    assert changed_by_service(service, MAY_MOUNT) == changes


@given(st.text(st.sampled_from("/.ab$"), max_size=12))
def test_only_what_is_at_or_below_a_place_for_data_is_fine(place):
    """However it is written."""
    from posixpath import normpath

    below = normpath(place).startswith(("/a/", "//a/")) or normpath(place) == "/a"
    if not changed_by_mounts([place], ["/a"]):
        assert below
        assert "$" not in place
