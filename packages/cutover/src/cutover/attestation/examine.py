"""One look at a plane: ask with a nonce, find collateral, judge, remember.

This is what a conductor calls. It never raises for what a plane or a service does: whatever happens
becomes a verdict with reasons, and none of those that stand for trouble is `verified`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cutover.attestation import dcap, keep
from cutover.attestation.bundle import Asked, Bundle, Nonce, parse_bundle
from cutover.attestation.collateral import Floor
from cutover.attestation.collateral_source import CollateralSource, Supply
from cutover.attestation.fetch import Fetched, NoAnswerError, NoEvidenceError, fetch_evidence
from cutover.attestation.look_ahead import look_ahead
from cutover.attestation.nonces import NonceBook
from cutover.attestation.policy import Policy
from cutover.attestation.quote import parse_quote
from cutover.attestation.strict import MalformedError
from cutover.attestation.verdict import (
    MALFORMED_ANSWER,
    NO_ANSWER,
    NO_EVIDENCE,
    Verification,
    nothing_to_judge,
)
from cutover.attestation.verifier import verify
from cutover.clock import Clock
from cutover.evidence.observation import Verdict

LOOK_AHEAD_SECONDS: Final = 24 * 3600


@dataclass(frozen=True, slots=True)
class Examination:
    """A look and everything to repeat it offline.

    Attributes:
        verification: the verdict.
        bundle: what the plane handed over; None without an answer.
        collateral: the text it was judged by; empty if there was none.
        warnings: for people: failing services, a coming recovery.
        asked: the circumstances of the judgement; its nonce is ours.
        raw: the answer, byte for byte; None without one.
        fetched: Unix seconds at which the answer, or word that there is none, had come.
    """

    verification: Verification
    bundle: Bundle | None
    collateral: str
    warnings: tuple[str, ...]
    asked: Asked
    raw: bytes | None
    fetched: int


class Examiner:
    """Looks at one plane.

    Args:
        url: the plane's base address; https, or its TLS key cannot be compared.
        policy: what it must prove.
        source: collateral.
        clock: wall time.
        entropy: unpredictable bytes.
        folder: where it remembers, over restarts, since when the platform is out of date and the
            latest moment that it judged for.
        root: a test root in DER; None for Intel's.
    """

    def __init__(
        self,
        url: str,
        policy: Policy,
        source: CollateralSource,
        clock: Clock,
        entropy: Callable[[int], bytes],
        folder: Path,
        root: bytes | None = None,
    ) -> None:
        self._url = url
        self._policy = policy
        self._source = source
        self._clock = clock
        self._nonces = NonceBook(entropy)
        self._path = folder / f"attestation-{policy.plane}.json"
        self._root = root
        self._ahead_at = 0
        self._ahead: tuple[str, ...] = ()

    async def look(self, purpose: str, deadline_ms: int) -> Examination:
        """Ask once and judge.

        Args:
            purpose: `monitor`, or which promotion it is for.
            deadline_ms: half for the plane; what it leaves is for collateral, but for a quarter
                where a look ahead is due.

        Raises:
            KeepError: what is remembered cannot be read or written: the conductor must stop rather
                than forget a grace or a floor.
        """
        about, ends = f"{self._policy.plane}/{purpose}", self._clock.monotonic_ms() + deadline_ms
        nonce = self._nonces.issue(about, self._now())
        try:
            fetched = await fetch_evidence(self._url, nonce.value, deadline_ms // 2)
        except NoEvidenceError as error:
            return self._without(NO_EVIDENCE, str(error), nonce)
        except NoAnswerError as error:
            return self._without(NO_ANSWER, str(error), nonce)
        at = self._now()
        try:
            bundle = parse_bundle(fetched.raw)
        except MalformedError as error:
            return self._without(MALFORMED_ANSWER, str(error), nonce, fetched)
        spare = deadline_ms // 4 if self._ahead_due() else 0
        supply = await self._supply(bundle, self._left(ends - spare))
        asked = self._asked(fetched, supply, self._nonces.redeem(about, nonce))
        found = verify(bundle, supply.collateral, self._policy, asked)
        self._remember(found, asked)
        await self._look_ahead(bundle, found, self._left(ends))
        text = supply.collateral.text if supply.collateral else ""
        warnings = supply.troubles + self._ahead
        return Examination(found, bundle, text, warnings, asked, fetched.raw, at)

    async def _supply(self, bundle: Bundle, deadline_ms: int) -> Supply:
        try:
            platform = dcap.platform_of(parse_quote(bundle.quote or b""))
        except MalformedError:
            return Supply(None, Floor(), ())  # the pipeline says what is wrong with the quote
        return await self._source.get(platform, deadline_ms)

    def _asked(self, fetched: Fetched, supply: Supply, nonce: Nonce) -> Asked:
        kept = keep.read(self._path) or {}
        since = kept.get("out_of_date_since")
        return Asked(
            now=self._now(),
            nonce=nonce,
            peer_spki=fetched.peer_spki,
            peer_ends=fetched.peer_ends,
            floor=supply.floor,
            last_seen=int(kept.get("last_seen", 0)),
            out_of_date_since=None if since is None else int(since),
            root=self._root,
        )

    def _remember(self, found: Verification, asked: Asked) -> None:
        """Since when the platform is out of date; an interrupted reading does not end a grace."""
        since = asked.out_of_date_since
        if found.tcb_status == "OutOfDate":
            since = asked.now if since is None else since
        elif found.verdict is Verdict.VERIFIED:  # not by another machine's good quote
            since = None
        last = max(asked.now, asked.last_seen)
        keep.write(self._path, {"last_seen": last, "out_of_date_since": since})

    async def _look_ahead(self, bundle: Bundle, found: Verification, deadline_ms: int) -> None:
        """Once a day, and only for a platform that is fine today."""
        if not self._ahead_due() or found.tcb_status != "UpToDate":
            return
        self._ahead_at = now = self._now()
        quote = parse_quote(bundle.quote or b"")
        supply = await self._source.early(dcap.platform_of(quote), deadline_ms)
        if supply.collateral is None:
            self._ahead = tuple(f"no look ahead: {trouble}" for trouble in supply.troubles)
            return
        warning = look_ahead(quote, supply.collateral, self._root, now)
        self._ahead = (warning,) if warning else ()

    def _without(
        self, code: str, seen: str, nonce: Nonce, fetched: Fetched | None = None
    ) -> Examination:
        """A look that brought nothing to judge."""
        now = self._now()
        raw, spki, ends = (
            (None, None, None)
            if fetched is None
            else (fetched.raw, fetched.peer_spki, fetched.peer_ends)
        )
        asked = Asked(now, nonce=nonce, peer_spki=spki, peer_ends=ends, root=self._root)
        return Examination(nothing_to_judge(code, seen, now), None, "", (), asked, raw, now)

    def _ahead_due(self) -> bool:
        return not 0 <= self._now() - self._ahead_at < LOOK_AHEAD_SECONDS

    def _left(self, ends: int) -> int:
        """Milliseconds until a moment of the monotonic clock; at least one, to fail by itself."""
        return max(1, ends - self._clock.monotonic_ms())

    def _now(self) -> int:
        return self._clock.wall_ms() // 1000
