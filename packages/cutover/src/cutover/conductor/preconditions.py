"""Looks at the runbook's preconditions on both planes, before anything moves.

What cannot be judged is None, never True: an operator may waive it by name and with a reason.
"""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from cutover.conductor.config import PlaneAccess
from cutover.conductor.plane_client import HttpPlane
from cutover.evidence.observation import PreconditionSeen
from cutover.evidence.planes import Answer, read_canary
from cutover.runbook.document import Runbook
from cutover.runbook.gate import Check

DEADLINE_MS = 5_000
LOOPBACK = ("127.0.0.1", "localhost", "::1")
NEEDED = ("github", "near", "eigenai")
"""Services without which no plane can do its work; equal emptiness is no parity."""

Judged = tuple[bool | None, list[str]]


class Preconditions:
    """Asks both planes.

    Args:
        runbook: what is asked, and how long the fallback is kept.
        planes: clients, fallback first.
        access: declared images and addresses.
    """

    def __init__(
        self, runbook: Runbook, planes: Sequence[HttpPlane], access: Mapping[str, PlaneAccess]
    ) -> None:
        self._runbook = runbook
        self._planes = planes
        self._access = access

    async def look(self, check: Check, wall_ms: int) -> PreconditionSeen:
        """Look at one precondition.

        Args:
            check: which.
            wall_ms: the wall clock, for the life of certificates.
        """
        ok, reasons = await self._judge(check, wall_ms)
        return PreconditionSeen(check, ok, tuple(reasons))

    async def _judge(self, check: Check, wall_ms: int) -> Judged:
        match check:
            case Check.IDENTICAL_IMAGE:
                return await self._image()
            case Check.ENVIRONMENT_PARITY:
                return await self._environment()
            case Check.TLS_AND_DOMAIN:
                return await self._tls(wall_ms)
            case Check.ENDPOINTS_REACHABLE:
                return await self._endpoints()

    async def _healths(self) -> list[Answer]:
        return list(await asyncio.gather(*(p.get("/health", DEADLINE_MS) for p in self._planes)))

    async def _image(self) -> Judged:
        """Equal digests by the deployment records; versions alone only in a rehearsal."""
        images = [self._access[plane.name].image for plane in self._planes]
        healths = await self._healths()
        said = [(h.field("version"), h.field("build")) for h in healths]
        words = [
            f"{p.name} runs {v} build {b}" for p, (v, b) in zip(self._planes, said, strict=True)
        ]
        if said[0] != said[1] or said[0][0] is None:
            return False, [*words, "expected the same version and build on both"]
        if all(images):
            digests = [image.rpartition("@")[2] for image in images]
            same = digests[0] == digests[1] and digests[0].startswith("sha256:")
            return same, [*words, f"declared digests {digests[0]} and {digests[1]}"]
        if self._runbook.rehearsal:
            return True, [*words, "reported only: no image digests are declared"]
        return None, [*words, "declare planes.NAME.image with its digest for both planes"]

    async def _environment(self) -> Judged:
        """The same services configured, and the key enforced on both.

        Values are not compared here: that needs a keyed fingerprint from the planes.
        """
        healths = await self._healths()
        services = [h.field("services") for h in healths]
        reasons, ok = [], True
        for plane in self._planes:
            for key, word in ((None, "no key"), ("wrong-key", "a wrong key")):
                status = (await plane.knock(key, DEADLINE_MS)).status
                ok = ok and status == 401
                if status != 401:
                    reasons.append(f"{plane.name} answers {status} to {word}, expected 401")
        if not all(isinstance(s, dict) for s in services):
            return False, [*reasons, "/health lists no services"]
        first, second = (_configured(s) for s in services)
        if first != second:
            ok = False
            reasons.append(f"services differ: {sorted(first ^ second)}")
        if missing := set(NEEDED) - (first & second):
            ok = False
            reasons.append(f"not available on both: {', '.join(sorted(missing))}")
        reasons.append(f"available on both: {', '.join(sorted(first & second)) or 'nothing'}")
        if not ok or self._runbook.rehearsal:
            return ok, reasons
        return None, [*reasons, "values cannot be compared: the planes offer no fingerprints"]

    async def _tls(self, wall_ms: int) -> Judged:
        """Verified certificates that outlive the fallback's time on both planes."""
        need_ms = sum(stage.soak.observed_ms for stage in self._runbook.stages)
        reasons: list[str] = []
        verdicts: list[bool | None] = []
        for plane in self._planes:
            parts = urlsplit(plane.url)
            if parts.scheme != "https":
                verdicts.append(self._plain(parts.hostname or ""))
                reasons.append(f"{plane.name} is reached without TLS at {parts.hostname}")
                continue
            ok, text = await _certificate(
                parts.hostname or "", parts.port or 443, wall_ms + need_ms
            )
            verdicts.append(ok)
            reasons.append(f"{plane.name}: {text}")
        if False in verdicts:
            return False, reasons
        return (None if None in verdicts else True), reasons

    def _plain(self, host: str) -> bool | None:
        if host not in LOOPBACK:
            return False
        return True if self._runbook.rehearsal else None

    async def _endpoints(self) -> Judged:
        reasons, ok = [], True
        for plane in self._planes:
            ready = await plane.get("/ready", DEADLINE_MS)
            health = await plane.get("/health", DEADLINE_MS)
            canary = await plane.canary(self._runbook.timing.canary_deadline_ms)
            verdict = read_canary(plane.name, canary)
            fine = ready.status in (200, 503) and health.status == 200
            fine = fine and verdict.failed != ("no_verdict",)
            ok = ok and fine
            reasons.append(
                f"{plane.name}: /ready {ready.status}, /health {health.status}, "
                f"/canary/run {canary.status or canary.error}"
            )
        return ok, reasons


def _configured(services: dict[str, object]) -> set[str]:
    return {
        name
        for name, value in services.items()
        if name != "teeWallet" and value in ("available", "connected")
    }


async def _certificate(host: str, port: int, until_ms: int) -> tuple[bool, str]:
    context = ssl.create_default_context()
    try:
        async with asyncio.timeout(DEADLINE_MS / 1000):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except (OSError, ValueError) as error:  # ValueError: a name that no DNS can hold
        return False, f"TLS to {host}:{port} fails: {error}"
    certificate = writer.get_extra_info("peercert")
    writer.close()
    ends_ms = int(ssl.cert_time_to_seconds(str(certificate["notAfter"]))) * 1000
    text = f"certificate of {host} is valid until {certificate['notAfter']}"
    return ends_ms > until_ms, text
