"""`cutover lint`: what is wrong with a runbook, or risky in it."""

from pathlib import Path
from typing import Annotated

import typer

from cutover.cli.options import Json
from cutover.cli.output import fail, grid, say, show_json
from cutover.runbook.finding import Severity

RATES = (0.001, 0.01, 0.05)


def lint(
    runbooks: Annotated[list[Path], typer.Argument(help="Runbooks (TOML).")], *, json: Json = False
) -> None:
    """Check runbooks; print the odds of a spurious rollback by flaky canaries over a run."""
    from cutover.runbook.lint_report import report  # noqa: PLC0415 - half a second that only this verb needs

    reports = [report(_read(path), str(path), RATES) for path in runbooks]
    if json:
        show_json(reports)
    else:
        for one in reports:
            for finding in one.findings:
                say(str(finding))
            if one.odds:
                rows = [[f"{rate:.1%}", f"{odds:.2%}"] for rate, odds in one.odds]
                grid(f"{one.source}: odds of a spurious rollback", ["canary flake", "odds"], rows)
            say(f"{one.source}: {one.verdict}")
    if any(f.severity is Severity.ERROR for one in reports for f in one.findings):
        raise typer.Exit(1)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{path} cannot be read: {error}", 2)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(lint)
