"""`cutover attest recheck`: every kept verdict of a run judged again, offline."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from cutover.cli.archive import counted
from cutover.cli.attest import attest, bytes_of
from cutover.cli.options import Json
from cutover.cli.output import say, show_json


def recheck(
    path: Annotated[
        Path, typer.Argument(help="An archive, a folder of kept evidence, or a run's directory.")
    ],
    root: Annotated[
        Path | None,
        typer.Option(
            "--root",
            help="The test root (DER) that records must have been judged under.",
            show_default="the one that was used, marked",
        ),
    ] = None,
    *,
    json: Json = False,
) -> None:
    """Judge every kept look of a run again, offline, and compare with what was made of it.

    With an archive each verdict is also held against the journal; whether the decisions follow is
    for `archive verify`.

    Exit code 0: all agree; 1: some do not, or the archive is not sound; 2: there is no evidence.
    """
    from cutover.rechecking import recheck as judge  # noqa: PLC0415 - half a second that only this verb needs

    report = judge(path, bytes_of(root))
    wrong = sum(not look.agrees for look in report.looks)
    if json:
        counts = report.evidence and msgspec.structs.asdict(report.evidence)
        show_json(
            {"ok": report.ok, "checked": len(report.looks), "wrong": wrong, "counts": counts,
             "findings": report.findings, "looks": report.looks}
        )  # fmt: skip
    else:
        for look in report.looks:
            say(_line(look))
        for finding in report.findings:
            say(str(finding))
        if report.evidence is not None:
            say(counted(report.evidence))
        say(f"{path}: {len(report.looks)} judged again, {wrong} not borne out")
    if not report.ok:
        raise typer.Exit(1)


def _line(look: Any) -> str:
    marks = "".join(f" [{mark}]" for mark in look.marks)
    told = "agrees" if look.agrees else f"NOT BORNE OUT: {'; '.join(look.troubles)}"
    if not look.plane:
        return f"record {look.record}: {told}"
    return f"{look.checked_at} {look.plane} {look.purpose} {look.verdict}{marks}: {told}"


def register(_: typer.Typer) -> None:
    """Add the verb to those of `attest`."""
    attest.command()(recheck)
