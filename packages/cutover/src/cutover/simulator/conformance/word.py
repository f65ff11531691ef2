"""The grammar's words: one function each.

Its parameters are the word's details, its docstring is the word's line in the docs. A file's step
is bound to its word, and each value checked, before anything runs.
"""

import inspect
import operator
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final, Literal, Self, get_args, get_origin, get_type_hints

import msgspec

from cutover.runbook.units import format_duration, parse_duration
from cutover.simulator.conformance.errors import ScenarioError, listed

Act = Callable[..., Any]
ANY: Final = inspect.Parameter.empty


class Span(msgspec.Struct, frozen=True):
    """A duration in a file, such as `"2h"`; with a sign where time may go back."""

    ms: int

    @classmethod
    def read(cls, value: object) -> Self:
        """The span that a file's text says.

        Raises:
            ValueError: it says none.
        """
        back = isinstance(value, str) and value.startswith("-")
        ms = parse_duration(value[1:] if isinstance(value, str) and back else value)
        return cls(-ms if back else ms)


class Bounds(msgspec.Struct, frozen=True):
    """A duration that is compared: `"5m"`, `">= 5m"`, `"<= 5m"`, `"< 5m"`, or `"0"` for none."""

    text: str
    ms: int

    @classmethod
    def read(cls, value: object) -> Self:
        """The comparison that a file's text says.

        Raises:
            ValueError: it says none.
        """
        sign, _, rest = value.rpartition(" ") if isinstance(value, str) else ("?", "", "")
        if sign not in _COMPARED or not isinstance(value, str):
            raise ValueError(f"a duration after {listed(_COMPARED)} or nothing")
        return cls(value, 0 if rest == "0" else parse_duration(rest))

    def judge(self, ms: int) -> "Bounds | str":
        """Itself when the time is as asked, else the time in words."""
        sign = self.text.rpartition(" ")[0]
        return self if _COMPARED[sign](ms, self.ms) else f"{format_duration(ms)} ({ms} ms)"


_COMPARED: Final[dict[str, Callable[[int, int], bool]]] = {
    "": operator.eq, ">=": operator.ge, "<=": operator.le, "<": operator.lt, ">": operator.gt,
}  # fmt: skip


class Word:
    """One word of the grammar.

    Args:
        name: as files say it.
        act: takes the world's stage, then the word's value, then details by their names.
    """

    def __init__(self, name: str, act: Act) -> None:
        self.name, self.act = name, act
        self.meaning = " ".join((inspect.getdoc(act) or "").split())
        parameters = list(inspect.signature(act).parameters.values())[1:]
        hints = get_type_hints(act)
        self.value = hints[parameters[0].name]
        self.details = {p.name: (hints[p.name], p.default) for p in parameters[1:]}

    def bind(self, where: str, step: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The value and the details of one step, of the right kinds.

        Raises:
            ScenarioError: a detail is unknown or missing, or a value is of another kind.
        """
        given = dict(step)
        value = converted(given.pop(self.name), self.value, f"{where}: {self.name}")
        if unknown := set(given) - set(self.details):
            known = listed(self.details) or "none"
            raise ScenarioError(
                f"{where}: {self.name} has no {listed(unknown)}; its details are {known}"
            )
        missing = [n for n, (_, default) in self.details.items() if default is ANY]
        if lacking := set(missing) - set(given):
            raise ScenarioError(f"{where}: {self.name} needs {listed(lacking)}")
        kinds = self.details
        return value, {n: converted(v, kinds[n][0], f"{where}: {n}") for n, v in given.items()}


def converted(value: object, kind: Any, where: str) -> Any:
    """A value as its word wants it.

    Raises:
        ScenarioError: it is of another kind; the message says which is expected.
    """
    try:
        for read in (Span, Bounds):
            if kind is read or read in get_args(kind):
                return read.read(value)
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ScenarioError(f"{where}: saw {value!r}; {error}") from error
    except ValueError as error:
        raise ScenarioError(f"{where}: saw {value!r}; expected {error}") from error


class Vocabulary(dict[str, Word]):
    """All words of one kind; a decorator adds one under the function's name."""

    def __call__(self, act: Act) -> Act:
        """Add a word; the function stays as it is."""
        name = act.__name__.rstrip("_")
        self[name] = Word(name, act)
        return act

    def known(self, name: str, where: str, what: str) -> Word:
        """The word.

        Raises:
            ScenarioError: there is none of that name.
        """
        if name not in self:
            raise ScenarioError(f"{where}: no {what} {name!r}; known are {listed(self)}")
        return self[name]

    def page(self) -> str:
        """The words as a table for the docs."""
        rows = [f"| `{w.name}` | {_kind(w.value)} | {_meaning(w)} |" for w in self.values()]
        return "\n".join(["| word | value | meaning |", "| --- | --- | --- |", *rows])


def _meaning(word: Word) -> str:
    """What a word says, and its details with what they may be."""
    details = [f"`{name}` ({_kind(kind)})" for name, (kind, _) in word.details.items()]
    return word.meaning + (f"<br>Details: {'; '.join(details)}" if details else "")


_NAMES: Final[dict[Any, str]] = {
    Span: "duration", Bounds: "compared duration", str: "text", int: "whole number",
    float: "number", bool: "`true`, `false`",
}  # fmt: skip


def _kind(kind: Any) -> str:
    """The values that a kind takes, for people."""
    origin, parts = get_origin(kind), get_args(kind)
    if kind in _NAMES:
        return _NAMES[kind]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return ", ".join(f"`{one.value}`" for one in kind)
    if origin is Literal:
        return ", ".join(f"`{part}`" for part in parts)
    if origin is dict:
        return f"table of {_kind(parts[0])} to {_kind(parts[1])}"
    if origin in (list, tuple):
        return f"list of {_kind(parts[0])}"
    return ", ".join(_kind(part) for part in parts if part is not type(None))
