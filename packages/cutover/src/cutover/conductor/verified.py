"""What the candidate is, concluded from its quote; and what it says of itself, held against that.

A look is a fresh question with a nonce, judged by `cutover.attestation`. Where the quote holds,
`/health` is asked as well, of whoever holds the attested key, since the runbook asks for its word
too (teeWallet and runtime string):

    quote       /health          verdict         what follows
    holds       agrees           the quote's     as attestation says
    holds       contradicts it   degraded        no promotion, no money, a person is called
    verified    no usable word   unverifiable    the last good verdict serves until its age limit
    degraded    no usable word   degraded        as it was
    does not    not asked        the quote's     as attestation says

A contradiction is no rollback: the code is proved, and its word about itself is wrong. Silence of
`/health` is no contradiction and no confirmation: it neither renews the last good verdict nor ends
it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from msgspec.structs import replace

from cutover.attestation.examine import Examination
from cutover.attestation.recheck import HEALTH
from cutover.attestation.verdict import Verification, observation, proved_key
from cutover.clock import Clock
from cutover.conductor.attested_compose import AttestedCompose
from cutover.conductor.log import say
from cutover.evidence.observation import Attestation, Verdict
from cutover.evidence.planes import Answer, read_attestation
from cutover.runbook.gate import Evidence

QUOTE_SHARE: Final = 0.75
"""Part of a look's deadline for evidence and collateral; what is left is for `/health`."""

Health = Callable[[str, int], Awaitable[Answer]]
"""Asks `/health` of whoever holds this TLS key, within so many milliseconds."""


class Looker(Protocol):
    """Asks for evidence and judges it (`cutover.attestation.examine.Examiner`)."""

    async def look(self, purpose: str, deadline_ms: int) -> Examination:
        """One question, one judgement."""
        ...


class EvidenceKeeper(Protocol):
    """Keeps what a verdict rests on."""

    def keep(self, examination: Examination, purpose: str) -> str:
        """Make it durable and return its SHA-256 (hex)."""
        ...


class VerifiedAttester:
    """Looks at the candidate's quote and at its word.

    Args:
        plane: its name.
        looker: asks for evidence and judges it.
        health: asks `/health` under an attested key.
        keeper: where the evidence is kept before its verdict counts.
        clock: to say how long a verdict still lasts, and what is left of a deadline.
        compose: told what the plane runs, by every piece of evidence that verifies.
    """

    def __init__(
        self,
        plane: str,
        looker: Looker,
        health: Health,
        keeper: EvidenceKeeper,
        clock: Clock,
        compose: AttestedCompose | None = None,
    ) -> None:
        self._plane = plane
        self._looker = looker
        self._health = health
        self._keeper = keeper
        self._clock = clock
        self._compose = compose or AttestedCompose()
        self._keeping = asyncio.Lock()
        self._told: set[str] = set()

    async def look(self, deadline_ms: int, purpose: str = "monitor") -> Attestation:
        """One verdict on verified evidence.

        Raises:
            CutoverError: what must be remembered or kept cannot be; the conductor stops rather than
                go by verdicts that nobody could repeat.
        """
        ends = self._clock.monotonic_ms() + deadline_ms
        examined = await self._looker.look(purpose, int(deadline_ms * QUOTE_SHARE))
        async with self._keeping:  # one after the other, and nobody waits for the disk
            record = await asyncio.to_thread(self._keeper.keep, examined, purpose)
        self._take(examined)
        left = max(1, ends - self._clock.monotonic_ms())
        said = await self._said(examined.verification, left)
        found = observation(self._plane, examined.verification, self._clock.wall_ms(), record)
        if said is not None:
            found = _held_against(found, said)
        self._tell(examined.warnings)
        warnings = tuple(f"warning: {warning}" for warning in examined.warnings)
        return replace(found, reasons=found.reasons + warnings)

    def _take(self, examined: Examination) -> None:
        """What runs there is known only while all of the evidence holds."""
        verified = examined.verification.verdict is Verdict.VERIFIED
        if verified and examined.bundle is not None:
            self._compose.hold(proved_key(examined.verification), examined.bundle.app_compose)

    async def _said(self, found: Verification, deadline_ms: int) -> Answer | None:
        """What `/health` says under the key that the quote vouches for; None if it vouches not."""
        if found.verdict not in (Verdict.VERIFIED, Verdict.DEGRADED):
            return None
        spki = proved_key(found)
        if not spki:
            return Answer(None, error="no TLS key is attested to ask it under", asked=False)
        return await self._health(spki, deadline_ms)

    def _tell(self, warnings: tuple[str, ...]) -> None:
        """Log each warning once, until there is none any more."""
        if new := [warning for warning in warnings if warning not in self._told]:
            say("attestation_warning", plane=self._plane, warnings=new)
            self._told.update(new)
        elif self._told and not warnings:
            say("attestation_warnings_over", plane=self._plane)
            self._told.clear()


def _held_against(found: Attestation, health: Answer) -> Attestation:
    """The quote's verdict, in the light of what `/health` says."""
    said = read_attestation(found.plane, health, Evidence.REPORTED)
    match said.verdict:
        case Verdict.VERIFIED:
            return found
        case Verdict.UNVERIFIABLE:
            reasons = tuple(f"{HEALTH}: {reason}" for reason in said.reasons)
            silent = replace(found, reasons=found.reasons + reasons)
            if found.verdict is Verdict.DEGRADED:
                return silent
            return replace(silent, verdict=Verdict.UNVERIFIABLE, lasts_ms=None)
        case _:
            reasons = tuple(f"{HEALTH} contradicts the quote: {reason}" for reason in said.reasons)
            return replace(found, verdict=Verdict.DEGRADED, reasons=found.reasons + reasons)
