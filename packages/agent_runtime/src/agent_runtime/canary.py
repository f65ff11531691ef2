"""`POST /canary/run`: ask every system we depend on, now, and judge each answer (contract §7)."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent_runtime import checks
from agent_runtime.errors import RailError
from agent_runtime.events import EventLog
from agent_runtime.flight import Flight
from agent_runtime.grammar import Repo
from agent_runtime.log import logger
from agent_runtime.ndjson import LineLog
from agent_runtime.near.rpc import Rpc
from agent_runtime.rails.eigenai import EigenAi
from agent_runtime.rails.github import GitHub
from agent_runtime.rails.hot import Hot
from agent_runtime.rails.neynar import Neynar
from agent_runtime.rails.ping import Ping
from agent_runtime.settings import Settings

PROBE_SECONDS = 6.0
DETAIL_CHARS = 180
FILE_NAME = "canary.ndjson"
TAIL_BYTES = 65_536


@dataclass(frozen=True)
class Probes:
    """What the canary asks."""

    github: GitHub
    rpc: Rpc
    ping: Ping
    hot: Hot
    eigenai: EigenAi
    neynar: Neynar
    public_key: str


@dataclass
class Canary:
    """Runs the canary and keeps its last result, also over a restart.

    Attributes:
        last: the newest result; None before the first.
    """

    settings: Settings
    probes: Probes
    events: EventLog
    last: dict[str, Any] | None = field(default=None)
    _ended: float | None = field(default=None)
    _log: LineLog = field(init=False, repr=False)
    _rounds: Flight[dict[str, Any]] = field(default_factory=Flight)

    def __post_init__(self) -> None:
        self._log = LineLog(Path(self.settings.log_dir) / FILE_NAME)
        self.last = next(reversed(self._log.newest(TAIL_BYTES)), None)

    @property
    def log_file(self) -> Path:
        """Where every result is appended, a JSON line each."""
        return self._log.file

    @property
    def age(self) -> float | None:
        """Seconds since this process got its newest result; None before its first.

        What an earlier process found, perhaps under other settings, is shown and proves nothing.
        """
        return None if self._ended is None else time.monotonic() - self._ended

    @property
    def fresh(self) -> bool:
        """Whether there is a result of this process that still counts: for two intervals."""
        age = self.age
        return age is not None and age <= self.settings.canary_minutes * 60 * 2

    def well(self, service: str) -> bool:
        """Whether a result that counts says that a service is well; no such result says nothing."""
        check = (self.last or {}).get("checks", {}).get(service, {})
        return self.fresh and check.get("ok") is True

    async def run(self) -> dict[str, Any]:
        """Ask all systems together; one that does not answer in time is not ok.

        Who asks while a round is being made gets that one: many at once must not spend the limits
        of the systems that are asked.
        """
        return await self._rounds.share("canary", self._round)

    async def _round(self) -> dict[str, Any]:
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        services: dict[str, Callable[[], Awaitable[tuple[str, Any]]]] = {
            "github": self._github,
            "near": self._near,
            "pingpay": self._pingpay,
            "hotpay": self._hotpay,
            "eigenai": self._eigenai,
        }
        if self.settings.casts_answered:
            services["farcaster"] = self._farcaster
        results = await asyncio.gather(*(_check(probe) for probe in services.values()))
        found = dict(zip(services, results, strict=True))
        result = {"at": at, "ok": verdict(found), "checks": found}
        self.last, self._ended = result, time.monotonic()
        self._append(result)
        return result

    async def _github(self) -> tuple[str, Any]:
        if not self.probes.github.configured:
            return "not configured", None
        owner, _, name = self.settings.analyze_repo.partition("/")
        found, by = await self.probes.github.metadata_signed(Repo(owner, name))
        fault = checks.github(found, self.settings.analyze_repo)
        if not fault and self.settings.github_app_id and not by.of_app:
            fault = checks.not_the_app(self.settings.analyze_repo, by.who)
        short = {name: found.get(name) for name in ("full_name", "id", "private")}
        return fault, {"authenticated": by.who, **short}

    async def _near(self) -> tuple[str, Any]:
        settings, rpc = self.settings, self.probes.rpc
        if not (settings.near_account and settings.near_contract):
            return "not configured", None
        status, account, contract, nonce = await asyncio.gather(
            rpc.read("status", []),
            rpc.account(settings.near_account),
            rpc.account(settings.near_contract),
            rpc.key_nonce(settings.near_account, self.probes.public_key),
        )
        fault = checks.near_status(status, settings.near_network)
        if not fault and set(str(contract.get("code_hash", ""))) <= {"1"}:
            fault = f"{settings.near_contract} holds no contract"
        return fault, {
            "chain_id": status.get("chain_id") if isinstance(status, dict) else None,
            "account": settings.near_account,
            "amount": account["amount"],
            "key_nonce": nonce,
        }

    async def _pingpay(self) -> tuple[str, Any]:
        if not self.probes.ping.configured:
            return "not configured", None
        found = (await self.probes.ping.probe()).expect(200, 201, 202).json()
        return checks.refused(found), found

    async def _hotpay(self) -> tuple[str, Any]:
        if not self.probes.hot.configured:
            return "not configured", None
        found = (await self.probes.hot.probe()).expect(200).json()
        return checks.hotpay(found), found

    async def _eigenai(self) -> tuple[str, Any]:
        if not self.probes.eigenai.configured:
            return "not configured", None
        found = await self.probes.eigenai.grant()
        return checks.eigenai(found), found

    async def _farcaster(self) -> tuple[str, Any]:
        found = await self.probes.neynar.signer()
        short = {name: found.get(name) for name in ("status", "fid")}  # the rest may hold the uuid
        return checks.farcaster(found, self.settings.bot_fid), short

    def _append(self, result: dict[str, Any]) -> None:
        """Keep a result for the audit; a log that cannot be written must not hide the result."""
        ok = {service: check["ok"] for service, check in result["checks"].items()}
        self.events.record("canary_run", ok=result["ok"], checks=ok)
        try:
            self._log.append(result)
        except OSError as error:
            logger().error("canary_log_not_written", error=str(error))


def verdict(found: dict[str, dict[str, Any]]) -> bool:
    """The contract's rule: GitHub, NEAR and EigenAI, and one of the two payment rails. Pure."""
    ok = {service: check["ok"] is True for service, check in found.items()}
    rails = ok["pingpay"] or ok["hotpay"]
    return ok["github"] and ok["near"] and ok["eigenai"] and rails


async def _check(probe: Callable[[], Awaitable[tuple[str, Any]]]) -> dict[str, Any]:
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            fault, details = await probe()
    except TimeoutError:
        return {"ok": False, "details": f"no answer within {PROBE_SECONDS:g} s"}
    except RailError as error:
        return {"ok": False, "details": error.said[:DETAIL_CHARS]}
    except Exception as error:  # noqa: BLE001 - an answer of an unforeseen shape is not ok
        logger().error("canary_probe_broke", error=type(error).__name__)
        return {
            "ok": False,
            "details": f"the answer has an unforeseen shape ({type(error).__name__})",
        }
    shown = fault or json.dumps(details, separators=(",", ":"))
    return {"ok": not fault, "details": shown[:DETAIL_CHARS]}
