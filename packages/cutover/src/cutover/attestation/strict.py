"""Reading foreign text strictly: what two readers might understand differently is refused."""

import binascii
import json
from collections.abc import Mapping
from typing import Any, Final

from cutover.attestation.limits import SHOWN_CHARS_MAX


class MalformedError(ValueError):
    """Evidence that does not have its form.

    Attributes:
        seen: what is there.
        expected: what should be.
    """

    def __init__(self, seen: str, expected: str) -> None:
        self.seen = seen
        self.expected = expected
        super().__init__(f"saw {seen}; expected {expected}")


def shown(value: object) -> str:
    """A foreign value for people, cut short and without control characters."""
    text = value if isinstance(value, str) else repr(value)
    plain = "".join(c if c.isprintable() else "?" for c in text[: SHOWN_CHARS_MAX + 1])
    return plain if len(plain) <= SHOWN_CHARS_MAX else plain[: SHOWN_CHARS_MAX - 1] + "…"


def read_json(text: str | bytes, what: str) -> Any:
    """The value of a JSON text without repeated names, NaN or anything else outside RFC 8259.

    Raises:
        MalformedError: for any other text; `what` names it.
    """
    try:
        decoded = text.decode("utf-8") if isinstance(text, bytes) else text
        decoded.encode("utf-8")  # a lone surrogate in text is no Unicode
        return _DECODER.decode(decoded)
    except MalformedError:
        raise
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"{what}: {shown(str(error))}", "strict JSON in UTF-8") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise MalformedError(f"the name {shown(twice)} twice in one object", "each name once")
    return table


def _no_constant(word: str) -> Any:
    raise MalformedError(f"the constant {word}", "JSON, which has no such number")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_constant)
_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def canonical_json(value: Any) -> bytes:
    """Sorted names, no blanks, UTF-8: RFC 8785 for text, lists, tables and small whole numbers.

    Raises:
        MalformedError: for text that is no Unicode.
    """
    try:
        return _ENCODER.encode(value).encode("utf-8")
    except UnicodeEncodeError as error:
        raise MalformedError("a lone surrogate", "Unicode text") from error


def hex_bytes(value: object, what: str, *sizes: int) -> bytes:
    """The bytes of a lower-case hex text; one of `sizes` long where any are given.

    Raises:
        MalformedError: for anything else.
    """
    try:
        raw = binascii.unhexlify(value) if isinstance(value, str) else None
    except ValueError:
        raw = None
    if raw is None or raw.hex() != value:  # upper case would be a second spelling
        raise MalformedError(f"{what}: {shown(value)}", "lower-case hexadecimal")
    if sizes and len(raw) not in sizes:
        wanted = " or ".join(str(size) for size in sizes)
        raise MalformedError(f"{what}: {len(raw)} bytes", f"{wanted} bytes")
    return raw


def text_of(table: Mapping[str, Any], name: str, what: str) -> str:
    """A text in a table.

    Raises:
        MalformedError: when it is absent or no text.
    """
    value = table.get(name)
    if not isinstance(value, str):
        raise MalformedError(f"{what}: {name} is {shown(value)}", "text")
    return value


def table_of(value: object, what: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        MalformedError: for any other value.
    """
    if not isinstance(value, dict):
        raise MalformedError(f"{what}: {shown(value)}", "a JSON object")
    return value
