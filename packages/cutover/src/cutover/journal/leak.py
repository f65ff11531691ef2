"""A last look before an archive leaves the house: none of these secrets may be in it."""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import quote

import msgspec

from cutover.errors import JournalError

SECRET_BYTES_MIN: Final = 6
"""Anything shorter would be found by chance in any hash."""

_BATCH_BYTES: Final = 1 << 18


class Scanner:
    """Looks for secrets, and for the forms in which they would stand in a text.

    The forms: as is, as JSON writes it, as JSON writes a text of JSON, percent-encoded, in hex, in
    base64, and its bare SHA-256.

    Args:
        secrets: name to value; names appear in messages, values never do.

    Raises:
        JournalError: a value is too short to be told from chance.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._forms = {name: forms(name, value) for name, value in secrets.items()}
        lengths = [len(form) for forms in self._forms.values() for form in forms]
        self._overlap = max(lengths, default=1) - 1

    def watch(self, part: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The chunks, in larger ones, once they have been searched, across their borders too.

        Raises:
            JournalError: a secret is in the part.
        """
        tail = b""
        for chunk in _batches(chunks):
            window = tail + chunk
            for name, forms in self._forms.items():
                if any(form in window for form in forms):
                    raise JournalError(
                        f"{part} contains the secret {name}; expected none. No archive was made: "
                        "find out which observation carries it, and cleanse it at its source"
                    )
            tail = window[len(window) - self._overlap :] if self._overlap else b""
            yield chunk


def forms(name: str, value: str) -> frozenset[bytes]:
    """The byte strings in which a secret would stand in a text.

    Raises:
        JournalError: it is too short to be told from chance.
    """
    raw = value.encode()
    if len(raw) < SECRET_BYTES_MIN:
        raise JournalError(
            f"the secret {name} has {len(raw)} bytes, at least {SECRET_BYTES_MIN} are needed to "
            "tell it from chance; use a longer one"
        )
    digest = hashlib.sha256(raw)
    return frozenset(
        {
            raw,
            as_json := msgspec.json.encode(value)[1:-1],
            msgspec.json.encode(as_json.decode())[1:-1],
            quote(value, safe="").encode(),
            raw.hex().encode(),
            base64.b64encode(raw).rstrip(b"="),
            base64.urlsafe_b64encode(raw).rstrip(b"="),
            digest.hexdigest().encode(),
            base64.b64encode(digest.digest()).rstrip(b"="),
        }
    )


def _batches(chunks: Iterable[bytes]) -> Iterator[bytes]:
    held: list[bytes] = []
    size = 0
    for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size >= _BATCH_BYTES:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)
