"""Writes the files that a plane is deployed by, with every image pinned.

    python3 deploy/render.py hetzner --agent IMAGE --caddy IMAGE --domain HOST -o DIR
    python3 deploy/render.py phala --agent IMAGE -o DIR

Either takes `--settings FILE`, a filled copy of settings.env.example. `hetzner` writes compose.yaml
and Caddyfile; `phala` writes docker-compose.yaml and the app-compose.json, and prints the compose
hash that the plane will prove. Nothing else is read than this folder, and nobody is asked. An IMAGE
is NAME@sha256:… in full. Exit code 0 when all is written, 2 for what cannot be used, with nothing
written.
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
LINE: Final = re.compile(r"([A-Z][A-Z0-9_]*)=([A-Za-z0-9 ._:/,=+-]{0,400})")
"""A setting: nothing that YAML or a compose file could read as anything else."""
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


def listed(example: str) -> list[str]:
    """The variables that an example of this folder lists."""
    text = (HERE / example).read_text("utf-8")
    return re.findall(r"^([A-Z][A-Z0-9_]*)=$", text, re.MULTILINE)


def secret_names() -> list[str]:
    """The variables that come from outside."""
    return listed("agent.env.example")


def settings(path: str) -> list[str]:
    """The settings of a file that have a value, as NAME=VALUE in the example's order.

    Raises:
        argparse.ArgumentTypeError: it cannot be read, or has a line that is no setting; a value is
            not repeated, it could be a secret at the wrong place.
    """
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        read = LINE.fullmatch(line.rstrip())
        if read is None:
            said = f"{path}:{number}: expected NAME=VALUE in plain letters"
            raise argparse.ArgumentTypeError(said)
        if read[1] in found or read[1] not in listed("settings.env.example"):
            said = "twice" if read[1] in found else "none of settings.env.example"
            raise argparse.ArgumentTypeError(f"{path}:{number}: {read[1]} is {said}")
        found[read[1]] = read[2]
    order = listed("settings.env.example")
    return [f"{name}={found[name]}" for name in order if found.get(name)]


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


def entries(told: list[str]) -> str:
    """Lines of a compose file's list of variables."""
    lines = [f'      - "{one}"' for one in told]
    return "\n".join(lines or ["      # no settings: the runtime's defaults"])


def hetzner(agent: str, caddy: str, host: str, told: list[str]) -> dict[str, str]:
    """The files of the fallback plane by name."""
    values = {
        "SETTINGS": entries(told),
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


def phala(agent: str, told: list[str]) -> dict[str, str]:
    """The files of the attested plane by name."""
    names = [*secret_names(), TLS_NAMES]
    values = {
        "SETTINGS": entries(told),
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
        one.add_argument(
            "--settings", type=settings, default=[], help="filled settings.env.example"
        )
        if name == "hetzner":
            one.add_argument("--caddy", type=pinned, required=True, help="Caddy's image")
            one.add_argument("--domain", type=domain, required=True, help="name of the plane")
    given = parser.parse_args()
    files = (
        phala(given.agent, given.settings)
        if given.plane == "phala"
        else hetzner(given.agent, given.caddy, given.domain, given.settings)
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
