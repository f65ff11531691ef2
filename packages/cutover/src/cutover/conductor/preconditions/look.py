"""Asks both planes what a precondition is judged by."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cutover.conductor.attested_compose import AttestedCompose
from cutover.conductor.config import PlaneAccess
from cutover.conductor.pin import Pin
from cutover.conductor.preconditions.answers import (
    Identity,
    Silence,
    read_identity,
    read_parity,
)
from cutover.conductor.preconditions.asked import DEADLINE_MS, AccessKeys, AskedPlane
from cutover.conductor.preconditions.changes import MAY_MOUNT
from cutover.conductor.preconditions.deployment import deployment
from cutover.conductor.preconditions.domain import judge_address, judge_entrance
from cutover.conductor.preconditions.endpoints import judge_endpoints
from cutover.conductor.preconditions.environment import (
    absent,
    judge_door,
    judge_mode,
    judge_own_key,
    judge_parity,
    judge_services,
    wrong_keys,
)
from cutover.conductor.preconditions.finding import Finding, amounts_to, gravest_first, unknown
from cutover.conductor.preconditions.image import Running, judge_image
from cutover.conductor.preconditions.ingress import judge_ingress
from cutover.conductor.preconditions.record import Limits
from cutover.conductor.preconditions.signers import judge_signers, keys_of
from cutover.evidence.observation import PreconditionSeen
from cutover.runbook.document import Runbook
from cutover.runbook.gate import Check

LIMITS: Final = Limits(age_ms_max=3_600_000, may_mount=MAY_MOUNT)


@dataclass(frozen=True, slots=True)
class Looked:
    """One look at a precondition, finding by finding.

    Attributes:
        check: which.
        findings: gravest first.
    """

    check: Check
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool | None:
        """What the findings amount to."""
        return amounts_to(self.findings)

    def seen(self) -> PreconditionSeen:
        """The same as an observation."""
        return PreconditionSeen(self.check, self.ok, tuple(one.text for one in self.findings))


@dataclass(frozen=True, slots=True)
class Attested:
    """What the candidate has proved, where it must; nothing is judged before.

    Attributes:
        pin: its TLS key.
        compose: what it runs.
    """

    pin: Pin
    compose: AttestedCompose


class Preconditions:
    """Asks both planes.

    Args:
        runbook: what is asked, and how long the fallback is kept.
        planes: clients, fallback first.
        access: declared images and addresses.
        nonce: makes 64 hex digits that nobody can guess, anew for every look.
        attested: what the candidate has proved, where it must prove what it is.
        keys: the chain, asked for the planes' NEAR keys; None when none is configured.
        sender: the account that must pay; empty for any.
        may_differ: variables whose difference is declared.
        patience_ms: how long to wait for what the candidate has not proved yet; by default for a
            whole look at it.
        entrance: address where users arrive; empty when nobody told it.
        limits: what the engines' records are judged by.
    """

    def __init__(
        self,
        runbook: Runbook,
        planes: Sequence[AskedPlane],
        access: Mapping[str, PlaneAccess],
        nonce: Callable[[], str],
        attested: Attested | None = None,
        keys: AccessKeys | None = None,
        sender: str = "",
        may_differ: Collection[str] = (),
        patience_ms: int | None = None,
        entrance: str = "",
        limits: Limits = LIMITS,
    ) -> None:
        self._runbook = runbook
        self._planes = planes
        self._access = access
        self._nonce = nonce
        self._attested = attested
        self._keys = keys
        self._sender = sender
        self._may_differ = frozenset(may_differ)
        self._entrance = entrance
        self._limits = limits
        a_look = runbook.timing.attestation_deadline_ms + DEADLINE_MS
        self._patience_ms = a_look if patience_ms is None else patience_ms

    async def look(self, check: Check, wall_ms: int) -> PreconditionSeen:
        """Look at one precondition.

        Args:
            check: which.
            wall_ms: the wall clock, for the life of certificates.
        """
        return (await self.findings(check, wall_ms)).seen()

    async def findings(self, check: Check, wall_ms: int) -> Looked:
        """The same, finding by finding."""
        return Looked(check, gravest_first(await self._judge(check, wall_ms)))

    async def _judge(self, check: Check, wall_ms: int) -> list[Finding]:
        spki = ""
        if self._attested is not None:
            spki = await self._attested.pin.proved(self._patience_ms)
            if not spki:
                return [unknown(_unproved(self._runbook.candidate))]
        match check:
            case Check.IDENTICAL_IMAGE:
                return await self._image(spki, wall_ms)
            case Check.ENVIRONMENT_PARITY:
                return await self._environment()
            case Check.TLS_AND_DOMAIN:
                return await self._addresses(wall_ms, spki)
            case Check.ENDPOINTS_REACHABLE:
                return list(await asyncio.gather(*map(self._endpoints, self._planes)))

    async def _identity(self, plane: AskedPlane) -> Identity | Silence:
        nonce = self._nonce()
        return read_identity(plane.name, nonce, await plane.identity(nonce, DEADLINE_MS))

    async def _image(self, spki: str, wall_ms: int) -> list[Finding]:
        both = (self._running(plane, spki, wall_ms) for plane in self._planes)
        first, second = await asyncio.gather(*both)
        rehearsal = self._runbook.rehearsal
        return judge_image(first, second, self._limits.may_mount, rehearsal=rehearsal)

    async def _running(self, plane: AskedPlane, spki: str, wall_ms: int) -> Running:
        access = self._access[plane.name]
        health, identity = await asyncio.gather(
            plane.get("/health", DEADLINE_MS), self._identity(plane)
        )
        compose, attested = None, plane.name == self._runbook.candidate and bool(spki)
        if attested and self._attested is not None:
            compose = await self._attested.compose.proved(spki, self._patience_ms)
        told = await deployment(plane.name, access, health, wall_ms, self._limits)
        return Running(
            plane.name, told.image, access.record, health, identity,
            access.service, attested, compose, told.findings,
        )  # fmt: skip

    async def _environment(self) -> list[Finding]:
        """The key enforced, the same services and variables, own signers, one owner of each way.

        Both planes get one nonce, made for this look: fingerprints compare under it alone.
        """
        nonce = self._nonce()
        doors, healths, told, identities = await asyncio.gather(
            self._doors(),
            asyncio.gather(*(plane.get("/health", DEADLINE_MS) for plane in self._planes)),
            asyncio.gather(*(plane.parity(nonce, DEADLINE_MS) for plane in self._planes)),
            asyncio.gather(*map(self._identity, self._planes)),
        )
        names = [plane.name for plane in self._planes]
        first, second = map(read_parity, names, told)
        rehearsal = self._runbook.rehearsal
        return [
            *doors,
            *judge_services(dict(zip(names, healths, strict=True))),
            *judge_parity(first, second, self._may_differ, rehearsal=rehearsal),
            *await self._who(identities[0], identities[1]),
        ]

    async def _doors(self) -> list[Finding]:
        """Each plane's door: shut to everything but its key, and open to that."""
        both = await asyncio.gather(*map(self._door, self._planes))
        return [one for found in both for one in found]

    async def _door(self, plane: AskedPlane) -> list[Finding]:
        key = self._access[plane.name].key
        tried = wrong_keys(key, self._nonce())
        answers = await asyncio.gather(
            plane.knock(key, DEADLINE_MS),
            *(plane.knock(given, DEADLINE_MS) for given in tried.values()),
        )
        shut = zip(tried, answers[1:], strict=True)
        return [
            judge_own_key(plane.name, answers[0]),
            *(judge_door(plane.name, word, answer) for word, answer in shut),
        ]

    async def _who(self, first: Identity | Silence, second: Identity | Silence) -> list[Finding]:
        if isinstance(first, Silence) or isinstance(second, Silence):
            what, rehearsal = "signers and ingress cannot be told", self._runbook.rehearsal
            silent = [one for one in (first, second) if isinstance(one, Silence)]
            return [absent(one, what, rehearsal=rehearsal) for one in silent]
        return [
            judge_mode(first),
            judge_mode(second),
            *judge_ingress(first, second),
            *judge_signers(first, second, self._sender),
            *await self._on_chain([first, second]),
        ]

    async def _on_chain(self, identities: Sequence[Identity]) -> list[Finding]:
        if self._keys is None:
            return []
        looked = [self._keys.may_pay(account, key) for account, key in keys_of(identities)]
        return list(await asyncio.gather(*looked))

    async def _addresses(self, wall_ms: int, spki: str) -> list[Finding]:
        """Both planes' addresses and the entrance, each for as long as a run may last."""
        rehearsal, candidate = self._runbook.rehearsal, self._runbook.candidate
        until_ms = wall_ms + sum(stage.soak.observed_ms for stage in self._runbook.stages)
        keys = {candidate: spki}
        looked = [
            judge_address(
                plane.name, plane.url, wall_ms, until_ms, keys.get(plane.name, ""),
                rehearsal=rehearsal,
            )
            for plane in self._planes
        ]  # fmt: skip
        looked.append(judge_entrance(self._entrance, wall_ms, until_ms, rehearsal=rehearsal))
        return [one for found in await asyncio.gather(*looked) for one in found]

    async def _endpoints(self, plane: AskedPlane) -> Finding:
        ready = await plane.get("/ready", DEADLINE_MS)
        health = await plane.get("/health", DEADLINE_MS)
        canary = await plane.canary(self._runbook.timing.canary_deadline_ms)
        return judge_endpoints(plane.name, ready, health, canary)


def _unproved(candidate: str) -> str:
    return (
        f"{candidate} has proved no TLS key, expected a verdict that names one: see its"
        " attestation; this is looked at again by itself"
    )
