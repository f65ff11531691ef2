"""Fetch evidence and collateral and keep them in a folder; nothing is judged."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cutover.attestation import dcap
from cutover.attestation.bundle import parse_bundle
from cutover.attestation.collateral import Collateral
from cutover.attestation.collateral_source import CollateralSource
from cutover.attestation.fetch import NoAnswerError, fetch_evidence
from cutover.attestation.folder import Recorded, write_folder
from cutover.attestation.pccs import Endpoint
from cutover.attestation.quote import parse_quote
from cutover.attestation.services import INTEL
from cutover.attestation.statement import NONCE_SIZE
from cutover.attestation.strict import MalformedError
from cutover.clock import Clock

_INTEL_ROOT_CRL: Final = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a fetch left behind; complete with evidence and collateral."""

    files: tuple[Path, ...]
    troubles: tuple[str, ...]
    complete: bool


def endpoint(url: str) -> Endpoint:
    """A service by its address; Intel's own has the root's list elsewhere."""
    return Endpoint(url, _INTEL_ROOT_CRL if url.rstrip("/") == INTEL else "")


async def gather(
    url: str,
    services: Sequence[str],
    folder: Path,
    clock: Clock,
    entropy: Callable[[int], bytes],
    root: bytes | None,
    deadline_ms: int,
) -> Gathered:
    """Ask the plane, then the services.

    Raises:
        NoEvidenceError, NoAnswerError: the plane gave nothing.
        ConfigurationError: the folder cannot be written.
    """
    nonce, issued = entropy(NONCE_SIZE), clock.wall_ms() // 1000
    fetched = await fetch_evidence(url, nonce, deadline_ms)
    answered = clock.wall_ms() // 1000
    troubles: tuple[str, ...] = ()
    found: Collateral | None = None
    try:
        quote = parse_quote(parse_bundle(fetched.raw).quote or b"")
        source = CollateralSource([endpoint(one) for one in services], None, clock, root)
        supply = await source.get(dcap.platform_of(quote), deadline_ms)
        found, troubles = supply.collateral, supply.troubles
    except (MalformedError, NoAnswerError) as error:
        troubles = (f"no collateral can be found for this answer: {error}",)
    recorded = Recorded(url, nonce, issued, answered, fetched.peer_spki, fetched.peer_ends)
    files = write_folder(folder, fetched.raw, found, recorded)
    return Gathered(tuple(files), troubles, found is not None)
