"""`cutover archive`: seal a run in one file, and verify such a file offline."""

from pathlib import Path
from typing import Annotated

import typer

from cutover.cli.options import Json
from cutover.cli.output import say, show_json

archive = typer.Typer(help="Seal a run in one file, and verify such a file.", no_args_is_help=True)


@archive.command()
def create(
    journal: Annotated[Path, typer.Argument(help="The journal.db of a run.")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="Deployment file: none of its secrets may be inside."),
    ] = None,
    json: Json = False,
) -> None:
    """Write runbook, journal, canary results, incidents, checks and versions into one file."""
    from cutover.archiving import seal  # noqa: PLC0415 - half a second that only this verb needs
    from cutover.settings import load_settings  # noqa: PLC0415 - half a second that only this verb needs

    settings = load_settings(config) if config else None
    path, head = seal(journal, settings, output)
    if json:
        facts = {"file": str(path), "head": head, "bytes": path.stat().st_size}
        show_json(facts | {"scanned_for_secrets": settings is not None})
    else:
        say(f"{path}: written and verified, head {head}")
        if settings is None:
            say("not scanned for secrets: give the deployment's file with --config")


@archive.command()
def verify(
    path: Annotated[Path, typer.Argument(help="An archive.")],
    *,
    expect_head: Annotated[
        str | None, typer.Option("--expect-head", help="NUMBER:HASH noted elsewhere.")
    ] = None,
    json: Json = False,
) -> None:
    """Check every part offline, follow the chain, and decide everything again."""
    from cutover.journal import archive as sealed  # noqa: PLC0415 - half a second that only this verb needs
    from cutover.journal.redecide import redecide  # noqa: PLC0415 - half a second that only this verb needs

    findings = sealed.verify(path, redecide=redecide, expect_head=expect_head)
    if json:
        show_json({"ok": not findings, "findings": findings})
    else:
        for finding in findings:
            say(str(finding))
        say(f"{path}: {'does not verify' if findings else 'verifies'}")
    if findings:
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.add_typer(archive, name="archive")
