"""Takes our secrets out of what is seen, before it is journaled, logged or shown.

A plane may repeat the key that it was sent, in an error text above all. The journal is append-only:
what is once in it stays, and an archive that contained it could never be sealed. So there is one
door, and everything that comes in passes here.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from cutover.decision.fact import Fact
from cutover.journal.leak import SECRET_BYTES_MIN, forms

BEGINNING_CHARS: Final = 16
"""Characters of a secret's beginning that no other text has by chance."""

_AS_FACT = msgspec.json.Decoder(Fact)


class Cleanser:
    """Replaces secrets, in every form in which the archive looks for them, by their names.

    Args:
        secrets: name to value; values too short to be told from chance are left out.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        found = {
            form.decode(): f"<secret {name}>"
            for name, value in secrets.items()
            if len(value) >= SECRET_BYTES_MIN
            for form in forms(name, value)
        }
        # Longest first; where lengths are equal, an order that no process's hashing can change.
        self._forms = dict(sorted(found.items(), key=lambda item: (-len(item[0]), item[0])))
        self._starts = {form[:SECRET_BYTES_MIN].encode() for form in self._forms}

    def __call__(self, fact: Fact) -> Fact:
        """The fact without secrets; the very same one when there was none."""
        raw = msgspec.json.encode(fact)
        if not any(start in raw for start in self._starts):
            return fact
        clean = self._walk(msgspec.to_builtins(fact, str_keys=True))
        cleansed: Fact = _AS_FACT.decode(msgspec.json.encode(clean))
        return cleansed

    def _walk(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {k: v if k == "type" else self._walk(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self._walk(item) for item in value]
        return value

    def text(self, text: str) -> str:
        """Whole secrets anywhere, one cut off at the end, and long beginnings of one anywhere.

        A text may be put together of shortened ones, so a secret may end in the middle of it.
        """
        for form, name in self._forms.items():
            text = text.replace(form, name)
            for length in range(len(form) - 1, SECRET_BYTES_MIN - 1, -1):
                if text.endswith(form[:length]):
                    text = text[:-length] + name
                    break
            text = _without_beginnings(text, form, name)
        return text


def _without_beginnings(text: str, form: str, name: str) -> str:
    """Without any part of a text that the secret begins with, if it is too long for chance."""
    begins = form[:BEGINNING_CHARS]
    while len(form) > BEGINNING_CHARS and (at := text.find(begins)) >= 0:
        end, length = at + BEGINNING_CHARS, BEGINNING_CHARS
        while length < len(form) and text[end : end + 1] == form[length]:
            end, length = end + 1, length + 1
        text = text[:at] + name + text[end:]
    return text
