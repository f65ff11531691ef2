"""The file of a deployment: planes, gateway, conductor, attestation. Read once, at the start.

Secrets come from the environment (`key_env`), from a file (`key_file`) or, for trying things out,
from the file itself (`key`); they are never printed. Every error names file and line.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from cutover.attestation import services
from cutover.conductor.preconditions.changes import MAY_MOUNT
from cutover.errors import ConfigurationError
from cutover.evidence.wire import NODE_PATTERN
from cutover.runbook.finding import Loc
from cutover.runbook.intent import LEADING, Intent
from cutover.runbook.lines import key_lines, line_of
from cutover.shapes import Place, Url, Variable, is_loopback

FILE_BYTES_MAX: Final = 256 * 1024


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Secret(_Table):
    """A secret by one of three ways; exactly one is given."""

    key: SecretStr | None = None
    key_env: str | None = None
    key_file: Path | None = None


K = TypeVar("K", bound=Secret)


class PlaneSettings(Secret):
    """One plane.

    Attributes:
        url: base address of its HTTP contract; may have a path, has no credentials.
        key, key_env, key_file: its `x-agent-api-key`; exactly one of the three.
        image: image reference with digest that was deployed, `NAME@sha256:…`; without it, compose
            and record only a rehearsal can judge whether both planes run the same image. A
            candidate that must prove what it is needs none: its attested compose file is read.
        compose: compose file that the plane was deployed by, instead of image.
        record: what the engine of the plane's host says that it runs, instead of image and compose:
            a file printed there by `deploy/record.sh`, read anew at every look.
        service: the service in the compose file, given or attested, that is the runtime.
    """

    url: Url
    image: str = ""
    compose: Path | None = None
    record: Path | None = None
    service: str = "agent"


class ConductorSettings(_Table):
    """The control plane.

    Attributes:
        host: address on which the control API listens; its HTTP is plain, so anything but loopback
            needs insecure_http.
        insecure_http: tokens may cross a network without TLS: only behind a proxy with TLS, or in a
            tunnel.
        port: its port; 0 for that of the last start, or one of the system's choice.
        data: directory of the run: journal, tokens, address, archive.
        near_rpc: NEAR RPC providers for looking transactions up, asked in order; without any, a
            payment is believed in a rehearsal only.
        near_sender: account that signs payments; needed with near_rpc, and must be the signer.
        reference_url: our own connectivity: neither plane, and below 500 when we are online;
            without it a plane's silence cannot be told from our own.
    """

    host: str = "127.0.0.1"
    insecure_http: bool = Field(default=False, validate_default=True)
    port: int = Field(default=0, ge=0, le=65535)
    data: Path = Path(".cutover")
    near_rpc: tuple[Url, ...] = ()
    near_sender: str = Field(default="", validate_default=True)
    reference_url: Url | None = None

    @field_validator("insecure_http")
    @classmethod
    def _guarded(cls, value: bool, info: ValidationInfo) -> bool:
        host = info.data.get("host")  # absent when it was refused itself
        if not value and host is not None and not is_loopback(host):
            raise ValueError(
                "expected true, since host is not loopback: tokens would cross the network in the "
                "clear. Listen on 127.0.0.1 behind a proxy with TLS or a tunnel, or set it to true"
            )
        return value

    @field_validator("near_sender")
    @classmethod
    def _named(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("near_rpc") and not value:
            raise ValueError("expected the account that signs payments, since near_rpc is given")
        return value


class GatewaySettings(Secret):
    """The data plane, and how the conductor reaches it as a client.

    Attributes:
        key, key_env, key_file: what clients present in `x-agent-api-key`; exactly one of the three.
        node: this node's name, 1 to 64 of letters, digits, `.`, `_`, `-`; another for each node.
        host: address on which clients connect.
        port: its port; 0 for one of the system's choice.
        workers: processes that share the port.
        state: directory of this node alone; by default in the run's directory.
        conductor: address of the conductor; by default as the run's directory tells.
        url: where users arrive, before whatever ends their TLS: its name and certificate are a
            precondition, and the post-cutover checks go there; without it the checks go to host and
            port, and only a rehearsal can judge the precondition.
        webhook_secret, webhook_secret_env: the planes' Ping webhook secret, for the post-cutover
            check; at most one of the two.
        report_every_ms: pace of reports to the conductor, milliseconds, well below `blind.after` of
            the runbook; failed payments and adopted tables are told at once whatever it is. A busy
            node adds some 100 MB a day to the journal at 1 s, half of that at 2 s.
        deadlines_ms: milliseconds that a plane has for an answer, by intent; an absent one has its
            own default.
        accept_run: id of a run whose table this node may replace by another run's, although it
            sends requests to the candidate; for when that run's conductor is gone for good.
    """

    node: str = Field(default="node-1", pattern=NODE_PATTERN)
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    workers: int = Field(default=1, ge=1, le=64)
    state: Path | None = None
    conductor: Url | None = None
    url: Url | None = None
    webhook_secret: SecretStr | None = None
    webhook_secret_env: str | None = None
    report_every_ms: int = Field(default=1_000, ge=20, le=10_000)
    accept_run: str = ""
    deadlines_ms: dict[Intent, PositiveInt] = Field(default_factory=dict)


class LiveSettings(_Table):
    """What the live intent gate says to the candidate, on the canary repository.

    Attributes:
        analyze: text of the live `analyze`.
        create: text of the live `create`.
        pay: text of the live `pay`, and of the payment of the receipt check; keep it tiny.
    """

    analyze: str = "analyze near/near-sdk-rs"
    create: str = "create near/near-sdk-rs"
    pay: str = "pay 0.01 USDC to near/near-sdk-rs"


class AttestationSettings(_Table):
    """How the conductor verifies what the candidate is; needed where a runbook asks for it.

    Attributes:
        policy: what the candidate must prove (TOML); `cutover attest pin` drafts one.
        pccs: collateral services, asked in order until one has an acceptable set.
        refresh_seconds: age of a set after which the services are asked again.
        unsafe_test_root: another root than Intel's (DER), for rehearsals and staging: whoever holds
            its key can make any quote. The policy must name its SHA-256 too, and every verdict, the
            status and the archive are marked TEST ROOT for good.
    """

    policy: Path
    pccs: tuple[Url, ...] = Field(default=services.DEFAULT, min_length=1, max_length=8)
    refresh_seconds: int = Field(default=21_600, ge=1, le=86_400)
    unsafe_test_root: Path | None = None


class PreconditionSettings(_Table):
    """What the preconditions may take for granted.

    Attributes:
        may_differ: variables of the runtime that may differ between the planes although they are
            compared, `NEAR_NODE_URL` for instance; each difference is still named.
        may_mount: places in the runtime's container where data may be mounted; a mount anywhere
            else may lie over code, and breaks the identity of images.
        record_age_seconds_max: age from which an engine's record says nothing any more.
    """

    may_differ: tuple[Variable, ...] = ()
    may_mount: tuple[Place, ...] = MAY_MOUNT
    record_age_seconds_max: int = Field(default=3_600, ge=60, le=604_800)


class Settings(_Table):
    """The whole file."""

    conductor: ConductorSettings = ConductorSettings()
    planes: dict[str, PlaneSettings] = Field(min_length=2, max_length=2)
    gateway: GatewaySettings | None = None
    live: LiveSettings | None = None
    attestation: AttestationSettings | None = None
    preconditions: PreconditionSettings = PreconditionSettings()
    _source: str = PrivateAttr(default="the configuration")
    _lines: Mapping[Loc, int] = PrivateAttr(default_factory=dict)

    def place(self, *loc: str) -> str:
        """Where a key stands, as `FILE:LINE: KEY`, for messages about what it names."""
        return f"{self._source}:{line_of(self._lines, loc)}: {'.'.join(loc)}"

    def texts(self) -> dict[Intent, str]:
        """The live texts by intent; the defaults only serve a rehearsal (`fit.check_fit`)."""
        live = self.live or LiveSettings()
        return {intent: getattr(live, intent) for intent in LEADING}


def load_settings(path: Path, environment: Mapping[str, str] | None = None) -> Settings:
    """Read a configuration file and resolve its secrets.

    Args:
        path: of the TOML file; relative paths inside are relative to it.
        environment: where `key_env` is looked up; the process's own by default.

    Raises:
        ConfigurationError: every problem with file, line, what was seen and what is expected.
    """
    text = _read(path)
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(_not_toml(path, text, error)) from error
    lines = key_lines(text)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        faults = [_fault(path, lines, details) for details in error.errors(include_url=False)]
        raise ConfigurationError("\n".join(faults)) from error
    found = os.environ if environment is None else environment
    return _Resolver(path, lines, found).resolve(settings)


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise ConfigurationError(f"{path} is larger than {FILE_BYTES_MAX} bytes")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error


_AT_LINE: Final = re.compile(r"(.*) \(at line (\d+), column \d+\)", re.DOTALL)


def _not_toml(path: Path, text: str, error: Exception) -> str:
    found = _AT_LINE.fullmatch(str(error))
    said, line = found.groups() if found else (str(error), text.rstrip("\n").count("\n") + 1)
    return f"{path}:{line}: not valid TOML: {said}"


def _fault(path: Path, lines: Mapping[tuple[str | int, ...], int], details: Any) -> str:
    """One problem; the offending value is not repeated, it could be a secret."""
    line = line_of(lines, tuple(details["loc"]))
    return f"{path}:{line}: {'.'.join(map(str, details['loc']))}: {details['msg']}"


_SECRET: Final = re.compile(r"[\x21-\x7e]{1,256}")
"""What a header can carry."""
_UNFIT: Final = "is empty, longer than 256 characters, or has some that no header may carry"


class _Resolver:
    """Makes settings whole: secrets by their value, paths from the file's folder.

    Args:
        path: of the file.
        lines: where each key stands in it.
        environment: where variables are looked up.
    """

    def __init__(
        self, path: Path, lines: Mapping[tuple[str | int, ...], int], environment: Mapping[str, str]
    ) -> None:
        self._path = path
        self._base = path.resolve().parent
        self._lines = lines
        self._environment = environment

    def resolve(self, settings: Settings) -> Settings:
        """The settings with every secret and absolute paths."""
        data = self._base / settings.conductor.data
        planes = {
            name: self._plane(plane, ("planes", name)) for name, plane in settings.planes.items()
        }
        gateway = settings.gateway and self._gateway(settings.gateway, data)
        whole = settings.model_copy(
            update={
                "conductor": settings.conductor.model_copy(update={"data": data}),
                "planes": planes,
                "gateway": gateway,
                "attestation": settings.attestation and self._placed(settings.attestation),
            }
        )
        whole._source, whole._lines = str(self._path), self._lines  # noqa: SLF001 - its maker
        return whole

    def _plane(self, plane: PlaneSettings, at: tuple[str, ...]) -> PlaneSettings:
        ways = {"image": plane.image, "compose": plane.compose, "record": plane.record}
        first, *more = [way for way, value in ways.items() if value] or [""]
        if more:
            said = f"both it and {first} are given, expected one of image, compose, record"
            raise self._wrong((*at, more[0]), said)
        paths = {way: self._base / value for way, value in ways.items() if isinstance(value, Path)}
        return self._keyed(plane, at).model_copy(update=paths)

    def _placed(self, attestation: AttestationSettings) -> AttestationSettings:
        """With absolute paths; what they lead to is read by who uses it (`cutover.attesting`)."""
        root = attestation.unsafe_test_root
        update = {
            "policy": self._base / attestation.policy,
            "unsafe_test_root": None if root is None else self._base / root,
        }
        return attestation.model_copy(update=update)

    def _gateway(self, gateway: GatewaySettings, data: Path) -> GatewaySettings:
        keyed = self._keyed(gateway, ("gateway",))
        state = data / f"gateway-{gateway.node}"
        if gateway.state is not None:
            state = self._base / gateway.state
        update = {"state": state, "webhook_secret": self._webhook_secret(gateway)}
        return keyed.model_copy(update=update)

    def _webhook_secret(self, gateway: GatewaySettings) -> SecretStr | None:
        given, name = gateway.webhook_secret, gateway.webhook_secret_env
        at = ("gateway", "webhook_secret")
        if given is not None and name is not None:
            raise self._wrong(at, "both it and webhook_secret_env are given, expected one of them")
        if name is not None:
            return self._variable(name, ("gateway", "webhook_secret_env"))
        if given is not None and not _SECRET.fullmatch(given.get_secret_value()):
            raise self._wrong(at, f"the secret {_UNFIT}; leave it out, or give the planes' own")
        return given

    def _keyed(self, table: K, at: tuple[str, ...]) -> K:
        ways = ("key", "key_env", "key_file")
        given = [way for way in ways if getattr(table, way) is not None]
        if len(given) != 1:
            seen = " and ".join(given) or "none"
            raise self._wrong(at, f"{seen} of {', '.join(ways)} given, expected exactly one")
        way = (*at, given[0])
        key = self._key(table, way)
        if not _SECRET.fullmatch(key.get_secret_value()):
            raise self._wrong(way, f"the key {_UNFIT}")
        return table.model_copy(update={"key": key})

    def _key(self, table: Secret, at: tuple[str, ...]) -> SecretStr:
        if table.key is not None:
            return table.key
        if table.key_env is not None:
            return self._variable(table.key_env, at)
        assert table.key_file is not None  # noqa: S101 - exactly one way is given
        try:
            return SecretStr(_read(self._base / table.key_file).strip())
        except ConfigurationError as error:
            raise self._wrong(at, str(error)) from error

    def _variable(self, name: str, at: tuple[str, ...]) -> SecretStr:
        value = self._environment.get(name, "").strip()
        if not value:
            raise self._wrong(at, f"it names {name!r}, which is unset or empty: export it")
        return SecretStr(value)

    def _wrong(self, at: tuple[str, ...], said: str) -> ConfigurationError:
        line = line_of(self._lines, at)
        return ConfigurationError(f"{self._path}:{line}: {'.'.join(at)}: {said}")
