"""`cutover replay`: whether today's code decides as a record says."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cutover.cli.options import Json
from cutover.cli.output import say, show_json

if TYPE_CHECKING:
    from cutover.cli.recorded import Record
    from cutover.decision.replay import Replayed
    from cutover.runbook.document import Runbook

RecordFile = Annotated[Path, typer.Argument(help="A journal.db, or the archive of a run.")]


def replay(journal: RecordFile, *, json: Json = False) -> None:
    """Fold a record from its first entry and decide everything again; nothing is written.

    Exits with 0 when every decision follows from what was journaled before it, with 1 at the first
    that does not, and with 4 when the record cannot be read or its hash chain is broken.
    """
    from cutover.cli.recorded import adopted_runbook, open_record  # noqa: PLC0415 - half a second that only this verb needs
    from cutover.decision.replay import replay as decide_again  # noqa: PLC0415 - half a second that only this verb needs

    with open_record(journal) as record:
        runbook = adopted_runbook(record)
        found = decide_again(record.shown("deciding again"), lambda _: runbook)
        said = _report(record, runbook, found)
    if json:
        show_json(said)
    else:
        _draw(said)
    if found.divergence is not None:
        raise typer.Exit(1)


def _report(record: "Record", runbook: "Runbook", found: "Replayed") -> dict[str, Any]:
    from cutover.decision.stored import digest  # noqa: PLC0415 - half a second that only this verb needs

    run = found.run
    assert run is not None  # noqa: S101 - a record whose runbook could be read begins with Adopted
    return {
        "same": found.divergence is None,
        "file": str(record.path),
        "run": record.run,
        "entries": record.entries,
        "head": record.head,
        "replayed": run.seq,
        "decisions": found.decisions,
        "phase": run.phase,
        "stage": runbook.stages[run.stage].name if run.stage >= 0 else None,
        "state_sha256": digest(run),
        "divergence": found.divergence,
    }


def _draw(said: dict[str, Any]) -> None:
    where = f"{said['phase']}, {said['stage']}" if said["stage"] else said["phase"]
    say(f"{said['file']}: {said['entries']} entries of run {said['run']} are sound")
    say(f"head      {said['head']}")
    say(f"replayed  {said['replayed']} entries, {said['decisions']} decisions")
    say(f"state     {where}; sha256 {said['state_sha256']}")
    if said["divergence"] is None:
        say("same: today's code decides as the record says")
        return
    say(f"diverges at entry {said['divergence'].seq}")
    say(f"  seen      {said['divergence'].seen}")
    say(f"  expected  {said['divergence'].expected}")


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(replay)
