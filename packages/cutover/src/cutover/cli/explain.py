"""`cutover explain`: for every rule its value, threshold and distance."""

import typer

from cutover.cli.client import Conductor
from cutover.cli.options import DATA_DEFAULT, Data, Json
from cutover.cli.output import grid, say, show_json


def explain(*, data: Data = DATA_DEFAULT, json: Json = False) -> None:
    """Say why the run stands where it stands."""
    now = Conductor(data).explain()
    if json:
        show_json(now)
        return
    rules = [
        [
            f.rule,
            f.state,
            f.value,
            f.threshold,
            f"{f.distance:.0%}",
            ", ".join(map(str, f.evidence)),
        ]
        for f in now.rules
    ]
    grid(
        "rollback conditions",
        ["rule", "state", "seen", "trips at", "distance", "entries"],
        rules,
    )
    grid("gates", ["gate", "state", "evidence"], [list(gate) for gate in now.gates])
    grid("why", ["reason", "text"], [[r.code, r.text] for r in now.reasons])
    say(f"next: {now.next_step}")
    if now.marks:
        say(f"for ever beside this run: {', '.join(now.marks)}")


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(explain)
