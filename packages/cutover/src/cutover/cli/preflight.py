"""`cutover preflight`: whether a run may begin, precondition by precondition."""

from typing import TYPE_CHECKING, Final

import typer

from cutover.cli.options import CONFIG_DEFAULT, Config, Json, RunbookFile
from cutover.cli.output import say, show_json

if TYPE_CHECKING:
    from cutover.preflight import Preflight
    from cutover.runbook.document import Runbook

WORDS: Final = {True: "holds", False: "fails", None: "could not be judged"}
MARKS: Final = {True: "+", False: "x", None: "?"}


def preflight(runbook: RunbookFile, *, config: Config = CONFIG_DEFAULT, json: Json = False) -> None:
    """Look at every precondition of a runbook once, with its evidence; nothing is begun.

    Exit code 0 if all hold, 1 if one fails or could not be judged, which is no pass: `cutover run`
    refuses to begin while one fails, and waits, or for a waiver, while one could not be judged.
    """
    from cutover.app import load_runbook  # noqa: PLC0415 - half a second that only this verb needs
    from cutover.preflight import preflight as look  # noqa: PLC0415 - half a second that only this verb needs
    from cutover.settings import load_settings  # noqa: PLC0415 - half a second that only this verb needs

    agreed = load_runbook(runbook)
    found = look(agreed, load_settings(config))
    if json:
        show_json(_document(agreed, found))
    else:
        _say(agreed, found)
    if not found.holds:
        raise typer.Exit(1)


def _document(agreed: "Runbook", found: "Preflight") -> dict[str, object]:
    document: dict[str, object] = {
        "runbook": agreed.name,
        "fallback": agreed.fallback,
        "candidate": agreed.candidate,
        "verdict": _verdict(found),
        "preconditions": [
            {
                "check": look.check,
                "verdict": WORDS[look.ok],
                "findings": [{"verdict": WORDS[f.ok], "text": f.text} for f in look.findings],
            }
            for look in found.looks
        ],
    }
    if found.attestation is not None:
        proved = found.attestation
        reasons = list(proved.reasons)
        document["attestation"] = {"verdict": proved.verdict, "reasons": reasons}
    return document


def _say(agreed: "Runbook", found: "Preflight") -> None:
    say(f"{agreed.name}: {agreed.fallback} -> {agreed.candidate}, nothing was begun")
    if found.attestation is not None:
        say(f"attestation of {agreed.candidate}: {found.attestation.verdict}")
        for reason in found.attestation.reasons:
            say(f"    {reason}")
    for look in found.looks:
        say(f"{look.check}: {WORDS[look.ok]}")
        for finding in look.findings:
            say(f"  {MARKS[finding.ok]} {finding.text}")
    say(f"preflight: {_verdict(found)}")


def _verdict(found: "Preflight") -> str:
    if found.failing:
        return WORDS[False]
    return WORDS[True] if found.holds else WORDS[None]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(preflight)
