"""What a plane hands over, and what we asked it for (attestation §15).

The answer of `GET /.well-known/attestation?nonce=…` is one JSON object: `v` (1), `statement` (the
exact text), `quote` (hex), `event_log` and `vm_config` (JSON text as the guest agent gave it),
`app_compose` (the exact text), `keys`. See docs/reference/attestation.md.
"""

from dataclasses import dataclass
from typing import Any, Final

from cutover.attestation.collateral import Floor
from cutover.attestation.limits import REPLY_BYTES_MAX
from cutover.attestation.strict import (
    MalformedError,
    canonical_json,
    hex_bytes,
    read_json,
    shown,
    table_of,
)

VERSION: Final = 1
NO_FLOOR: Final = Floor()
PATH: Final = "/.well-known/attestation"


@dataclass(frozen=True, slots=True)
class Bundle:
    """Raw parts; None for one that was not handed over. Nothing is believed yet."""

    quote: bytes | None = None
    event_log: bytes | None = None
    app_compose: bytes | None = None
    statement: bytes | None = None
    keys: bytes | None = None
    vm_config: bytes | None = None


@dataclass(frozen=True, slots=True)
class Nonce:
    """Ours: random, for one question, used once.

    Attributes:
        value: 32 bytes.
        issued: Unix seconds.
        used: an answer to it was judged before.
    """

    value: bytes
    issued: int
    used: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """The circumstances of one judgement; one moment from start to end.

    Attributes:
        now: Unix seconds.
        live: judged by who asked, with nonce and connection at hand; False for a stranger who
            judges kept evidence, and to whom freshness and channel cannot be shown.
        nonce: what was asked with.
        peer_spki: SHA-256 of the key that the connection's other end proved to hold.
        peer_ends: Unix seconds at which that certificate ends.
        floor: evaluation numbers already seen.
        last_seen: the latest moment ever judged for; a clock before it is wrong.
        out_of_date_since: when this platform was first seen out of date.
        root: a root in DER; None for Intel's.
    """

    now: int
    live: bool = True
    nonce: Nonce | None = None
    peer_spki: bytes | None = None
    peer_ends: int | None = None
    floor: Floor = NO_FLOOR
    last_seen: int = 0
    out_of_date_since: int | None = None
    root: bytes | None = None


def parse_bundle(raw: bytes) -> Bundle:
    """Read a plane's answer; parts that are absent stay None, for the pipeline to say so.

    Raises:
        MalformedError: when it is no such answer at all.
    """
    if len(raw) > REPLY_BYTES_MAX:
        raise MalformedError(f"{len(raw)} bytes", f"at most {REPLY_BYTES_MAX}")
    table = table_of(read_json(raw, "answer"), "answer")
    if table.get("v") != VERSION or isinstance(table.get("v"), bool):
        raise MalformedError(f"answer of version {shown(table.get('v'))}", f"version {VERSION}")
    quote = table.get("quote")
    keys = table.get("keys")
    return Bundle(
        quote=None if quote is None else hex_bytes(quote, "quote"),
        event_log=_text(table, "event_log"),
        app_compose=_text(table, "app_compose"),
        statement=_text(table, "statement"),
        keys=None if keys is None else canonical_json(keys),
        vm_config=_text(table, "vm_config"),
    )


def _text(table: dict[str, Any], name: str) -> bytes | None:
    value = table.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise MalformedError(f"answer: {name} is {shown(value)}", "the exact text, in a string")
    try:
        return value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise MalformedError(f"answer: {name} with a lone surrogate", "Unicode") from error
