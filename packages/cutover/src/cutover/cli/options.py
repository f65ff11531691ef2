"""Options that several verbs share, said the same way everywhere."""

import getpass
from pathlib import Path
from typing import Annotated, Final

import typer

DATA_DEFAULT: Final = Path(".cutover")

Data = Annotated[
    Path,
    typer.Option(
        "--data", envvar="CUTOVER_DATA", help="Data directory of the run.", show_default=True
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Config = Annotated[
    Path,
    typer.Option(
        "--config", "-c", envvar="CUTOVER_CONFIG", help="Deployment: planes, keys, gateway (TOML)."
    ),
]
CONFIG_DEFAULT: Final = Path("cutover.toml")
RunbookFile = Annotated[Path, typer.Argument(help="Runbook (TOML).")]


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


Actor = Annotated[
    str,
    typer.Option("--actor", envvar="CUTOVER_ACTOR", default_factory=_user, help="Who orders it."),
]
Why = Annotated[str, typer.Option("--reason", help="Why; it is journaled.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen, change nothing.")]
