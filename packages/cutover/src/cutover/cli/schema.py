"""`cutover schema`: the runbook's JSON Schema, for editors."""

import typer

from cutover.cli.output import show_json


def schema() -> None:
    """Print the JSON Schema of a runbook."""
    from cutover.runbook.load import json_schema  # noqa: PLC0415 - half a second that only this verb needs

    show_json(json_schema())


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(schema)
