"""Reads what is deployed: rendered files, units, the Dockerfile; nothing is started."""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
AGENT = "images.example/agent@sha256:" + "5a" * 32
CADDY = "images.example/caddy@sha256:" + "c4" * 32


def render(*words):
    """`deploy/render.py` as an operator runs it."""
    return subprocess.run(
        [sys.executable, DEPLOY / "render.py", *map(str, words)],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip


def plain(path):
    """A compose file's services."""
    return yaml.safe_load(path.read_text())["services"]


def variables(service):
    """What a service is told: value by name, None where it comes from outside."""
    told = service.get("environment") or {}
    if isinstance(told, dict):
        return told
    parts = [line.partition("=") for line in told]
    return {name: value if sign else None for name, sign, value in parts}


@cache
def dockerfile():
    """Instructions in order, continued lines joined, comments gone."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [tuple(line.split(maxsplit=1)) for line in lines if line.strip()]


def unit(path):
    """A systemd unit: section, then key, then its values in order."""
    found, section = {}, None
    for line in path.read_text().splitlines():
        if not line or line[0] in "#;":
            continue
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), {})
            continue
        key, sign, value = line.partition("=")
        assert sign, line
        assert key == key.strip(), line
        section.setdefault(key, []).append(value)
    return found
