"""From TOML text to a `Document`, or to the faults of its shape in the operator's words."""

import difflib
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from cutover.runbook.finding import Fault, Loc
from cutover.runbook.schema import Document, json_schema

LONGEST_TEXT: Final = 256 * 1024
"""Characters; a runbook is read by people."""

_AT_LINE: Final = re.compile(r"^(?P<what>.*) \(at line (?P<line>\d+), column \d+\)$", re.DOTALL)


class NotTomlError(ValueError):
    """The text is not TOML.

    Attributes:
        line: where reading stopped.
        seen: what the reader met.
    """

    def __init__(self, line: int, seen: str) -> None:
        self.line = line
        self.seen = seen
        super().__init__(f"line {line}: {seen}")


def parse_toml(text: str) -> dict[str, Any]:
    """The text's values; decimals are kept exact.

    Raises:
        NotTomlError: for text that is too long or not TOML.
    """
    if len(text) > LONGEST_TEXT:
        raise NotTomlError(1, f"{len(text)} characters, more than {LONGEST_TEXT}")
    try:
        return tomllib.loads(text, parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError) as error:
        last = text.rstrip("\n").count("\n") + 1
        found = _AT_LINE.match(str(error))
        if found is None:
            raise NotTomlError(last, str(error)) from error
        raise NotTomlError(int(found["line"]), found["what"]) from error


_Model = TypeVar("_Model", bound=BaseModel)


def read_shape(values: Mapping[str, Any]) -> Document | list[Fault]:
    """The document, or every fault of its shape."""
    return read_model(Document, _schema, values, "a runbook")


def read_model(
    model: type[_Model],
    schema: Callable[[], Mapping[str, Any]],
    values: Mapping[str, Any],
    kind: str,
) -> _Model | list[Fault]:
    """An operator's document of some kind, or every fault of its shape.

    Args:
        model: the document's shape; every field has a description.
        schema: its JSON Schema, asked for only where there is something to explain.
        values: what the text holds.
        kind: what the document is called.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        known = schema()
        return [_fault(known, values, one, kind) for one in error.errors(include_url=False)]


@cache
def _schema() -> Mapping[str, Any]:
    """Made once: it costs more than reading a runbook."""
    return json_schema()


def _fault(
    schema: Mapping[str, Any], values: Mapping[str, Any], details: ErrorDetails, kind: str
) -> Fault:
    loc = _place(values, details["loc"])
    ctx = details.get("ctx", {})
    node = _node(schema, details["loc"])
    match details["type"]:
        case "missing":
            what = f"`{loc[-1]}`: {node.get('description', 'a value')}"
            return Fault(loc, "nothing", f"{what} ({kind} has no hidden defaults)")
        case "extra_forbidden":
            known = list(_node(schema, details["loc"][:-1]).get("properties", {}))
            return Fault(loc, f"the unknown key `{loc[-1]}`", _one_of(str(loc[-1]), known))
        case "union_tag_not_found":
            tag = str(ctx["discriminator"]).strip("'")
            return Fault(loc, f"no `{tag}`", f"`{tag}`, which says what the other keys mean")
        case "union_tag_invalid":
            tag = str(ctx["discriminator"]).strip("'")
            return Fault((*loc, tag), f'"{ctx["tag"]}"', f"one of {ctx['expected_tags']}")
        case _:
            return Fault(loc, _shown(details["input"]), _wanted(details["msg"], node))


def _wanted(message: str, node: Mapping[str, Any]) -> str:
    """Pydantic's message as the end of "expected …", with what the value is for."""
    wanted = re.sub(r"^(Input|String|Tuple|Value) should (be )?", "", message)
    wanted = re.sub(r"<\w+\.\w+: ('\w+')>", r"\1", wanted)  # members of an enumeration
    wanted = re.sub(r"^a valid dictionary or .*$", "a table", wanted)
    wanted = re.sub(r"^a valid tuple$", "a list", wanted)
    about = str(node.get("description", "")).rstrip(".")
    return f"{wanted} ({about})" if about else wanted


def _place(values: object, reported: Sequence[str | int]) -> Loc:
    """Pydantic's path without the names of union members, which stand nowhere in the text."""
    loc: list[str | int] = []
    at: Any = values
    for index, part in enumerate(reported):
        inside = isinstance(at, dict) and part in at
        item = isinstance(at, list) and isinstance(part, int) and part < len(at)
        if inside or item:
            at = at[part]
        elif index < len(reported) - 1:
            continue
        loc.append(part)
    return tuple(loc)


def _node(schema: Mapping[str, Any], reported: Sequence[str | int]) -> Mapping[str, Any]:
    """The part of the JSON Schema that speaks about pydantic's path; empty when none does."""
    node: Mapping[str, Any] = schema
    for part in reported:
        members = node.get("discriminator", {}).get("mapping", {})
        if isinstance(part, int):
            child = node.get("items", {})
        elif part in members:
            child = {"$ref": members[part]}
        else:
            child = node.get("properties", {}).get(part, {})
        node = _dereferenced(schema, child)
    return node


def _dereferenced(schema: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in node:
        return node
    target = schema["$defs"][str(node["$ref"]).rpartition("/")[2]]
    return {**target, **{key: value for key, value in node.items() if key != "$ref"}}


def _one_of(seen: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(seen, known, n=1)
    hint = f"`{near[0]}`? " if near else ""
    return f"{hint}The keys here are {', '.join(known)}"


def _shown(value: object) -> str:
    """A value as TOML would spell it, cut short."""
    match value:
        case bool():
            shown = str(value).lower()
        case str():
            shown = f'"{value}"'
        case dict():
            shown = "a table"
        case list() | tuple():
            shown = f"a list of {len(value)}"
        case _:
            shown = str(value)
    return shown if len(shown) <= 60 else shown[:57] + "…"
