"""What is sealed into an archive, and the secrets that must not be in it."""

from pathlib import Path

from cutover import sealing
from cutover.attestation.kept_folder import FOLDER
from cutover.conductor.credentials import GATEWAY_FILE, OPERATOR_FILE, read_token
from cutover.journal.leak import SECRET_BYTES_MIN
from cutover.journal.store import Journal
from cutover.sealing import Order
from cutover.settings import PlaneSettings, Settings
from cutover.versions import versions


def key_of(plane: PlaneSettings) -> str:
    """The plane's `x-agent-api-key`."""
    assert plane.key is not None  # noqa: S101 - settings resolve every key
    return plane.key.get_secret_value()


def secret_values(settings: Settings) -> dict[str, str]:
    """Every secret of the configuration by name, to make sure that none is in an archive.

    A key too short to be told from chance cannot be looked for, and is left out.
    """
    found = {f"planes.{name}": key_of(plane) for name, plane in settings.planes.items()}
    for name in (OPERATOR_FILE, GATEWAY_FILE):
        if (file := settings.conductor.data / name).exists():
            found[name] = read_token(file)
    gateway = settings.gateway
    if gateway is not None and gateway.key is not None:
        found["gateway.key"] = gateway.key.get_secret_value()
        if gateway.webhook_secret is not None:
            found["gateway.webhook_secret"] = gateway.webhook_secret.get_secret_value()
    return {name: value for name, value in found.items() if len(value) >= SECRET_BYTES_MIN}


def seal(
    journal: Path,
    settings: Settings | None,
    output: Path | None = None,
    evidence: Path | None = None,
) -> tuple[Path, str]:
    """Write the archive of a journal and verify what was written.

    Args:
        journal: a journal.db.
        settings: none of whose secrets may be inside.
        output: the file to write; None for one beside the journal.
        evidence: the folder of kept evidence; None for the one beside the journal.

    Returns:
        The file and the journal's head.

    Raises:
        CutoverError: it could not be made, or does not verify.
    """
    order = sealing_order(journal, settings, output, evidence)
    return Path(order.target), sealing.seal(order)


def sealing_order(
    journal: Path,
    settings: Settings | None,
    output: Path | None = None,
    evidence: Path | None = None,
) -> Order:
    """What is to be sealed, and which secrets must not be in it; arguments as for `seal`."""
    known = secret_values(settings) if settings is not None else {}
    target = output or journal.parent / f"archive-at-{_length(journal)}.zip"
    kept = evidence or journal.parent / FOLDER
    return Order(str(journal), str(target), versions(), known, str(kept))


def _length(journal: Path) -> int:
    with Journal.open_read_only(journal) as reader:
        return reader.head[0]
