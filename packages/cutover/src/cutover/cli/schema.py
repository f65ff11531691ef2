"""`cutover schema`: the runbook's JSON Schema, for editors."""

import typer

from cutover.cli.output import show_json
from cutover.runbook.load import json_schema


def schema() -> None:
    """Print the JSON Schema of a runbook."""
    show_json(json_schema())


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(schema)
