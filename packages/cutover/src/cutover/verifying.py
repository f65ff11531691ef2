"""What the conductor makes of `[attestation]`: who looks at the candidate, who may speak to it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from cutover.attestation.collateral_source import CollateralSource
from cutover.attestation.examine import Examination, Examiner
from cutover.attestation.kept_folder import FOLDER
from cutover.attestation.records import Records
from cutover.attesting import Attesting
from cutover.clock import SystemClock
from cutover.conductor.attested_compose import AttestedCompose
from cutover.conductor.attested_plane import AttestedConnections, AttestedPlane, health_under
from cutover.conductor.pin import Pin
from cutover.conductor.verified import VerifiedAttester
from cutover.decision.run import Run

MEMORY_FOLDER: Final = "attestation"
"""In the run's directory: kept collateral, and since when a platform is out of date."""


class KeptLooks:
    """Keeps every look, and those for ever that a decision may rest on.

    Args:
        records: where.
    """

    def __init__(self, records: Records) -> None:
        self._records = records
        self._marker = ""

    def follow(self, run: Run) -> None:
        """Take note of the newest decision."""
        self._marker = f"{run.phase}:{run.generation}"

    def keep(self, examination: Examination, purpose: str) -> str:
        """Make a look durable and return its SHA-256 (hex).

        Raises:
            KeepError: it cannot be written.
        """
        return self._records.keep(examination, purpose, self._marker)


@dataclass(frozen=True, slots=True)
class Attested:
    """What speaks to a candidate that must prove what it is, and looks at it.

    Attributes:
        plane: the candidate, spoken to under its attested key.
        pin: that key.
        compose: what it runs, by the newest evidence that verified.
        attester: looks at what it is.
        connections: to be closed at the end.
        follow: to be given the run's state whenever it has changed.
    """

    plane: AttestedPlane
    pin: Pin
    compose: AttestedCompose
    attester: VerifiedAttester
    connections: AttestedConnections
    follow: Callable[[Run], None]


def attested_candidate(
    attesting: Attesting, data: Path, url: str, key: str, entropy: Callable[[int], bytes]
) -> Attested:
    """Make the conductor's side of a verified candidate.

    Args:
        attesting: how it is verified.
        data: directory of the run.
        url: the candidate's base address.
        key: its `x-agent-api-key`.
        entropy: unpredictable bytes, for nonces.

    Raises:
        CutoverError: what is kept in the directory cannot be read or written.
    """
    clock, folder = SystemClock(), data / MEMORY_FOLDER
    name, root = attesting.policy.plane, attesting.root
    source = CollateralSource(attesting.services, folder, clock, root, attesting.refresh_seconds)
    examiner = Examiner(url, attesting.policy, source, clock, entropy, folder, root)
    keeper = KeptLooks(Records(data / FOLDER, attesting.text, root))
    pin, compose = Pin(), AttestedCompose()
    connections = AttestedConnections(pin)

    def follow(run: Run) -> None:
        pin.hold(run.plane(name).tls_spki)
        keeper.follow(run)

    health = partial(health_under, url)
    attester = VerifiedAttester(name, examiner, health, keeper, clock, compose)
    plane = AttestedPlane(name, url, key, connections)
    return Attested(plane, pin, compose, attester, connections, follow)
