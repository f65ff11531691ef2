"""`cutover status`: the run on one line."""

from typing import Annotated

import typer

from cutover.cli.client import Conductor
from cutover.cli.options import DATA_DEFAULT, Data, Json
from cutover.cli.output import out, say, show_json
from cutover.clock import pause
from cutover.decision.run import TERMINAL

WATCH_SECONDS = 1.0


def status(
    *,
    data: Data = DATA_DEFAULT,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on until the run ends.")] = False,
    json: Json = False,
) -> None:
    """Stage, shares, soak observed and required, state with its reason, next step."""
    conductor = Conductor(data)
    last = ""
    while True:
        now = conductor.status()
        line = now.line()
        if json:
            show_json(now)
        elif line != last:
            say(line)
        last = line
        if not watch or now.phase in TERMINAL:
            return
        out.file.flush()
        pause(WATCH_SECONDS)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(status)
