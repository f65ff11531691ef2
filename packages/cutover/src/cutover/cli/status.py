"""`cutover status`: the run on one line."""

from pathlib import Path
from typing import Annotated

import typer

from cutover.cli.client import Conductor
from cutover.cli.options import DATA_DEFAULT, Data, Json
from cutover.cli.output import err, out, say, show_json
from cutover.clock import pause
from cutover.decision.run import TERMINAL
from cutover.decision.status import Status, status_of
from cutover.errors import UnreachableError

WATCH_SECONDS = 1.0


def status(
    *,
    data: Data = DATA_DEFAULT,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on until the run ends.")] = False,
    json: Json = False,
) -> None:
    """Stage, shares, soak observed and required, state with its reason, next step.

    Without a running conductor the journal is read: exit code 0 if the run is over, 5 if not.
    """
    last = ""
    while True:
        now, alone = _now(data)
        line = now.line()
        if json:
            show_json(now)
        elif line != last:
            say(line)
        last = line
        if alone and now.phase not in TERMINAL:
            err.print("no conductor runs: this is what the journal says")
            raise typer.Exit(UnreachableError.exit_code)
        if not watch or now.phase in TERMINAL:
            return
        out.file.flush()
        pause(WATCH_SECONDS)


def _now(data: Path) -> tuple[Status, bool]:
    """The status, and whether nobody but the journal could be asked."""
    try:
        return Conductor(data).status(), False
    except UnreachableError:
        from cutover.app import JOURNAL_FILE, remembered  # noqa: PLC0415 - only then

        if not (data / JOURNAL_FILE).exists():
            raise
        runbook, run = remembered(data)
        return status_of(runbook, run, run.at), True


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(status)
