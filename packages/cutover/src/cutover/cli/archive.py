"""`cutover archive`: seal a run in one file, and verify such a file offline."""

from pathlib import Path
from typing import Annotated, Any

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
    evidence: Annotated[
        Path | None,
        typer.Option(
            "--evidence", help="Folder of kept evidence.", show_default="beside the journal"
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Write runbook, journal, evidence, canary results, incidents, checks into one file."""
    from cutover.archiving import seal  # noqa: PLC0415 - half a second that only this verb needs
    from cutover.settings import load_settings  # noqa: PLC0415 - half a second that only this verb needs

    settings = load_settings(config) if config else None
    path, head = seal(journal, settings, output, evidence)
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
    """Check every part offline, follow the chain, decide and judge everything again.

    Marks, such as TEST ROOT, stand beside every verdict on attestation that they are about.
    """
    from cutover.attestation.recheck import Recheck  # noqa: PLC0415 - half a second that only this verb needs
    from cutover.journal import archive as sealed  # noqa: PLC0415 - half a second that only this verb needs
    from cutover.journal.redecide import redecide  # noqa: PLC0415 - half a second that only this verb needs

    seen = sealed.audit(path, redecide=redecide, expect_head=expect_head, recheck=Recheck())
    findings, kept = seen.findings, seen.evidence
    if json:
        show_json({"ok": not findings, "findings": findings, "evidence": kept, "marks": seen.marks})
    else:
        for mark in seen.marks:
            say(f"MARK: {mark}")
        if kept is not None:
            say(counted(kept))
        for finding in findings:
            say(str(finding))
        say(f"{path}: {'does not verify' if findings else 'verifies'}")
    if findings:
        raise typer.Exit(1)


def counted(evidence: Any) -> str:
    """How many verdicts of a run can be judged again, for people."""
    text = (
        f"verdicts on attestation: {evidence.kept} with evidence, {evidence.thinned} thinned out, "
        f"{evidence.without} without any"
    )
    if evidence.turns_thinned:
        text += (
            f"; of the thinned, {evidence.turns_thinned} changed verdict or identity: their "
            "evidence is to be kept, ask where it is"
        )
    return text


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.add_typer(archive, name="archive")
