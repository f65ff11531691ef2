"""The export's form: one line that names format, digest and size, then canonical JSON.

The line is made again from what follows it and compared, so a change of any byte is seen. It tells
of accidents: who can write the file can write a matching line as well. `--digest` of the import
holds it against what the exporting side said.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from agent_runtime.handover.errors import HandoverRefusal
from agent_runtime.handover.tables import TABLES

FORMAT = "agent-runtime-ledger/1"
BYTES_MAX = 512 * 2**20
HEADER_MAX = 160
Value: TypeAlias = str | int | float | bytes | None
Row: TypeAlias = tuple[Value, ...]


@dataclass(frozen=True)
class About:
    """Where an export comes from.

    Attributes:
        schema: version of the tables.
        plane: PLANE_ID of who exported.
        build: revision of who exported.
        network: NEAR network.
        account: the account that signs.
        public_key: the exporting plane's signer key, `ed25519:...`.
        sealed: nothing can be planned or signed from that ledger any more; False for a snapshot.
        exported_at: epoch seconds.
    """

    schema: int
    plane: str
    build: str
    network: str
    account: str
    public_key: str
    sealed: bool
    exported_at: float


@dataclass(frozen=True)
class Export:
    """A ledger, and where it comes from; rows by table, in the columns of `TABLES`."""

    about: About
    rows: Mapping[str, Sequence[Row]]


def encode(export: Export) -> bytes:
    """The file's bytes; the same export always gives the same ones."""
    tables = {
        name: [[_told(value) for value in row] for row in rows]
        for name, rows in export.rows.items()
    }
    told = {"about": asdict(export.about), "tables": tables}
    body = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
    return _header(body) + body


def digest_of(raw: bytes) -> str:
    """The digest that an export names, in hex: SHA-256 of all that follows its first line."""
    return hashlib.sha256(raw.partition(b"\n")[2]).hexdigest()


def decode(raw: bytes) -> Export:
    """Read an export.

    Raises:
        HandoverRefusal: it is not whole, not of this format, or not of this build's tables.
    """
    line, found, body = raw[: HEADER_MAX + 1].partition(b"\n")
    body = raw[len(line) + 1 :]
    if not found or not line.startswith(FORMAT.encode() + b" "):
        raise HandoverRefusal(f"this is no export: its first line does not begin with {FORMAT}")
    if not hmac.compare_digest(_header(body), line + b"\n"):
        raise HandoverRefusal(
            "the export is not as it was written: its digest or size does not match what follows;"
            " copy it again, or export again"
        )
    try:
        told = json.loads(body)
        about = _about(told["about"])
        tables = {name: _rows(name, told["tables"][name]) for name in told["tables"]}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise HandoverRefusal(
            f"the export is whole but has another shape ({type(error).__name__}); use the build"
            " that made it on both sides"
        ) from error
    return Export(about, tables)


def _about(told: Any) -> About:
    about = About(**told)
    kinds = {"schema": int, "sealed": bool, "exported_at": float}
    if not all(isinstance(value, kinds.get(name, str)) for name, value in asdict(about).items()):
        raise TypeError("a member of `about` of another kind")
    return about


def _header(body: bytes) -> bytes:
    return f"{FORMAT} sha256:{hashlib.sha256(body).hexdigest()} {len(body)}\n".encode()


def _told(value: Value) -> Any:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    return value


def _read(value: Any) -> Value:
    if isinstance(value, dict):
        try:
            return base64.b64decode(value["base64"], validate=True)
        except binascii.Error as error:
            raise ValueError("not base64") from error
    if isinstance(value, str):
        value.encode()  # raises ValueError for what SQLite cannot store
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("a number that SQLite cannot store")
    elif value is not None and not isinstance(value, int | float):
        raise TypeError("a cell that is no cell")
    found: Value = value
    return found


_WIDTHS = {table.name: len(table.columns) for table in TABLES}


def _rows(name: str, found: Any) -> list[Row]:
    width = _WIDTHS[name]
    rows = [tuple(_read(value) for value in row) for row in found]
    if any(len(row) != width for row in rows):
        raise ValueError("a row that is too long or too short")
    return rows
