"""What a gateway node is told at its start; checked once, then never looked at again."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self, TypeVar
from urllib.parse import urlsplit

import msgspec

from cutover.errors import ConfigurationError
from cutover.runbook.intent import Intent

DEADLINES_MS: Final[Mapping[Intent, int]] = MappingProxyType(
    {
        Intent.ANALYZE: 25_000,
        Intent.CREATE: 60_000,
        Intent.PAY: 60_000,
        Intent.PENDING: 25_000,
        Intent.VERIFY: 25_000,
        Intent.REPUTATION: 25_000,
        Intent.MODE: 25_000,
        Intent.PLAN: 60_000,
        Intent.HELP: 10_000,
        Intent.UNKNOWN: 60_000,
    }
)
"""Milliseconds until an answer is given up; what may set off a chain call gets a minute."""

WEBHOOK_DEADLINE_MS: Final = 25_000
"""Milliseconds until the answer to a webhook is given up."""

_KEY = re.compile(r"[\x21-\x7e]{1,256}")
_NODE = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True)
class PlaneEndpoint:
    """Where a plane answers, and the key it wants in `x-agent-api-key`."""

    url: str
    key: str = field(repr=False)


@dataclass(frozen=True)
class Limits:
    """Bounds of one worker; nothing in a gateway grows without one.

    Attributes:
        body_bytes: of a request.
        head_bytes: of a request's line and headers.
        headers: number of header lines.
        answer_bytes: of a plane's body.
        in_flight: requests worked on at once; more are shed.
        pool: connections to one plane.
        connections: clients connected at once; more are turned away.
        idle_seconds: after which an unused plane connection is not used again.
        client_idle_seconds: after which a silent client connection is closed.
        read_seconds: for a whole request to arrive, and for an answer to be taken.
        connect_seconds: for a connection to a plane.
        drain_seconds: for work in hand after a request to stop; what was sent and may move money
            has all the time it was given, however much that is.
    """

    body_bytes: int = 64 * 1024
    head_bytes: int = 16 * 1024
    headers: int = 64
    answer_bytes: int = 1024 * 1024
    in_flight: int = 512
    pool: int = 256
    connections: int = 4096
    idle_seconds: float = 3.0  # many servers close after 5: a request must not race with that
    client_idle_seconds: float = 75.0
    read_seconds: float = 10.0
    connect_seconds: float = 3.0
    drain_seconds: float = 10.0


@dataclass(frozen=True)
class GatewayConfig:
    """Everything a node needs; secrets never show in its representation.

    Attributes:
        node: its name in reports.
        host: address to listen on.
        port: 0 for one of the system's choice, written to `state_dir/node.json`.
        workers: processes that share the port.
        client_keys: any of them admits a client.
        planes: the two planes by name.
        conductor_url: base address of the conductor.
        gateway_token: bearer token towards the conductor.
        state_dir: directory of this node alone: last table, address, shared page.
        limits: bounds of a worker.
        deadlines_ms: milliseconds per intent; an absent one has its default.
        report_every_ms: pace of reports when nothing urgent happens.
        loop: `uvloop`, or `asyncio` where there is none.
        accept_run: id of a run whose table may be replaced by another run's although it sends
            requests to the candidate; for when its conductor is gone for good. Empty for none.
    """

    node: str
    host: str
    port: int
    workers: int
    client_keys: tuple[str, ...] = field(repr=False)
    planes: Mapping[str, PlaneEndpoint]
    conductor_url: str
    gateway_token: str = field(repr=False)
    state_dir: Path
    limits: Limits = field(default_factory=Limits)
    deadlines_ms: Mapping[Intent, int] = field(default_factory=lambda: dict(DEADLINES_MS))
    report_every_ms: int = 500
    loop: str = "uvloop"
    accept_run: str = ""

    def checked(self) -> Self:
        """Return itself if a node can be started with it.

        Raises:
            ConfigurationError: naming the first thing that is wrong.
        """
        for problem in self._problems():
            raise ConfigurationError(f"gateway node {self.node!r}: {problem}")
        return self

    def deadline_ms(self, intent: Intent) -> int:
        """Milliseconds that a plane has for an answer."""
        return self.deadlines_ms.get(intent, DEADLINES_MS[intent])

    def stop_seconds(self) -> float:
        """The longest that a worker may need to stop: no request in hand can take longer."""
        longest = max(self.deadline_ms(intent) for intent in Intent) / 1000
        whole = self.limits.read_seconds + max(longest, WEBHOOK_DEADLINE_MS / 1000)
        return max(self.limits.drain_seconds, whole)

    def _problems(self) -> list[str]:
        problems = []
        if not _NODE.fullmatch(self.node):
            problems.append("its name must be 1..64 letters, digits, dots, dashes, underscores")
        if len(self.planes) != 2:
            problems.append(f"planes {sorted(self.planes)} configured, expected exactly two")
        if not self.client_keys:
            problems.append("no client key; a gateway without one would be open to anybody")
        if not 1 <= self.workers <= 64:
            problems.append(f"{self.workers} workers, expected 1..64")
        if self.loop not in {"uvloop", "asyncio"}:
            problems.append(f"event loop {self.loop!r}, expected uvloop or asyncio")
        secrets = {"client key": list(self.client_keys), "gateway token": [self.gateway_token]}
        secrets |= {f"key of plane {name}": [end.key] for name, end in self.planes.items()}
        problems += [
            f"the {what} is empty, too long or has characters that no header may carry"
            for what, values in secrets.items()
            for value in values
            if not _KEY.fullmatch(value)
        ]
        urls = {f"plane {name}": end.url for name, end in self.planes.items()}
        urls["conductor"] = self.conductor_url
        problems += [
            f"address of {what} is {url!r}, expected http://host[:port] or https://..."
            for what, url in urls.items()
            if not _usable(url)
        ]
        return problems


T = TypeVar("T")


def to_json(value: object) -> bytes:
    """A configuration, or what has one in it, as JSON *with secrets*: for a private pipe only."""
    return msgspec.json.encode(value, enc_hook=_plain)


def from_json(text: bytes, kind: type[T]) -> T:
    """The reverse of `to_json`.

    Raises:
        msgspec.ValidationError: it is no such thing.
    """
    return msgspec.json.decode(text, type=kind, dec_hook=_rich)


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    # by this error a msgspec hook says that it does not know a type; encoding then fails with it
    raise NotImplementedError(f"{type(value).__name__} has no JSON form")


def _rich(kind: type, value: object) -> object:
    if issubclass(kind, Path) and isinstance(value, str):
        return Path(value)
    # by this error a msgspec hook says that it does not know a type; decoding then fails with it
    raise NotImplementedError(f"{kind.__name__} has no JSON form")


@dataclass(frozen=True)
class Address:
    """An http(s) address taken apart.

    Attributes:
        host: without brackets.
        port: explicit or the scheme's.
        tls: whether https.
        authority: as in the Host header.
        base: path prefix without a trailing slash.
    """

    host: str
    port: int
    tls: bool
    authority: str
    base: str

    def context(self) -> ssl.SSLContext | None:
        """Verified TLS by the system's trust store, or None for plain http."""
        return ssl.create_default_context() if self.tls else None


def address_of(url: str) -> Address:
    """Take an address apart.

    Raises:
        ValueError: it is not http(s) with a proper host, or carries credentials, query or fragment.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{url!r} is not http(s)://host")
    if parts.username or parts.query or parts.fragment or not url.isascii() or " " in url:
        raise ValueError(f"{url!r} must have neither credentials nor query nor fragment")
    try:
        parts.hostname.encode("idna")
    except UnicodeError as error:
        raise ValueError(f"{parts.hostname!r} in {url!r} is no host name: {error}") from error
    tls = parts.scheme == "https"
    port = parts.port or (443 if tls else 80)
    return Address(parts.hostname, port, tls, parts.netloc, parts.path.rstrip("/"))


def _usable(url: str) -> bool:
    try:
        address_of(url)
    except ValueError:
        return False
    return True
