"""`cutover verify-log`: whether a journal is whole and unchanged."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from cutover.cli.options import Json
from cutover.cli.output import say, show_json
from cutover.errors import JournalError
from cutover.journal.log import verify_log as verify


def verify_log(
    path: Annotated[Path, typer.Argument(help="A journal.db, or an export of one.")],
    *,
    expect_head: Annotated[
        str | None,
        typer.Option("--expect-head", help="NUMBER:HASH noted earlier, to prove nothing is cut."),
    ] = None,
    json: Json = False,
) -> None:
    """Follow the hash chain and name the first bad entry."""
    report = verify(path, expect_head)
    if json:
        show_json({"ok": report.ok, **msgspec.structs.asdict(report)})
    else:
        say(str(report))
    if not report.ok:
        raise typer.Exit(JournalError.exit_code)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="verify-log")(verify_log)
