"""`cutover demo`: the whole cutover on this machine, with a fault of choice."""

import json as jsonlib
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cutover.cli.options import Json
from cutover.cli.output import err, fail, grid, out, say
from cutover.clock import SystemClock
from cutover.demo.faults import FAULTS
from cutover.errors import ConfigurationError

if TYPE_CHECKING:
    from cutover.demo.play import Result

RUNBOOK = Path("runbooks/demo.toml")


def demo(
    *,
    headless: Annotated[bool, typer.Option("--headless", help="Plain lines, no colours.")] = False,
    fault: Annotated[
        str | None, typer.Option("--fault", help=f"What goes wrong: {', '.join(FAULTS)}.")
    ] = None,
    runbook: Annotated[Path, typer.Option("--runbook", help="The runbook to execute.")] = RUNBOOK,
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Where journal, logs and archive go.")
    ] = None,
    json: Json = False,
) -> None:
    """Take live traffic from hetzner to phala with real processes, sockets and clients.

    Ends with exit code 0 only if the run ended as the runbook says it must. With --json the last
    line of standard output is one JSON object; progress goes to standard error.
    """
    if fault is not None and fault not in FAULTS:
        fail(f"no fault {fault!r}; there are {', '.join(FAULTS)}", 2)
    from cutover.app import load_runbook  # noqa: PLC0415 - half a second that only this verb needs
    from cutover.demo.play import Play  # noqa: PLC0415 - half a second that only this verb needs

    clock = SystemClock()
    began = clock.monotonic_ms()
    console = err if json else out

    def line(text: str, *, quiet: bool = False) -> None:
        at = (clock.monotonic_ms() - began) / 1000
        style = "dim" if quiet and not headless else None
        console.print(f"{at:6.1f}s  {text}", style=style, markup=False)
        console.file.flush()

    agreed = load_runbook(runbook)
    if not agreed.rehearsal:
        raise ConfigurationError(
            f"{runbook} is no rehearsal: a demo's fallback has no TLS and its planes no deployment "
            "records; use runbooks/demo.toml, or say `rehearsal = true`"
        )
    home = _made(folder or Path(".cutover") / f"demo-{clock.wall_ms()}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))  # ends the world, too
    try:
        result = Play(agreed, runbook, home, FAULTS.get(fault or ""), line).run()
    except KeyboardInterrupt:
        err.print("interrupted; everything that was started has been stopped")
        raise typer.Exit(130) from None
    if json:
        typer.echo(jsonlib.dumps(result.as_json(), ensure_ascii=False))
    else:
        _summary(result)
    raise typer.Exit(0 if result.ok else 1)


def _made(folder: Path) -> Path:
    """A new folder for one demo; what another left is never touched."""
    try:
        folder.mkdir(parents=True, exist_ok=False, mode=0o700)
    except OSError as error:
        raise ConfigurationError(
            f"{folder} cannot be made ({error.strerror}); name another one with --folder"
        ) from error
    return folder.resolve()


def _summary(result: "Result") -> None:
    rows = [
        [s.name, f"{s.entered_s:g}s", f"{s.soaked_s:g}s"]
        + [
            f"{s.observed_split[i]:.1%}" if i in s.observed_split else "-"
            for i in ("analyze", "create", "pay")
        ]
        for s in result.stages
    ]
    grid("stages", ["stage", "opened", "soaked", "analyze", "create", "pay on phala"], rows)
    counts = result.requests
    say(
        f"{counts['total']} client requests: {counts['ok']} ok, {counts['failed']} failed, "
        f"{counts['refused']} refused with a clear answer"
    )
    if result.seconds_to_decision is not None:
        say(f"decided {result.seconds_to_decision:.1f} s after the cause")
    if result.seconds_to_all_back is not None:
        say(f"all traffic back {result.seconds_to_all_back:.1f} s after the cause")
    for problem in result.problems:
        say(f"NOT as the runbook says: {problem}")
    rule = f" by {result.rule}" if result.rule else ""
    marks = [*result.marks, *(["WEAK: on reported evidence"] if result.weak else [])]
    mark = f" ({', '.join(marks)})" if marks else ""
    say(f"{result.result}{rule}{mark} in {result.seconds:g} s; journal {result.journal}")


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(demo)
