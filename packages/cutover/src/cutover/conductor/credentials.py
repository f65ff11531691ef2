"""Tokens of the control API: one for operators, one for gateway nodes, neither with a default.

They live in files of the run's data directory that only its owner can read, so that whoever may
read the journal may also steer the run, and nobody else.
"""

import hmac
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from cutover.errors import ConfigurationError

OPERATOR_FILE = "operator.token"
GATEWAY_FILE = "gateway.token"


@dataclass(frozen=True)
class Tokens:
    """Bearer tokens by role."""

    operator: str = field(repr=False)
    gateway: str = field(repr=False)

    def is_operator(self, presented: str) -> bool:
        """Whether this is the operator's token; compared in constant time."""
        return hmac.compare_digest(presented.encode(), self.operator.encode())

    def is_gateway(self, presented: str) -> bool:
        """Whether this is a gateway node's token; compared in constant time."""
        return hmac.compare_digest(presented.encode(), self.gateway.encode())


def read_or_make(data: Path) -> Tokens:
    """The tokens of a data directory, made on first use."""
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Tokens(_one(data / OPERATOR_FILE), _one(data / GATEWAY_FILE))


def read_token(path: Path) -> str:
    """One token.

    Raises:
        ConfigurationError: it is not there.
    """
    try:
        return path.read_text().strip()
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read ({error.strerror}); a conductor makes it at its first start: "
            "name that run's directory with --data"
        ) from error


def _one(path: Path) -> str:
    if path.exists():
        return read_token(path)
    token = secrets.token_urlsafe(32)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(token + "\n")
    return token
