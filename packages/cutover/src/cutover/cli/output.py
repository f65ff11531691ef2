"""How every verb speaks: facts on standard output, trouble on standard error, JSON on request."""

import json
from typing import Any, NoReturn

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def show_json(value: Any) -> None:
    """Print one JSON document."""
    plain = msgspec.to_builtins(value, str_keys=True)
    typer.echo(json.dumps(plain, indent=2, ensure_ascii=False))


def say(text: str) -> None:
    """Print a line of facts, brackets and all."""
    out.print(escape(text))


def fail(text: str, code: int) -> NoReturn:
    """Print what is wrong and leave with an exit code."""
    err.print(f"[bold red]error[/]: {escape(text)}")
    raise typer.Exit(code)


def grid(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table."""
    table = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    out.print(table)
