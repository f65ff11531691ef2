"""`deploy/record.sh` under the engine's own client: whole, readable, and without a secret."""

import json
import os
import shutil
import subprocess

import pytest

from cutover.conductor.preconditions.changes import LOADERS
from cutover.conductor.preconditions.record import read_record
from deploy.deployment import DEPLOY
from deploy.engine import DIGEST, NAME, SECRET, container, engine, image

SCRIPT = DEPLOY / "record.sh"


def printed(folder, running, made, *words):
    """What an operator's one line writes."""
    if shutil.which("docker") is None:
        pytest.skip("no docker client is on this system, so deploy/record.sh was not run")
    with engine(folder, running, made) as host:
        return subprocess.run(
            ["sh", SCRIPT, *words], capture_output=True, text=True, check=False, timeout=20,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "DOCKER_HOST": host},
        )  # fmt: skip


def test_it_prints_a_record_and_no_secret(tmp_path):
    """Loaders' variables with their values, no other variable and no label of the container."""
    preloaded = ["LD_PRELOAD=/x.so", *container()["Config"]["Env"], "PYTHONPATH=/y"]
    said = printed(tmp_path, container(Env=preloaded), image(), "agent-1")
    assert (said.returncode, said.stderr) == (0, "")
    assert SECRET not in said.stdout
    record = read_record(said.stdout.encode())
    names = [one.partition("=")[0] for one in record.container.config.env]
    assert names == ["LD_PRELOAD", "PATH", "PYTHONPATH"]
    assert record.image.repo_digests == [f"{NAME}@{DIGEST}"]


def test_what_is_not_there_makes_no_record(tmp_path):
    """Neither an unknown container nor a missing word ends with 0, or prints half of one."""
    for running, words, code in ((None, ("gone",), 1), (container(), (), 2)):
        said = printed(tmp_path, running, image(), *words)
        assert (said.returncode, said.stdout) == (code, "")
        assert said.stderr


def test_script_and_reader_name_the_same_variables():
    """A loader's variable that one of them forgets would go unnoticed."""
    text = SCRIPT.read_text()
    assert [name for name in LOADERS if f'"{name}"' not in text] == []
    named = json.loads("[" + ",".join(text.split("loaders=")[1].split("'")[1].split()) + "]")
    assert set(named) < set(LOADERS)
