"""What the plane runs: the compose file's hash over its raw bytes, then what may stand in it.

The hash comes first and is made from the bytes as delivered; only bytes that hashed right are read
(attestation §3). Environment variables are not measured, so nothing that decides which code runs
may depend on one: an image is `name@sha256:…` in full, without a `$`.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from cutover.attestation.strict import MalformedError, read_json, shown, table_of, text_of
from cutover.attestation.verdict import Reason, Step, failed, passed
from cutover.attestation.yaml_tree import read_yaml

RUNNER: Final = "docker-compose"
_PINNED: Final = re.compile(r"[a-z0-9][a-zA-Z0-9._/:-]*@sha256:[0-9a-f]{64}", re.ASCII)
_ELSEWHERE: Final = ("build", "extends", "provider", "develop")
"""Keys of a service whose code is not in the measured bytes."""
_TOP: Final = frozenset(
    {"version", "name", "services", "volumes", "networks", "configs", "secrets"}
)
_STEP: Final = Step.COMPOSE_POLICY


@dataclass(frozen=True, slots=True)
class ComposePolicy:
    """What may run beside the agent.

    Attributes:
        services: names that may stand in the compose file.
        allowed_envs: variables that the deployer may set from outside.
        scripts: SHA-256 of each known pre-launch and init script, lower-case hex.
    """

    services: frozenset[str]
    allowed_envs: frozenset[str]
    scripts: frozenset[str]


def compose_hash(raw: bytes) -> bytes:
    """SHA-256 of the very bytes; there is no canonical form."""
    return hashlib.sha256(raw).digest()


@lru_cache(maxsize=16)
def judge_compose(raw: bytes, policy: ComposePolicy) -> tuple[Reason, ...]:
    """Every image pinned, no unexpected service, variable or script.

    The same few bytes are judged at every look, so the answers are kept.
    """
    try:
        faults = [*_faults(table_of(read_json(raw, "app-compose"), "app-compose"), policy)]
    except MalformedError as error:
        return (failed(_STEP, "unreadable", error.seen, error.expected),)
    if faults:
        return tuple(failed(_STEP, code, seen, expected) for code, seen, expected in faults)
    return (
        passed(_STEP, "as_agreed", "every image pinned, nothing that the policy does not name"),
    )


def services(raw: bytes) -> dict[str, Any]:
    """The services of an app-compose file, by name.

    Raises:
        MalformedError: when it is none, or names another runner.
    """
    return _services(table_of(read_json(raw, "app-compose"), "app-compose"))


def scripts(raw: bytes) -> dict[str, str]:
    """SHA-256 of each script in an app-compose file, by its key.

    Raises:
        MalformedError: when it is none, or a script is no text.
    """
    return _scripts(table_of(read_json(raw, "app-compose"), "app-compose"))


def _faults(app: dict[str, Any], policy: ComposePolicy) -> list[tuple[str, str, str]]:
    faults = []
    for name, service in _services(app).items():
        if name not in policy.services:
            wanted = f"one of {', '.join(sorted(policy.services))}"
            faults.append(("unexpected_service", f"the service {shown(name)}", wanted))
        faults += _service_faults(name, table_of(service, f"service {shown(name)}"))
    for key, digest in _scripts(app).items():
        if digest not in policy.scripts:
            known = ", ".join(sorted(policy.scripts)) or "no script at all"
            faults.append(("unknown_script", f"{key} with SHA-256 {digest}", known))
    envs = app.get("allowed_envs") or []
    if not isinstance(envs, list) or any(not isinstance(env, str) for env in envs):
        raise MalformedError(f"allowed_envs: {shown(envs)}", "a list of names")
    if strange := sorted(set(envs) - policy.allowed_envs):
        wanted = ", ".join(sorted(policy.allowed_envs)) or "none"
        faults.append(("unexpected_env", f"allowed_envs names {shown(strange[0])}", wanted))
    return faults


def _service_faults(name: str, service: dict[str, Any]) -> list[tuple[str, str, str]]:
    faults = []
    image = service.get("image")
    if not isinstance(image, str) or not _PINNED.fullmatch(image):
        seen = f"service {shown(name)}: image {shown(image)}"
        faults.append(("unpinned_image", seen, "name@sha256: and 64 hex digits, no variables"))
    for key in _ELSEWHERE:
        if key in service:
            seen = f"service {shown(name)}: {key}"
            faults.append(("code_from_elsewhere", seen, "code that is in the measured bytes"))
    return faults


def _services(app: dict[str, Any]) -> dict[str, Any]:
    runner = app.get("runner")
    if runner != RUNNER:
        raise MalformedError(f"runner {shown(runner)}", RUNNER)
    document = table_of(read_yaml(text_of(app, "docker_compose_file", "app-compose")), "compose")
    strange = [key for key in document if key not in _TOP and not key.startswith("x-")]
    if strange:
        raise MalformedError(f"compose: the key {shown(strange[0])}", ", ".join(sorted(_TOP)))
    found = table_of(document.get("services"), "compose: services")
    if not found:
        raise MalformedError("compose: no service", "at least one service")
    return found


def _scripts(app: dict[str, Any]) -> dict[str, str]:
    digests = {}
    for key in ("pre_launch_script", "init_script", "bash_script"):
        script = app.get(key)
        if script in (None, ""):
            continue
        if not isinstance(script, str):
            raise MalformedError(f"{key}: {shown(script)}", "text")
        digests[key] = hashlib.sha256(script.encode("utf-8")).hexdigest()
    return digests
