"""Tokens of the control API: one for operators, one for gateway nodes, neither with a default.

They live in files of the run's data directory that only its owner can read, so that whoever may
read the journal may also steer the run, and nobody else.
"""

import hmac
import os
import re
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cutover.errors import ConfigurationError

OPERATOR_FILE = "operator.token"
GATEWAY_FILE = "gateway.token"
TOKEN_CHARS_MIN: Final = 16
TOKEN_BYTES_MAX: Final = 1_024
_TOKEN: Final = re.compile(rf"[\x21-\x7e]{{{TOKEN_CHARS_MIN},}}")


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
    """The tokens of a data directory, made on first use.

    Raises:
        ConfigurationError: the directory cannot be used, or a file in it holds no token.
    """
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        tokens = Tokens(_one(data / OPERATOR_FILE), _one(data / GATEWAY_FILE))
    except OSError as error:
        raise ConfigurationError(
            f"data directory {data} cannot be used ({error.strerror}): expected one that this "
            "user may write; name another in conductor.data"
        ) from error
    if tokens.is_operator(tokens.gateway):
        raise ConfigurationError(
            f"{OPERATOR_FILE} and {GATEWAY_FILE} in {data} hold the same token, expected two: a "
            "gateway node must not give orders. Remove one, the next start makes a new one"
        )
    return tokens


def read_token(path: Path) -> str:
    """One token.

    Raises:
        ConfigurationError: it is not there, others may read it, or it is none: an empty one would
            admit anybody.
    """
    try:
        if others := stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise ConfigurationError(
                f"{path} is open to others (mode bits {others:03o}), expected a file of its owner "
                "alone: whoever reads it steers the run. Remove it and start the conductor, it "
                f"makes a new one; or `chmod 600 {path}` if nobody else has read it"
            )
        token = path.read_bytes()[:TOKEN_BYTES_MAX].decode("ascii", "replace").strip()
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read ({error.strerror}); a conductor makes it at its first start: "
            "name that run's directory with --data"
        ) from error
    if not _TOKEN.fullmatch(token):
        raise ConfigurationError(
            f"{path} holds no token, expected {TOKEN_CHARS_MIN} or more characters without blanks: "
            "remove it and start the conductor, it makes a new one"
        )
    return token


def _one(path: Path) -> str:
    if path.exists():
        return read_token(path)
    token = secrets.token_urlsafe(32)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(token + "\n")
        file.flush()
        os.fsync(handle)
    fresh.replace(path)  # whole or not at all, whatever happens to us in between
    return token
