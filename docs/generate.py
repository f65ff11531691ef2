"""Rewrites the generated blocks of the docs from the code that they describe.

    python docs/generate.py            rewrite what is stale
    python docs/generate.py --check    change nothing; exit 1 and name what is stale

A block stands between `<!-- begin generated: NAME -->` and `<!-- end generated: NAME -->`.
"""

import re
import sys
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import click
import typer
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from cutover.cli.main import EXIT_CODES, app
from cutover.crashpoint import POINTS
from cutover.decision.transitions import diagram
from cutover.routing.grammar_page import tables
from cutover.settings import (
    AttestationSettings,
    ConductorSettings,
    GatewaySettings,
    LiveSettings,
    PlaneSettings,
    PreconditionSettings,
)
from cutover.simulator.chance import WEIGHTS
from cutover.simulator.checkers import CHECKERS
from cutover.simulator.conformance.document import EXPECTATIONS, STEPS
from cutover.simulator.faults import WORDS

DOCS: Final = Path(__file__).parent
WIDTH: Final = 96
"""Of help texts, whatever terminal this runs in."""

BLOCK: Final = re.compile(
    r"(<!-- begin generated: (?P<name>[a-z-]+) -->\n).*?(\n<!-- end generated: (?P=name) -->)",
    re.DOTALL,
)
SECTIONS: Final = (
    ("conductor", ConductorSettings),
    ("planes.NAME", PlaneSettings),
    ("gateway", GatewaySettings),
    ("live", LiveSettings),
    ("attestation", AttestationSettings),
    ("preconditions", PreconditionSettings),
)
_TYPES: Final = {
    str: "text", int: "whole number", bool: "true or false", Path: "path", SecretStr: "secret",
    dict: "table", tuple: "list",
}  # fmt: skip


def cli_help() -> str:
    """Every verb with its help, in the order of the program's own list."""
    return "\n\n".join(
        f"### {' '.join(words)}\n\n```text\n{text}\n```" for words, text in _verbs()
    )


def _verbs() -> Iterator[tuple[tuple[str, ...], str]]:
    yield from _walk(typer.main.get_command(app), ("cutover",))


def _walk(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    context = click.Context(
        command, info_name=" ".join(words), terminal_width=WIDTH, max_content_width=WIDTH
    )
    yield words, command.get_help(context).rstrip()
    for name, one in getattr(command, "commands", {}).items():
        yield from _walk(one, (*words, name))


def exit_codes() -> str:
    """The table of exit codes."""
    rows = [f"| {code} | {text} |" for code, text in EXIT_CODES.items()]
    return "\n".join(["| code | meaning |", "| --- | --- |", *rows])


def crash_points() -> str:
    """Every crash point: name, who dies there, what is done and not yet done."""
    rows = [f"| `{name}` | {point.process} | {point.text} |" for name, point in POINTS.items()]
    return "\n".join(["| point | who dies | at that moment |", "| --- | --- | --- |", *rows])


def settings() -> str:
    """Every setting: key, type, default, meaning."""
    parts = []
    for section, model in SECTIONS:
        rows = [_row(section, name, field, model) for name, field in model.model_fields.items()]
        head = ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
        parts.append("\n".join([f"### `[{section}]`", "", *head, *rows]))
    return "\n\n".join(parts)


def _row(section: str, name: str, field: FieldInfo, model: type[BaseModel]) -> str:
    meaning = meanings(model).get(name)
    if meaning is None:
        raise SystemExit(f"{model.__name__}.{name} has no line under Attributes: write one")
    cells = (f"`{section}.{name}`", type_of(field), default_of(field), meaning)
    return f"| {' | '.join(cells)} |"


def type_of(field: FieldInfo) -> str:
    """A setting's type in a word, with its limits."""
    kind: Any = field.annotation
    arms = [a for a in typing.get_args(kind) if a is not types.NoneType]
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        kind = arms[0]
    address = "_http_url" in repr(kind) or "_http_url" in repr(field.metadata)
    plain = typing.get_origin(kind) or kind
    plain = typing.get_args(kind)[0] if plain is typing.Annotated else plain
    word = _TYPES[plain]
    if address:
        word = "list of addresses" if plain is tuple else "address"
    low = next((m.ge for m in field.metadata if hasattr(m, "ge")), None)
    high = next((m.le for m in field.metadata if hasattr(m, "le")), None)
    return word if low is None else f"{word}, {low} to {high}"


def default_of(field: FieldInfo) -> str:
    """A setting's default as TOML has it; a dash when there is none."""
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"`{value}`".lower()
    if isinstance(value, dict):
        return "`{}`"
    if isinstance(value, tuple):
        listed = ", ".join(f'"{one}"' for one in value)
        return f"`[{listed}]`"
    return f'`"{value}"`'


def meanings(model: type[BaseModel]) -> dict[str, str]:
    """What a model's docstring says of each attribute."""
    found: dict[str, str] = {}
    names: list[str] = []
    _, _, attributes = (model.__doc__ or "").partition("Attributes:\n")
    for line in attributes.splitlines():
        if entry := re.match(r" {8}(\w+(?:, \w+)*): (.*)", line):
            names = entry[1].split(", ")
            found |= dict.fromkeys(names, entry[2])
        elif line.strip():
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return found


def lines_checked() -> str:
    """The lines that every scenario is checked against."""
    looks = [("every entry", "entry"), ("every rest", "rest"), ("the end", "end")]
    rows = []
    for one in CHECKERS:
        at = ", ".join(words for words, look in looks if getattr(one, look) is not None)
        rows.append(f"| {one.line} | {one.words} | {at} |")
    return "\n".join(["| line | always so | looked at |", "| --- | --- | --- |", *rows])


def fault_words() -> str:
    """Every kind of fault: what it needs to be said, what happens, how often it is drawn."""
    rows = []
    for kind, word in WORDS.items():
        lasts = "yes" if word.lasts else "-"
        cells = (f"`{kind}`", word.where or "-", lasts, word.detail or "-", word.text)
        rows.append(f"| {' | '.join(cells)} | {WEIGHTS[kind]} |")
    head = "| what | where | lasts | detail | what happens | weight |"
    return "\n".join([head, "| --- | --- | --- | --- | --- | --- |", *rows])


BLOCKS: Final[dict[str, Callable[[], str]]] = {
    "intents": tables,
    "transitions": lambda: f"```mermaid\n{diagram()}\n```",
    "cli-help": cli_help,
    "exit-codes": exit_codes,
    "settings": settings,
    "scenario-steps": STEPS.page,
    "scenario-expectations": EXPECTATIONS.page,
    "scenario-lines": lines_checked,
    "crash-points": crash_points,
    "fault-words": fault_words,
}


def renewed(text: str, where: str) -> str:
    """A page with every block afresh.

    Raises:
        SystemExit: a block that nobody generates, or a marker without its partner.
    """
    blocks = list(BLOCK.finditer(text))
    if len(re.findall(r"<!-- (?:begin|end) generated: ", text)) != 2 * len(blocks):
        raise SystemExit(f"{where}: a marker without its partner")
    if unknown := {b["name"] for b in blocks} - set(BLOCKS):
        raise SystemExit(f"{where}: nobody generates {', '.join(sorted(unknown))}")
    return BLOCK.sub(lambda b: b[1] + BLOCKS[b["name"]]() + b[3], text)


def main(words: list[str]) -> int:
    """Renew every page, or name the stale ones."""
    check = words == ["--check"]
    if words and not check:
        raise SystemExit("usage: python docs/generate.py [--check]")
    stale = 0
    for page in sorted(DOCS.rglob("*.md")):
        name = str(page.relative_to(DOCS.parent))
        text = page.read_text("utf-8")
        fresh = renewed(text, name)
        if fresh == text:
            continue
        stale += 1
        sys.stdout.write(f"{name}: {'stale, run `make docs`' if check else 'rewritten'}\n")
        if not check:
            page.write_text(fresh, "utf-8")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
