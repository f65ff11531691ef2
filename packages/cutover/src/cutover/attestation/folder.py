"""Evidence in files: what `attest fetch` leaves behind, and what a stranger brings along.

A folder has `evidence.json` (the plane's answer, byte for byte), `collateral.json` (what it was
judged by) and `asked.json` (nonce, moment and connection of who asked).
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cutover.attestation.bundle import Asked, Bundle, Nonce, parse_bundle
from cutover.attestation.collateral import Collateral, parse_collateral
from cutover.attestation.strict import MalformedError, hex_bytes, read_json, table_of
from cutover.errors import ConfigurationError

FILE_BYTES_MAX: Final = 1024 * 1024
_HEX_TEXT: Final = re.compile(rb"\s*([0-9a-fA-F]{2})+\s*")


@dataclass(frozen=True, slots=True)
class Recorded:
    """What who asked has noted.

    Attributes:
        url: whom.
        nonce: with what.
        issued: Unix seconds of the question.
        fetched: Unix seconds of the answer.
        peer_spki: SHA-256 of the connection's key; None without TLS.
        peer_ends: Unix seconds at which its certificate ends.
    """

    url: str
    nonce: bytes
    issued: int
    fetched: int
    peer_spki: bytes | None
    peer_ends: int | None


def read_file(path: Path) -> bytes:
    """A file of at most a megabyte.

    Raises:
        ConfigurationError: when it cannot be read, or is larger.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
    if len(raw) > FILE_BYTES_MAX:
        raise ConfigurationError(f"{path}: more than {FILE_BYTES_MAX} bytes, expected evidence")
    return raw


def read_quote(path: Path) -> bytes:
    """A quote, raw or in hex."""
    raw = read_file(path)
    return bytes.fromhex(raw.decode("ascii")) if _HEX_TEXT.fullmatch(raw) else raw


def read_collateral(path: Path) -> Collateral:
    """A set in the form of `QuoteCollateralV3`.

    Raises:
        ConfigurationError: when it has not that form; it is the reader's own, not the plane's.
    """
    raw = read_file(path)
    try:
        return parse_collateral(raw)
    except MalformedError as error:
        raise ConfigurationError(f"{path} is no collateral: {error}") from error


def write_folder(
    folder: Path, raw: bytes, collateral: Collateral | None, recorded: Recorded
) -> list[Path]:
    """Write what was fetched; the files written.

    Raises:
        ConfigurationError: when the folder cannot be written.
    """
    noted = {
        "url": recorded.url,
        "nonce": recorded.nonce.hex(),
        "issued": recorded.issued,
        "fetched": recorded.fetched,
        "peer_spki": recorded.peer_spki.hex() if recorded.peer_spki else None,
        "peer_ends": recorded.peer_ends,
    }
    files = {"evidence.json": raw, "asked.json": json.dumps(noted, indent=2).encode()}
    if collateral is not None:
        files["collateral.json"] = collateral.text.encode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "collateral.json").unlink(missing_ok=True)  # an older one is not this one's
        for name, content in files.items():
            (folder / name).write_bytes(content)
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written: {error}") from error
    return [folder / name for name in files]


def read_folder(folder: Path) -> tuple[Bundle, Collateral | None, Recorded]:
    """What `write_folder` wrote.

    Raises:
        ConfigurationError: when it cannot be read.
    """
    try:
        bundle = parse_bundle(read_file(folder / "evidence.json"))
        noted = table_of(read_json(read_file(folder / "asked.json"), "asked.json"), "asked.json")
        recorded = _recorded(noted)
    except (MalformedError, KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(f"{folder} holds no evidence: {error}") from error
    path = folder / "collateral.json"
    return bundle, read_collateral(path) if path.exists() else None, recorded


def _recorded(noted: dict[str, Any]) -> Recorded:
    spki, ends = noted["peer_spki"], noted["peer_ends"]
    return Recorded(
        str(noted["url"]),
        hex_bytes(noted["nonce"], "nonce", 32),
        int(noted["issued"]),
        int(noted["fetched"]),
        None if spki is None else hex_bytes(spki, "peer_spki", 32),
        None if ends is None else int(ends),
    )


def asked_then(recorded: Recorded, now: int, root: bytes | None) -> Asked:
    """The circumstances for who judges again: nonce and connection as they were noted.

    A nonce is as old as it was when the answer came, whenever it is judged again.
    """
    age = recorded.fetched - recorded.issued
    return Asked(
        now=now,
        live=False,
        nonce=Nonce(recorded.nonce, now - age),
        peer_spki=recorded.peer_spki,
        peer_ends=recorded.peer_ends,
        root=root,
    )
