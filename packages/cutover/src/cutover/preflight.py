"""The preconditions of a run, looked at before it begins and without leaving anything behind."""

import asyncio
import secrets
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

import httpx

from cutover.archiving import key_of, secret_values
from cutover.clock import SystemClock
from cutover.conductor.access_keys import NearKeys
from cutover.conductor.attested_plane import AttestedPlane
from cutover.conductor.cleanse import Cleanser
from cutover.conductor.plane_client import HttpPlane, connections
from cutover.conductor.preconditions.asked import DEADLINE_MS
from cutover.conductor.preconditions.finding import Finding
from cutover.conductor.preconditions.look import Attested as Proved
from cutover.conductor.preconditions.look import Looked, Preconditions
from cutover.conductor.preconditions.record import Limits
from cutover.deployed import plane_access
from cutover.errors import CutoverError
from cutover.evidence.observation import Attestation, PreconditionSeen, Verdict
from cutover.fit import attesting_of, check_fit
from cutover.runbook.document import Runbook
from cutover.runbook.gate import Check
from cutover.settings import Settings
from cutover.verifying import Attested, attested_candidate

PAUSE_SECONDS: Final = 0.2
PURPOSE: Final = "preflight"

Planes = Sequence[HttpPlane | AttestedPlane]


class PreflightError(CutoverError):
    """A new run whose preconditions definitely do not hold; nothing was begun."""

    exit_code: ClassVar[int] = 3


@dataclass(frozen=True, slots=True)
class Preflight:
    """What was found out.

    Attributes:
        looks: every precondition of the runbook, in its order.
        attestation: what the candidate proved; None where it need not.
    """

    looks: tuple[Looked, ...]
    attestation: Attestation | None

    @property
    def failing(self) -> tuple[Looked, ...]:
        """What definitely does not hold."""
        return tuple(look for look in self.looks if look.ok is False)

    @property
    def holds(self) -> bool:
        """Whether every precondition holds; what cannot be judged does not."""
        return bool(self.looks) and all(look.ok is True for look in self.looks)

    def seen(self) -> dict[Check, PreconditionSeen]:
        """The same as observations."""
        return {look.check: look.seen() for look in self.looks}


def preflight(runbook: Runbook, settings: Settings) -> Preflight:
    """Look at every precondition once.

    Raises:
        ConfigurationError: the two files do not fit, or one of them cannot be used.
    """
    check_fit(runbook, settings)
    return asyncio.run(_preflight(runbook, settings))


def refuse_failing(found: Preflight, runbook: Runbook) -> None:
    """Refuse to begin a run that could not open its first stage.

    What cannot be judged is no reason to refuse: the run waits for it, or for a person's waiver.

    Raises:
        PreflightError: a precondition definitely does not hold.
    """
    if not found.failing:
        return
    lines = [
        f"{look.check} fails: {'; '.join(one.text for one in look.findings if one.ok is False)}"
        for look in found.failing
    ]
    said = "\n  ".join(lines)
    raise PreflightError(
        f"the run was not begun, its preflight fails:\n  {said}\n"
        f"`cutover preflight` with the runbook of {runbook.name!r} shows every finding; mend "
        "this, and start again"
    )


def asked_planes(
    runbook: Runbook, settings: Settings, client: httpx.AsyncClient, attested: Attested | None
) -> tuple[HttpPlane, HttpPlane | AttestedPlane]:
    """Clients of both planes, fallback first; the candidate's under its key where it has one."""
    first, second = (
        HttpPlane(name, settings.planes[name].url, key_of(settings.planes[name]), client)
        for name in runbook.planes
    )
    return first, second if attested is None else attested.plane


def preconditions_of(
    runbook: Runbook,
    settings: Settings,
    planes: Planes,
    client: httpx.AsyncClient,
    attested: Attested | None,
    patience_ms: int | None = None,
) -> Preconditions:
    """What looks at the preconditions of a deployment.

    Args:
        runbook: what is asked.
        settings: the deployment's file.
        planes: clients of both, fallback first.
        client: shared connections.
        attested: the candidate's side where it must prove what it is.
        patience_ms: how long to wait for that; by default as long as a look takes.

    Raises:
        ConfigurationError: a compose file that it names cannot be used.
    """
    conductor = settings.conductor
    return Preconditions(
        runbook,
        planes,
        plane_access(settings),
        lambda: secrets.token_hex(32),
        Proved(attested.pin, attested.compose) if attested is not None else None,
        NearKeys(conductor.near_rpc, client) if conductor.near_rpc else None,
        conductor.near_sender,
        settings.preconditions.may_differ,
        patience_ms,
        entrance_of(settings),
        limits_of(settings),
    )


def limits_of(settings: Settings) -> Limits:
    """What the engines' records are judged by."""
    given = settings.preconditions
    return Limits(given.record_age_seconds_max * 1000, given.may_mount)


def entrance_of(settings: Settings) -> str:
    """The address where users arrive; empty when the file does not tell.

    Where a node listens is not it: a node speaks plain HTTP, behind somebody's TLS end.
    """
    gateway = settings.gateway
    return gateway.url if gateway is not None and gateway.url is not None else ""


async def _preflight(runbook: Runbook, settings: Settings) -> Preflight:
    async with connections() as client, AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="cutover-preflight-"))
        attested = _attested(runbook, settings, Path(folder))
        proved = None
        if attested is not None:
            stack.push_async_callback(attested.connections.aclose)
            proved = await _prove(attested, runbook)
        planes = asked_planes(runbook, settings, client, attested)
        before = preconditions_of(runbook, settings, planes, client, attested, patience_ms=0)
        wall_ms = SystemClock().wall_ms()
        looks = (before.findings(one.check, wall_ms) for one in runbook.preconditions)
        return _cleansed(await asyncio.gather(*looks), proved, Cleanser(secret_values(settings)))


def _cleansed(looks: Iterable[Looked], proved: Attestation | None, cleanse: Cleanser) -> Preflight:
    """Without our keys, which a plane that they were sent to may have repeated."""
    clean = tuple(
        Looked(
            look.check,
            tuple(Finding(one.ok, cleanse.text(one.text)) for one in look.findings),
        )
        for look in looks
    )
    fact = cleanse(proved) if proved is not None else None
    assert fact is None or isinstance(fact, Attestation)  # noqa: S101 - of the kind that it was
    return Preflight(clean, fact)


def _attested(runbook: Runbook, settings: Settings, folder: Path) -> Attested | None:
    """The candidate's prover; what it remembers is of no run, and goes with the folder."""
    attesting = attesting_of(runbook, settings)
    if attesting is None:
        return None
    plane = settings.planes[runbook.candidate]
    return attested_candidate(attesting, folder, plane.url, key_of(plane), secrets.token_bytes)


async def _prove(attested: Attested, runbook: Runbook) -> Attestation:
    """Look until there is a verdict: a first look may have to fetch much and come to its end."""
    deadline_ms, clock = runbook.timing.attestation_deadline_ms, SystemClock()
    until = clock.monotonic_ms() + deadline_ms + DEADLINE_MS
    while True:
        found = await attested.attester.look(deadline_ms, PURPOSE)
        if found.verdict is Verdict.VERIFIED and found.tls_spki:
            attested.pin.hold(found.tls_spki)
        late = clock.monotonic_ms() >= until
        if late or found.verdict is not Verdict.UNVERIFIABLE:
            return found
        await asyncio.sleep(PAUSE_SECONDS)
