"""Looks at the runbook's preconditions on both planes, before anything moves.

What cannot be judged is None, never True: an operator may waive it by name and with a reason.
"""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from typing import Protocol
from urllib.parse import urlsplit

from cryptography import x509

from cutover.attestation.certificates import UNREADABLE
from cutover.conductor.config import PlaneAccess
from cutover.conductor.pin import Pin
from cutover.evidence.observation import PreconditionSeen
from cutover.evidence.planes import Answer, read_canary
from cutover.pinned import PinnedContext
from cutover.runbook.document import Runbook
from cutover.runbook.gate import Check

DEADLINE_MS = 5_000
LOOPBACK = ("127.0.0.1", "localhost", "::1")
NEEDED = ("github", "near", "eigenai")
"""Services without which no plane can do its work; equal emptiness is no parity."""

Judged = tuple[bool | None, list[str]]


class AskedPlane(Protocol):
    """What is asked of a plane; every call ends within its deadline, none raises."""

    name: str
    url: str

    async def get(self, path: str, deadline_ms: int) -> Answer:
        """Ask `/ready` or `/health`."""
        ...

    async def canary(self, deadline_ms: int) -> Answer:
        """`POST /canary/run`."""
        ...

    async def knock(self, key: str | None, deadline_ms: int) -> Answer:
        """`POST /process` with a wrong key or none."""
        ...


class Preconditions:
    """Asks both planes.

    Args:
        runbook: what is asked, and how long the fallback is kept.
        planes: clients, fallback first.
        access: declared images and addresses.
        pin: the candidate's attested TLS key, where it must have one; nothing is judged before.
    """

    def __init__(
        self,
        runbook: Runbook,
        planes: Sequence[AskedPlane],
        access: Mapping[str, PlaneAccess],
        pin: Pin | None = None,
    ) -> None:
        self._runbook = runbook
        self._planes = planes
        self._access = access
        self._pin = pin

    async def look(self, check: Check, wall_ms: int) -> PreconditionSeen:
        """Look at one precondition.

        Args:
            check: which.
            wall_ms: the wall clock, for the life of certificates.
        """
        ok, reasons = await self._judge(check, wall_ms)
        return PreconditionSeen(check, ok, tuple(reasons))

    async def _judge(self, check: Check, wall_ms: int) -> Judged:
        spki = ""
        if self._pin is not None:
            spki = await self._pin.proved(self._patience_ms())
            if not spki:
                return None, [_unproved(self._runbook.candidate)]
        match check:
            case Check.IDENTICAL_IMAGE:
                return await self._image()
            case Check.ENVIRONMENT_PARITY:
                return await self._environment()
            case Check.TLS_AND_DOMAIN:
                return await self._tls(wall_ms, spki)
            case Check.ENDPOINTS_REACHABLE:
                return await self._endpoints()

    def _patience_ms(self) -> int:
        """Long enough for the first look at what the candidate is."""
        return self._runbook.timing.attestation_deadline_ms + DEADLINE_MS

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

    async def _tls(self, wall_ms: int, spki: str) -> Judged:
        """Certificates that outlive the fallback's time on both planes, and are whose they must be.

        The system's authorities vouch for them; for an attested candidate its quote does.
        """
        need_ms = sum(stage.soak.observed_ms for stage in self._runbook.stages)
        reasons: list[str] = []
        verdicts: list[bool | None] = []
        for plane in self._planes:
            parts = urlsplit(plane.url)
            if parts.scheme != "https":
                verdicts.append(self._plain(parts.hostname or ""))
                reasons.append(f"{plane.name} is reached without TLS at {parts.hostname}")
                continue
            attested = spki if plane.name == self._runbook.candidate else ""
            ok, text = await _certificate(
                parts.hostname or "", parts.port or 443, wall_ms + need_ms, attested
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


def _unproved(candidate: str) -> str:
    return (
        f"{candidate} has proved no TLS key, expected a verdict that names one: see its"
        " attestation; this is looked at again by itself"
    )


async def _certificate(host: str, port: int, until_ms: int, spki: str) -> tuple[bool, str]:
    """Whether a certificate lasts; vouched for by an attested key, or without one by the system."""
    context = PinnedContext(spki) if spki else ssl.create_default_context()
    try:
        async with asyncio.timeout(DEADLINE_MS / 1000):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except (OSError, ValueError) as error:  # ValueError: a name that no DNS can hold
        return False, f"TLS to {host}:{port} fails: {error}"
    held: ssl.SSLObject = writer.get_extra_info("ssl_object")
    der = held.getpeercert(binary_form=True)
    writer.close()
    try:
        ends = x509.load_der_x509_certificate(der or b"").not_valid_after_utc
    except UNREADABLE as error:
        return False, f"certificate of {host} cannot be read: {error}"
    vouched = f" under the attested key {spki[:16]}…" if spki else ""
    text = f"certificate of {host}{vouched} is valid until {ends:%Y-%m-%d %H:%M} UTC"
    return int(ends.timestamp()) * 1000 > until_ms, text
