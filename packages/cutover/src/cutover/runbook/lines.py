"""On which line of a TOML text each key stands.

`tomllib` gives values without places. This scanner reads only text that `tomllib` has accepted, so
it need not judge, only walk: tables, arrays of tables, dotted and inline tables, arrays, and the
strings and comments whose brackets and newlines must not be mistaken for structure.
"""

import tomllib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from cutover.runbook.finding import Fault, Finding, Loc, where

_ENDS_SCALAR: Final = frozenset(",]}#\n")
_TRIPLES: Final = ('"""', "'''")


def line_of(lines: Mapping[Loc, int], loc: Loc) -> int:
    """The line of `loc`, or of the nearest table around it; 1 when the document has neither."""
    while loc and loc not in lines:
        loc = loc[:-1]
    return lines.get(loc, 1)


def located(
    faults: Iterable[Fault], values: Mapping[str, Any], text: str, source: str
) -> list[Finding]:
    """Faults with their places in a text, in its order.

    Args:
        faults: what is wrong with the values.
        values: that the text was parsed to.
        text: TOML.
        source: its name, for people.
    """
    lines = key_lines(text)
    found = [
        Finding(source, line_of(lines, f.loc), where(values, f.loc), f.seen, f.expected, f.severity)
        for f in faults
    ]
    return sorted(found, key=lambda finding: finding.line)


def key_lines(text: str) -> Mapping[Loc, int]:
    """Line (1-based) of every key, table and array item in a valid TOML text."""
    scanner = _Scanner(text.replace("\r\n", "\n"))
    scanner.document()
    return scanner.lines


class _Scanner:
    """One walk over one text; `lines` is the result."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.pos = 0
        self.lines: dict[Loc, int] = {}
        self._items: dict[Loc, int] = {}  # arrays of tables: how many items so far

    def document(self) -> None:
        table: Loc = ()
        self._blank()
        while self.pos < len(self.text):
            table = self._header() if self._peek() == "[" else self._pair(table)
            self._blank()

    def _header(self) -> Loc:
        line = self._line()
        array = self.text.startswith("[[", self.pos)
        self.pos += 2 if array else 1
        loc: Loc = ()
        parts = self._key()
        for part in parts[:-1]:
            loc = self._latest((*loc, part))
            self.lines.setdefault(loc, line)
        loc = (*loc, parts[-1])
        if array:
            self.lines.setdefault(loc, line)
            self._items[loc] = self._items.get(loc, 0) + 1
            loc = self._latest(loc)
        self.lines.setdefault(loc, line)
        self.pos += 2 if array else 1
        return loc

    def _latest(self, loc: Loc) -> Loc:
        """A name inside an array of tables means its newest item."""
        return (*loc, self._items[loc] - 1) if loc in self._items else loc

    def _pair(self, table: Loc) -> Loc:
        line = self._line()
        loc = table
        for part in self._key():
            loc = (*loc, part)
            self.lines.setdefault(loc, line)
        self.pos += 1  # the equals sign, where `_key` stops
        self._blank(newlines=False)
        self._value(loc)
        return table

    def _key(self) -> list[str]:
        """Parts of a dotted key; stops at the `=` or `]` behind it."""
        parts: list[str] = []
        while True:
            self._blank(newlines=False)
            start = self.pos
            if self._peek() in {'"', "'"}:
                self._string()
            else:
                while self._peek() not in " \t.=]":
                    self.pos += 1
            parts.append(_plain(self.text[start : self.pos]))
            self._blank(newlines=False)
            if self._peek() != ".":
                return parts
            self.pos += 1

    def _value(self, loc: Loc) -> None:
        char = self._peek()
        if char in {'"', "'"}:
            self._string()
        elif char == "[":
            self._array(loc)
        elif char == "{":
            self._inline_table(loc)
        else:
            while self.pos < len(self.text) and self.text[self.pos] not in _ENDS_SCALAR:
                self.pos += 1

    def _array(self, loc: Loc) -> None:
        self.pos += 1
        position = 0
        self._blank()
        while self._peek() != "]":
            item = (*loc, position)
            self.lines[item] = self._line()
            self._value(item)
            position += 1
            self._comma()
        self.pos += 1

    def _inline_table(self, loc: Loc) -> None:
        self.pos += 1
        self._blank()
        while self._peek() != "}":
            self._pair(loc)
            self._comma()
        self.pos += 1

    def _comma(self) -> None:
        self._blank()
        if self._peek() == ",":
            self.pos += 1
            self._blank()

    def _string(self) -> None:
        opening = self.text[self.pos : self.pos + 3]
        quote = opening if opening in _TRIPLES else opening[0]
        self.pos += len(quote)
        while not self.text.startswith(quote, self.pos):
            self.pos += 2 if quote[0] == '"' and self.text[self.pos] == "\\" else 1
        self.pos += len(quote)
        while len(quote) == 3 and self._peek() == quote[0]:
            self.pos += 1  # up to two quotes may belong to the string itself

    def _blank(self, *, newlines: bool = True) -> None:
        """Past blanks and, where the grammar has them, newlines and comments."""
        while self.pos < len(self.text):
            if newlines and self.text[self.pos] == "#":
                end = self.text.find("\n", self.pos)
                self.pos = len(self.text) if end < 0 else end
            elif self.text[self.pos] in (" \t\n" if newlines else " \t"):
                self.pos += 1
            else:
                return

    def _peek(self) -> str:
        return self.text[self.pos : self.pos + 1]

    def _line(self) -> int:
        return self.text.count("\n", 0, self.pos) + 1


def _plain(key: str) -> str:
    """A key without its quotes and escapes."""
    return next(iter(tomllib.loads(f"{key} = 0"))) if key[:1] in {'"', "'"} else key
