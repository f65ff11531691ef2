"""`/health` and `/ready` (contract §2): what is configured, what last failed, where we run."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from agent_runtime.canary import Canary
from agent_runtime.settings import Settings
from agent_runtime.tee import TeeWatch

VERSION = version("agent-runtime")
STACK = {
    "social": "Web",
    "automation": "Agent runtime",
    "blockchain": "NEAR",
    "settlement": "NEAR NEP-141 transfers",
    "verifiability": "EigenAI operator signatures",
}


@dataclass
class Metrics:
    """Counters since the start of this process."""

    requests: int = 0
    errors: int = 0


@dataclass
class Health:
    """Says how this plane is."""

    settings: Settings
    canary: Canary
    tee: TeeWatch
    metrics: Metrics = field(default_factory=Metrics)
    started: float = field(default_factory=time.monotonic)

    async def health(self) -> dict[str, Any]:
        """The body of `/health`; its HTTP status is always 200, `status` tells."""
        services = await self.services()
        needed = ("github", "near", "eigenai")
        well = all(services[name] == "available" for name in needed)
        tee = services["teeWallet"] == "tee"
        reasons = self.reasons()
        return {
            "status": "healthy" if well and not reasons else "unhealthy",
            "timestamp": datetime.now(UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "uptime": int((time.monotonic() - self.started) * 1000),
            "version": VERSION,
            "plane": self.settings.plane_id,
            "build": self.settings.build,
            "services": services,
            "compute": "Secure TEE (Phala dstack)" if tee else "Standard (Local)",
            "technologyStack": STACK,
            "readiness": {"ready": not reasons, "reasons": reasons},
            "metrics": {"requests": self.metrics.requests, "errors": self.metrics.errors},
        }

    async def ready(self) -> dict[str, Any]:
        """The body of `/ready`."""
        reasons = self.reasons()
        return {"ready": not reasons, "reasons": reasons, "services": await self.services()}

    async def services(self) -> dict[str, str]:
        """Available means configured and not failed in the newest canary."""
        configured = self._configured()
        services = {"farcaster": "disabled"}
        for name, is_set in configured.items():
            well = is_set and not self.canary.failed(name)
            services[name] = "available" if well else "unavailable"
        services["teeWallet"] = "tee" if await self.tee.guest() else "mock"
        return services

    def reasons(self) -> list[str]:
        """Why this plane is not ready; empty if it is. The rules are the same in every mode."""
        wanted = {
            "GitHub App id and key are not set": self._github_set(),
            "NEAR account, key and contract are not all set": self._configured()["near"],
            "Ping key is not set": bool(self.settings.ping_key),
            "HOT token is not set": bool(self.settings.hot_jwt),
            "EigenAI key and address are not set": bool(self.settings.eigenai_key),
        }
        return [reason for reason, is_set in wanted.items() if not is_set]

    def _configured(self) -> dict[str, bool]:
        settings = self.settings
        return {
            "github": bool(settings.github_app_id or settings.github_token),
            "near": bool(settings.near_account and settings.near_key and settings.near_contract),
            "pingpay": bool(settings.ping_key),
            "hotpay": bool(settings.hot_jwt),
            "eigenai": bool(settings.eigenai_key),
        }

    def _github_set(self) -> bool:
        """Production wants the App; elsewhere a personal token will do."""
        if self.settings.production:
            return bool(self.settings.github_app_id and self.settings.github_private_key)
        return self._configured()["github"]
