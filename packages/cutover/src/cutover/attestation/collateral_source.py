"""Collateral for the verifier: from several services, kept on disk, never of an older evaluation.

A set is accepted only if Intel signed every part of it, it is in force, and its evaluation numbers
are not below any accepted before; so an outage, a lagging copy or a bad service costs freshness,
never truth. While all services fail the last accepted set serves on, until the policy's age limit
makes the pipeline say `unverifiable`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cutover.attestation import keep
from cutover.attestation.collateral import Collateral, Floor, parse_collateral
from cutover.attestation.collateral_proof import prove
from cutover.attestation.dcap import INTEL_ROOT_SHA256, Platform
from cutover.attestation.fetch import NoAnswerError
from cutover.attestation.pccs import Endpoint, collect
from cutover.attestation.strict import MalformedError
from cutover.clock import Clock

REFRESH_SECONDS: Final = 6 * 3600
RETRY_SECONDS: Final = 60
"""Pause after a round of services that all failed; the kept set serves meanwhile."""


@dataclass(frozen=True, slots=True)
class Supply:
    """What there is to judge by.

    Attributes:
        collateral: the newest accepted set; None if there never was one.
        floor: evaluation numbers below which nothing is accepted.
        troubles: what went wrong on the way, for people.
    """

    collateral: Collateral | None
    floor: Floor
    troubles: tuple[str, ...]


@dataclass(slots=True)
class _Kept:
    collateral: Collateral | None
    floor: Floor
    fetched: int
    tried: int = 0


class CollateralSource:
    """Keeps one set per platform family and CA.

    Args:
        endpoints: asked in order; the first acceptable set is taken.
        folder: where sets are kept over restarts; None to keep them in memory only.
        clock: wall time.
        root: a test root in DER; None for Intel's.
        refresh_seconds: age after which the services are asked again.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        folder: Path | None,
        clock: Clock,
        root: bytes | None = None,
        refresh_seconds: int = REFRESH_SECONDS,
    ) -> None:
        self._endpoints = tuple(endpoints)
        self._folder = folder
        self._clock = clock
        self._root = INTEL_ROOT_SHA256 if root is None else hashlib.sha256(root).hexdigest()
        self._refresh = refresh_seconds
        self._retry = min(RETRY_SECONDS, refresh_seconds)
        self._kept: dict[tuple[str, str], _Kept] = {}

    async def get(self, platform: Platform, deadline_ms: int) -> Supply:
        """The set for a platform, refreshed when it is time to.

        Raises:
            KeepError: a kept set cannot be read or written.
        """
        key, now = (platform.fmspc, platform.ca), self._now()
        kept = self._kept.get(key) or self._load(key)
        self._kept[key] = kept
        fresh = kept.collateral is not None and 0 <= now - kept.fetched < self._refresh
        if fresh and kept.collateral is not None and now < kept.collateral.ends:
            return Supply(kept.collateral, kept.floor, ())
        if kept.collateral is not None and 0 <= now - kept.tried < self._retry:
            return Supply(kept.collateral, kept.floor, ("the services failed a moment ago",))
        kept.tried = now
        found, troubles = await self._round(key, kept.floor, deadline_ms, "standard")
        if found is not None:
            self._accept(key, kept, found, now)
        return Supply(kept.collateral, kept.floor, troubles)

    async def early(self, platform: Platform, deadline_ms: int) -> Supply:
        """The next evaluation set, to look ahead; it is not kept and raises no floor."""
        key = (platform.fmspc, platform.ca)
        found, troubles = await self._round(key, Floor(), deadline_ms, "early")
        return Supply(found, Floor(), troubles)

    async def _round(
        self, key: tuple[str, str], floor: Floor, deadline_ms: int, update: str
    ) -> tuple[Collateral | None, tuple[str, ...]]:
        troubles: list[str] = []
        share = max(1, deadline_ms // max(1, len(self._endpoints)))  # one dead service leaves time
        for endpoint in self._endpoints:
            try:
                found = await collect(endpoint, *key, share, update=update)
                self._judge(found, key[0], floor)
            except (NoAnswerError, MalformedError) as error:
                troubles.append(f"{endpoint.url}: {error}")
            else:
                return found, tuple(troubles)
        return None, tuple(troubles or ["no collateral service is configured"])

    def _judge(self, found: Collateral, fmspc: str, floor: Floor) -> None:
        if found.tee != "TDX" or found.fmspc != fmspc:
            raise MalformedError(f"a set for {found.tee} {found.fmspc}", f"TDX {fmspc}")
        if floor.above(found.evaluation):
            seen = f"evaluation {found.evaluation.tcb}, {found.evaluation.qe}"
            raise MalformedError(seen, f"at least {floor.tcb}, {floor.qe}, seen before")
        if not found.begins <= self._now() < found.ends:
            raise MalformedError(f"a set from {found.begins} to {found.ends}", "one in force")
        prove(found, self._root)

    def _accept(self, key: tuple[str, str], kept: _Kept, found: Collateral, now: int) -> None:
        floor = kept.floor.raised(found.evaluation)
        table = {"collateral": found.text, "fetched": now, "floor": [floor.tcb, floor.qe]}
        if self._folder is not None:
            keep.write(_path(self._folder, key), table)
        kept.collateral, kept.floor, kept.fetched = found, floor, now

    def _load(self, key: tuple[str, str]) -> _Kept:
        path = None if self._folder is None else _path(self._folder, key)
        table = None if path is None else keep.read(path)
        if table is None:
            return _Kept(None, Floor(), 0)
        try:
            found = parse_collateral(str(table["collateral"]))
            prove(found, self._root)
            tcb, qe = table["floor"]
            return _Kept(found, Floor(int(tcb), int(qe)), int(table["fetched"]))
        except (MalformedError, KeyError, TypeError, ValueError) as error:
            raise keep.KeepError(f"{path} cannot be used: {error}; move it away") from error

    def _now(self) -> int:
        return self._clock.wall_ms() // 1000


def _path(folder: Path, key: tuple[str, str]) -> Path:
    return folder / f"collateral-{key[0]}-{key[1]}.json"
