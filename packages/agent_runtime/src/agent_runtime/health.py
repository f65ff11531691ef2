"""`/health` and `/ready` (contract §2): what works, what does not, and where we run.

Configured is not available. A service is `available` once a canary of this process has found it
well, and for two canary intervals after; before the first one it is not, and the plane is not
ready: it has not been seen to work.
"""

import sqlite3
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from agent_runtime.canary import Canary
from agent_runtime.payments import PaymentLedger
from agent_runtime.pulse import Pulse
from agent_runtime.settings import Settings
from agent_runtime.settings_payout import PINGPAY
from agent_runtime.tee import TeeWatch

VERSION = version("agent-runtime")
STACK = {
    "social": "Web",
    "automation": "Agent runtime",
    "blockchain": "NEAR",
    "settlement": "NEAR NEP-141 transfers",
    "verifiability": "EigenAI operator signatures",
}


UNRESOLVED_SECONDS = 15 * 60.0
"""A payment that is open for longer needs a person; until then nothing new can be signed anyway."""
NEEDED = ("github", "near")
"""Without one of these nothing can be analysed, or neither created nor paid; Ping if it pays."""


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
    pulse: Pulse
    payments: PaymentLedger
    metrics: Metrics = field(default_factory=Metrics)
    started: float = field(default_factory=time.monotonic)

    async def health(self) -> dict[str, Any]:
        """The body of `/health`; its HTTP status is always 200, `status` tells."""
        services = await self.services()
        well = services["eigenai"] == "available"
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
            "canary": self._canary(),
        }

    async def ready(self) -> dict[str, Any]:
        """The body of `/ready`."""
        reasons = self.reasons()
        return {"ready": not reasons, "reasons": reasons, "services": await self.services()}

    async def services(self) -> dict[str, str]:
        """What is configured and was found well by a canary that still counts."""
        services = {"farcaster": self._farcaster()}
        for name, is_set in self._configured().items():
            well = is_set and self.canary.well(name)
            services[name] = "available" if well else "unavailable"
        services["teeWallet"] = "tee" if await self.tee.guest() else "mock"
        return services

    def reasons(self) -> list[str]:
        """Why this plane is not ready; empty if it is. The rules are the same in every mode."""
        unset = self._unset()
        return [*unset, *([] if unset else self._unwell()), *self._ledger()]

    def _unset(self) -> list[str]:
        wanted = {
            "GitHub App id and key are not set": self._github_set(),
            "NEAR account, key and contract are not all set": self._configured()["near"],
            "Ping key is not set": bool(self.settings.ping_key),
            "HOT token is not set": bool(self.settings.hot_jwt),
            "EigenAI key and address are not set": bool(self.settings.eigenai_key),
        }
        return [reason for reason, is_set in wanted.items() if not is_set]

    def _unwell(self) -> list[str]:
        """What the canary says; it reads the signer's key on chain too."""
        if self.canary.age is None:
            return ["no canary has run since the start"]
        if not self.canary.fresh:
            return [f"the newest canary is {int(self.canary.age)} s old, too old to count"]
        rail = [PINGPAY] if self.settings.payout_rail == PINGPAY else []
        needed = [*NEEDED, *rail]
        return [
            f"{name} is not well (see /canary)" for name in needed if not self.canary.well(name)
        ]

    def _ledger(self) -> list[str]:
        fault, now = self.pulse.fault(), time.time()
        if fault:
            return [f"the store cannot be written: {fault}"]
        try:
            old = sum(now - one.created_at > UNRESOLVED_SECONDS for one in self.payments.open())
        except sqlite3.Error as error:
            return [f"the store cannot be read: {error}"]
        minutes = UNRESOLVED_SECONDS / 60
        return [f"{old} payments are unresolved for over {minutes:g} minutes"] if old else []

    def _canary(self) -> dict[str, Any]:
        age = self.canary.age
        return {
            "at": (self.canary.last or {}).get("at"),
            "ageSeconds": None if age is None else int(age),
            "fresh": self.canary.fresh,
        }

    def _farcaster(self) -> str:
        """The contract's three words; what nobody has seen to work is not connected."""
        if not self.settings.casts_answered:
            return "disabled"
        return "connected" if self.canary.well("farcaster") else "disconnected"

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
