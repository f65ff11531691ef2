"""What two planes may show each other's operator of their settings: keyed fingerprints. Pure.

Rules
- A fingerprint is of the effective value, so that an unset variable equals its spelt-out default.
- It is keyed by a secret that both planes share and by the run's nonce: nobody without both can try
  values against it, and those of one run compare with those of no other.
- A variable that may differ shows only whether it has a value.
"""

import hashlib
import hmac
import json
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from agent_runtime.settings import Settings
from agent_runtime.variables import variable_of

PURPOSE = b"agent-runtime/parity/1\x00"
VERSION = 1


def parity(settings: Settings, key: str, nonce: bytes) -> dict[str, Any]:
    """The fingerprints of one run.

    Args:
        settings: whose.
        key: the shared secret; not empty.
        nonce: the conductor's, 32 bytes.
    """
    run_key = hmac.digest(key.encode(), PURPOSE + nonce, hashlib.sha256)
    same: dict[str, dict[str, Any]] = {}
    own: dict[str, dict[str, Any]] = {}
    for item in fields(settings):
        variable, value = variable_of(item), getattr(settings, item.name)
        shown: dict[str, Any] = {"set": value not in ("", (), {})}
        if variable.own:
            own[variable.name] = shown
        else:
            mark = _fingerprint(run_key, variable.name, value)
            same[variable.name] = {**shown, "fingerprint": mark}
    return {
        "v": VERSION,
        "plane": settings.plane_id,
        "build": settings.build,
        "keyedBy": "PARITY_KEY" if settings.parity_key else "AGENT_SERVER_API_KEY",
        "keyCheck": hmac.new(run_key, b"key", hashlib.sha256).hexdigest(),
        "same": same,
        "own": own,
    }


def _fingerprint(run_key: bytes, name: str, value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=_plain)
    return hmac.new(run_key, f"{name}\0{text}".encode(), hashlib.sha256).hexdigest()


def _plain(value: Any) -> Any:
    """A record as its members; anything else is a setting that nobody taught to be compared."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"a setting of type {type(value).__name__} has no canonical form")
