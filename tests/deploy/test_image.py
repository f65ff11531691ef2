"""The Dockerfile: pinned base, no root, no secret, nothing unchecked; and its health check."""

import re
import subprocess
import sys
from dataclasses import fields

import pytest

from agent_runtime.settings import Settings
from agent_runtime.variables import variable_of
from deploy.deployment import AGENT, DEPLOY, ROOT, dockerfile
from listening import Listening

VARIABLES = {variable_of(item).name: variable_of(item) for item in fields(Settings)}
OF_THE_BASE = {"PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}


def told(word):
    return [rest for instruction, rest in dockerfile() if instruction == word]


def environment():
    return dict(re.findall(r"([A-Z_]+)=(\S+)", " ".join(told("ENV"))))


def test_every_base_is_the_one_that_the_builder_pins():
    """No default, no second base, and the first thing that is run refuses a tag."""
    assert told("FROM") == ["${PYTHON_IMAGE} AS packages", "${PYTHON_IMAGE}"]
    assert [one for one in told("ARG") if one.startswith("PYTHON_IMAGE")] == ["PYTHON_IMAGE"] * 2
    assert told("RUN")[0] == 'sh /build/pinned.sh "${PYTHON_IMAGE}"'


@pytest.mark.parametrize(
    ("base", "code"),
    [
        (AGENT, 0),
        ("python:3.11-slim", 1),
        ("python@sha256:" + "5a" * 31, 1),
        ("python@sha256:" + "5A" * 32, 1),
        (f"{AGENT}\npython:3.11", 1),
        (f"{AGENT} ", 1),
        ("", 1),
    ],
)
def test_a_base_without_its_digest_ends_the_build(base, code):
    """In full, nothing before or behind it; and it says what is expected."""
    command = ["sh", DEPLOY / "pinned.sh", base]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == code
    assert ("NAME@sha256:" in said.stderr) is bool(code)


def test_it_runs_as_nobody_in_particular():
    """A number, so that a platform can check it; the last word on it; its folder is its own."""
    assert told("USER") == ["10001:10001"]
    after = dockerfile()[[word for word, _ in dockerfile()].index("USER") :]
    assert {word for word, _ in after} <= {
        "USER", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "CMD", "ENTRYPOINT",
    }  # fmt: skip
    assert any("install -d -m 0700 -o 10001 -g 10001 /var/lib/agent" in run for run in told("RUN"))


def test_the_labels_are_the_open_ones():
    """Title, licence, version, revision and time of build."""
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', told("LABEL")[0]))
    assert labels.keys() == {
        "title", "description", "licenses", "version", "revision", "created",
    }  # fmt: skip
    project = (ROOT / "packages/agent_runtime/pyproject.toml").read_text()
    assert f'version = "{labels["version"]}"' in project


def test_packages_are_checked_by_hash_and_nothing_is_fetched_beside_them():
    """Every installation is from a lock with hashes, or from what was built on the spot."""
    installs = re.findall(r"pip (?:install|wheel) ([^&]*)", " && ".join(told("RUN")))
    assert len(installs) == 4
    for words in installs:
        safe = "--require-hashes" in words or "--no-deps" in words
        assert safe, words
    assert not re.search(r"curl|wget|apt|git |https?:", " ".join(told("RUN")))
    assert not told("ADD")


def test_what_is_copied_exists_and_nothing_else_reaches_the_build():
    """`.dockerignore` shuts everything out but what is copied."""
    let_in = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"
    copied = [words for copy in told("COPY") if "--from" not in copy for words in copy.split()[:-1]]
    for path in (*let_in, *copied):
        assert (ROOT / path).exists(), path
    assert all(any(one.startswith(path) for path in copied) for one in let_in)


def test_its_environment_is_the_runtime_s_and_holds_no_secret():
    """Production by default; every other name is one that the runtime reads."""
    told_here = environment()
    assert told_here["AGENT_MODE"] == "production"
    assert told_here.keys() - OF_THE_BASE <= VARIABLES.keys()
    assert not any(VARIABLES[name].secret for name in told_here.keys() - OF_THE_BASE)
    with pytest.raises(Exception, match="AGENT_SERVER_API_KEY"):
        Settings.from_environ({k: v for k, v in told_here.items() if k != "BUILD_REVISION"})


def answers(status):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n".encode())
        await writer.drain()

    return serve


async def checked(port, **more):
    import asyncio

    environ = {"PORT": str(port), **more}
    child = await asyncio.create_subprocess_exec(
        sys.executable, DEPLOY / "healthcheck.py", env=environ, stderr=asyncio.subprocess.PIPE
    )
    await child.communicate()
    return child.returncode


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
async def test_the_health_check_believes_200_alone(status, code):
    """Asked over loopback, as in the container."""
    async with Listening(answers(status)) as server:
        assert await checked(server.port) == code


async def test_the_health_check_speaks_tls_where_the_runtime_does(tmp_path):
    """Under whatever key; and nobody at home is no health, with or without TLS."""
    import ssl

    from conductor.preflight_world import certificate

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path, "any"))
    async with Listening(answers(200), context) as server:
        assert await checked(server.port, AGENT_TLS="attested") == 0
        port = server.port
    assert await checked(port, AGENT_TLS="attested") == 1
