"""The configuration file of a deployment: planes, gateway, conductor. Read once, at the start.

Secrets come from the environment (`key_env`), from a file (`key_file`) or, for trying things out,
from the file itself (`key`); they are never printed. Every error names file and line.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from cutover.errors import ConfigurationError
from cutover.runbook.intent import LEADING, Intent
from cutover.runbook.lines import key_lines, line_of

FILE_BYTES_MAX: Final = 256 * 1024


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise ValueError("expected http(s)://host[:port] without credentials")
    return value.rstrip("/")


Url = Annotated[str, AfterValidator(_http_url)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Secret(_Table):
    """A secret by one of three ways; exactly one is given."""

    key: SecretStr | None = None
    key_env: str | None = None
    key_file: Path | None = None


class PlaneSettings(Secret):
    """One plane.

    Attributes:
        url: base address of its HTTP contract.
        key, key_env, key_file: its `x-agent-api-key`.
        image: image reference with digest by the deployment record.
    """

    url: Url
    image: str = ""


class ConductorSettings(_Table):
    """The control plane.

    Attributes:
        host: where the control API listens.
        port: 0 for one of the system's choice.
        data: directory of the run: journal, tokens, address, archive.
        near_rpc: NEAR RPC providers for looking transactions up.
        near_sender: account that signs payments.
        reference_url: our own connectivity; answers anything below 500 when we are online.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535)
    data: Path = Path(".cutover")
    near_rpc: tuple[Url, ...] = ()
    near_sender: str = "unknown.near"
    reference_url: Url | None = None


class GatewaySettings(Secret):
    """The data plane; `key` is what clients present.

    Attributes:
        node: this node's name.
        host: where clients connect.
        port: 0 for one of the system's choice.
        workers: processes that share the port.
        state: directory of this node alone.
        conductor: address of the conductor; from the data directory when absent.
        url: where clients reach the gateway, for the post-cutover checks.
        webhook_secret, webhook_secret_env: for the post-cutover webhook check.
        report_every_ms: pace of reports.
        deadlines_ms: per intent.
    """

    node: str = "node-1"
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    workers: int = Field(default=1, ge=1, le=64)
    state: Path | None = None
    conductor: Url | None = None
    url: Url | None = None
    webhook_secret: SecretStr | None = None
    webhook_secret_env: str | None = None
    report_every_ms: int = Field(default=500, ge=20, le=10_000)
    deadlines_ms: dict[Intent, int] = Field(default_factory=dict)


class LiveSettings(_Table):
    """What the live intent gate says to the candidate, on the canary repository."""

    analyze: str = "analyze near/near-sdk-rs"
    create: str = "create near/near-sdk-rs"
    pay: str = "pay 0.01 USDC to near/near-sdk-rs"


class Settings(_Table):
    """The whole file."""

    conductor: ConductorSettings = ConductorSettings()
    planes: dict[str, PlaneSettings] = Field(min_length=2, max_length=2)
    gateway: GatewaySettings | None = None
    live: LiveSettings = LiveSettings()

    def texts(self) -> dict[Intent, str]:
        """The live texts by intent."""
        return {intent: getattr(self.live, intent) for intent in LEADING}


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
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: not valid TOML: {error}") from error
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        lines = key_lines(text)
        faults = [_fault(path, lines, details) for details in error.errors(include_url=False)]
        raise ConfigurationError("\n".join(faults)) from error
    return _placed(settings, path.resolve().parent, environment or os.environ, path)


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise ConfigurationError(f"{path} is larger than {FILE_BYTES_MAX} bytes")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error


def _fault(path: Path, lines: Mapping[tuple[str | int, ...], int], details: Any) -> str:
    """One problem; the offending value is not repeated, it could be a secret."""
    loc = tuple(details["loc"])
    while loc and loc not in lines:
        loc = loc[:-1]
    line = line_of(lines, loc) if loc else 1
    return f"{path}:{line}: {'.'.join(map(str, details['loc']))}: {details['msg']}"


def _placed(settings: Settings, base: Path, environment: Mapping[str, str], path: Path) -> Settings:
    conductor = settings.conductor.model_copy(update={"data": base / settings.conductor.data})
    planes = {
        name: _resolved(plane, base, environment, f"{path}: planes.{name}")
        for name, plane in settings.planes.items()
    }
    gateway = settings.gateway
    if gateway is not None:
        gateway = _resolved(gateway, base, environment, f"{path}: gateway")
        state = base / (gateway.state or settings.conductor.data / f"gateway-{gateway.node}")
        secret = gateway.webhook_secret
        if gateway.webhook_secret_env:
            found = _from_environment(
                gateway.webhook_secret_env, environment, f"{path}: gateway.webhook_secret_env"
            )
            secret = SecretStr(found)
        gateway = gateway.model_copy(update={"state": state, "webhook_secret": secret})
    return settings.model_copy(
        update={"conductor": conductor, "planes": planes, "gateway": gateway}
    )


def _resolved(table: Any, base: Path, environment: Mapping[str, str], where: str) -> Any:
    given = [table.key is not None, bool(table.key_env), table.key_file is not None]
    if sum(given) != 1:
        raise ConfigurationError(
            f"{where}: {sum(given)} of key, key_env, key_file are given, expected exactly one"
        )
    if table.key_env:
        found = _from_environment(table.key_env, environment, f"{where}.key_env")
        return table.model_copy(update={"key": SecretStr(found)})
    if table.key_file is not None:
        text = _read(base / table.key_file).strip()
        return table.model_copy(update={"key": SecretStr(text)})
    return table


def _from_environment(name: str, environment: Mapping[str, str], where: str) -> str:
    value = environment.get(name, "").strip()
    if not value:
        raise ConfigurationError(f"{where} names {name}, which is unset or empty: export it")
    return value
