"""`cutover conformance`: whether the core decides as scenarios say."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from cutover.cli.options import Json
from cutover.cli.output import err, say, show_json

if TYPE_CHECKING:
    from cutover.simulator.conformance.runner import Result

EVERY = 20
"""Results between two lines of progress."""


def conformance(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Scenarios (*.toml).")],
    *,
    only: Annotated[
        str, typer.Option("--only", help="Pattern of file names, such as 'abort_*'.")
    ] = "*",
    runbooks: Annotated[
        Path, typer.Option("--runbooks", help="Where the runbooks are that scenarios name.")
    ] = Path("runbooks"),
    jobs: Annotated[int, typer.Option("--jobs", min=1, max=64, help="Processes.")] = 1,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show what holds, too, with its clause.")
    ] = False,
    json: Json = False,
) -> None:
    """Run scenarios against the core in virtual time; name each that does not hold."""
    from cutover.simulator.conformance.suite import collect, judge_all  # noqa: PLC0415 - only this verb needs it

    scenarios = collect(directory, only)
    results = []
    for result in judge_all(scenarios, runbooks, jobs):
        results.append(result)
        if not json:
            _tell(result, len(results), len(scenarios), verbose=verbose)
    results.sort(key=lambda result: result.file)
    failed = [result for result in results if not result.holds]
    if json:
        show_json(_document(results))
    else:
        entries = sum(result.entries for result in results)
        held = len(results) - len(failed)
        say(f"{held} of {len(results)} scenarios hold, {entries} entries judged")
    if failed:
        raise typer.Exit(1)


def _tell(result: "Result", done: int, total: int, *, verbose: bool) -> None:
    """One result as it comes; of those that hold only how many, unless more is asked for."""
    if not result.holds or verbose:
        say(str(result))
        say(f"       clause: {result.clause}")
    elif done % EVERY == 0 and done < total:
        err.print(f"{done} of {total}")


def _document(results: "list[Result]") -> dict[str, Any]:
    """Everything about a suite, for machines."""
    failed = sum(not result.holds for result in results)
    rows = [{"holds": one.holds, **msgspec.structs.asdict(one)} for one in results]
    return {"scenarios": len(results), "failed": failed, "results": rows}


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(conformance)
