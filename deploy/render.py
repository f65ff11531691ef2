"""Writes the files that a plane is deployed by, with every image pinned.

    python3 deploy/render.py hetzner --agent IMAGE --caddy IMAGE --domain HOST -o DIR
    python3 deploy/render.py phala --agent IMAGE -o DIR

`hetzner` writes compose.yaml and Caddyfile; `phala` writes docker-compose.yaml and the
app-compose.json, and prints the compose hash that the plane will prove. Nothing is read but this
folder, and nobody is asked. An IMAGE is NAME@sha256:… in full. Exit code 0 when all is written, 2
for what cannot be used, with nothing written.
"""

import argparse
import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
PINNED: Final = re.compile(r"[a-z0-9][a-zA-Z0-9._/:-]*@(sha256:[0-9a-f]{64})")
HOST: Final = re.compile(r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")
TLS_NAMES: Final = "AGENT_TLS_NAMES"
"""The names of the attested certificate: known only when the deployment has its address."""


def pinned(text: str) -> str:
    """An image reference with its digest.

    Raises:
        argparse.ArgumentTypeError: it has none.
    """
    if PINNED.fullmatch(text):
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is not NAME@sha256: and 64 hex digits")


def domain(text: str) -> str:
    """A DNS name.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    if HOST.fullmatch(text):
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is no DNS name in small letters")


def secret_names() -> list[str]:
    """The variables that come from outside, as the example lists them."""
    text = (HERE / "agent.env.example").read_text("utf-8")
    return re.findall(r"^([A-Z][A-Z0-9_]*)=$", text, re.MULTILINE)


def filled(template: Path, values: dict[str, str]) -> str:
    """A template with its values.

    Raises:
        ValueError: it asks for a value that is not there.
    """
    text = template.read_text("utf-8")
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    if left := re.findall(r"@[A-Z_]+@", text):
        raise ValueError(f"{template.name} asks for {', '.join(left)}")
    return text


def hetzner(agent: str, caddy: str, host: str) -> dict[str, str]:
    """The files of the fallback plane by name."""
    values = {
        "AGENT_IMAGE": agent,
        "AGENT_DIGEST": agent.rpartition("@")[2],
        "CADDY_IMAGE": caddy,
        "DOMAIN": host,
    }
    folder = HERE / "hetzner"
    return {
        "compose.yaml": filled(folder / "compose.yaml.in", values),
        "Caddyfile": (folder / "Caddyfile").read_text("utf-8"),
    }


def phala(agent: str) -> dict[str, str]:
    """The files of the attested plane by name."""
    names = [*secret_names(), TLS_NAMES]
    values = {
        "AGENT_IMAGE": agent,
        "AGENT_DIGEST": agent.rpartition("@")[2],
        "SECRETS": "\n".join(f"      - {name}" for name in names),
    }
    compose = filled(HERE / "phala" / "docker-compose.yaml.in", values)
    return {"docker-compose.yaml": compose, "app-compose.json": app_compose(compose, names)}


def app_compose(compose: str, envs: list[str]) -> str:
    """What the platform measures: the compose file, and what may come from outside."""
    value = {
        "manifest_version": 2,
        "name": "agent",
        "runner": "docker-compose",
        "docker_compose_file": compose,
        "kms_enabled": True,
        "gateway_enabled": True,
        "local_key_provider_enabled": False,
        "public_logs": False,
        "public_sysinfo": True,
        "public_tcbinfo": True,
        "no_instance_id": False,
        "secure_time": True,
        "allowed_envs": envs,
    }
    return json.dumps(value, separators=(",", ":"))


def main() -> int:
    """Write the files; see the module's text."""
    parser = argparse.ArgumentParser(description="Write a plane's deployment files, images pinned.")
    planes = parser.add_subparsers(dest="plane", required=True)
    for name in ("hetzner", "phala"):
        one = planes.add_parser(name)
        one.add_argument("--agent", type=pinned, required=True, help="the runtime's image")
        one.add_argument("-o", "--output", type=Path, required=True, help="folder to write to")
        if name == "hetzner":
            one.add_argument("--caddy", type=pinned, required=True, help="Caddy's image")
            one.add_argument("--domain", type=domain, required=True, help="name of the plane")
    given = parser.parse_args()
    files = (
        phala(given.agent)
        if given.plane == "phala"
        else hetzner(given.agent, given.caddy, given.domain)
    )
    given.output.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (given.output / name).write_bytes(text.encode())
        sys.stdout.write(f"{given.output / name}\n")
    if measured := files.get("app-compose.json"):
        sys.stdout.write(f"compose hash {hashlib.sha256(measured.encode()).hexdigest()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
