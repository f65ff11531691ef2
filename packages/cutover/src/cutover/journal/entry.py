"""A fact as bytes and back: one canonical form, so that its hash means one thing.

The form is JSON with sorted keys and the kind under `type`. Reading is strict: a kind or a field
that this version does not know is named, never dropped, because a decision made without it would
be another decision.
"""

from typing import Final, get_args

import msgspec

from cutover.decision.fact import Fact
from cutover.errors import JournalError

PAYLOAD_BYTES_MAX: Final = 8 << 20
"""No fact is larger: a gateway's report, the largest, is refused above 1 MiB."""

_ENCODER: Final = msgspec.json.Encoder(order="deterministic")
_DECODER: Final[msgspec.json.Decoder[Fact]] = msgspec.json.Decoder(Fact)
_FIELDS: Final = {
    kind.__name__: frozenset({"type", *kind.__struct_fields__}) for kind in get_args(Fact)
}
_SHAPE: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def encode(fact: Fact) -> bytes:
    """The canonical bytes of a fact.

    Raises:
        JournalError: it cannot be written (not JSON, not UTF-8, or beyond PAYLOAD_BYTES_MAX).
    """
    try:
        payload = _ENCODER.encode(fact)
    except (TypeError, ValueError, OverflowError) as error:
        raise JournalError(
            f"a {type(fact).__name__} cannot be written to the journal: {error}; expected text in "
            "UTF-8, so cleanse it where it is observed"
        ) from error
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise JournalError(
            f"a {type(fact).__name__} of {len(payload)} bytes, at most {PAYLOAD_BYTES_MAX} are "
            "journaled; shorten it where it is observed"
        )
    return payload


def decode(payload: bytes) -> Fact:
    """The fact that `encode` wrote.

    Raises:
        JournalError: the bytes are no fact that this version knows; the message says which kind
            or field is unknown, or what is wrong with it.
    """
    try:
        shape = _SHAPE.decode(payload)
        kind = msgspec.json.decode(shape.get("type", b"null"), type=str)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise JournalError(f"no fact: {error}; expected a JSON object with a type") from error
    known = _FIELDS.get(kind)
    if known is None:
        raise JournalError(
            f"a fact of kind {kind[:80]!r}, which this version does not know; read the journal "
            "with the version that wrote it, or a newer one"
        )
    if unknown := sorted(shape.keys() - known):
        raise JournalError(
            f"a {kind} with {', '.join(unknown)[:200]}, which this version does not know; read the "
            "journal with the version that wrote it, or a newer one"
        )
    try:
        return _DECODER.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise JournalError(f"a {kind} that cannot be read: {error}") from error
