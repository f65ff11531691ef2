"""`cutover`: every verb, one error style, documented exit codes."""

import sys
from typing import Annotated

import typer

from cutover import __version__
from cutover.cli import (
    archive,
    attest,
    conformance,
    demo,
    explain,
    gateway,
    lint,
    orders,
    postcheck,
    preflight,
    recheck,
    replay,
    run,
    schema,
    simulate,
    status,
    verify_log,
    whatif,
)
from cutover.cli.output import err, out
from cutover.errors import CutoverError

EXIT_CODES = {
    0: "done as asked",
    1: "done, and the answer is no: something is wrong, failed or does not verify",
    2: "the command line, the configuration or the runbook cannot be used; nothing was started",
    3: "the order was refused, or a new run not begun; nothing was changed",
    4: "a journal or an archive cannot be read, trusted or written",
    5: "no conductor answers",
    10: "the run ended without completing: aborted",
    130: "interrupted",
}

app = typer.Typer(
    name="cutover",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,  # a defect shows its traceback, never its local values
    help="Executes a cutover runbook: moves live traffic between two planes, proving each step.",
    epilog="Exit codes: " + "; ".join(f"{code} {text}" for code, text in EXIT_CODES.items()) + ".",
)


def _print_version(asked: bool) -> None:
    if asked:
        out.print(__version__)
        raise typer.Exit


@app.callback()
def _common(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """Options without a verb; an eager one acts before a verb is missed."""


for module in (
    demo, preflight, run, gateway, lint, schema, status, explain, orders, verify_log, postcheck,
    archive, simulate, replay, whatif, conformance, attest, recheck,
):  # fmt: skip
    module.register(app)


def main() -> None:
    """Run the CLI; expected trouble becomes one message and its exit code."""
    try:
        app(prog_name="cutover")
    except CutoverError as error:
        err.print("[bold red]error[/]: ", end="")
        err.print(str(error), markup=False)
        sys.exit(error.exit_code)
