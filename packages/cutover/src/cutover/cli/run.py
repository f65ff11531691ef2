"""`cutover run`: be the conductor of a run."""

import typer

from cutover.cli.options import CONFIG_DEFAULT, Config, DryRun, RunbookFile
from cutover.cli.output import say
from cutover.decision.run import Phase
from cutover.decision.words import percent, span
from cutover.runbook.document import Runbook
from cutover.runbook.intent import LEADING

EXIT_ABORTED = 10


def run(runbook: RunbookFile, *, config: Config = CONFIG_DEFAULT, dry_run: DryRun = False) -> None:
    """Carry a runbook out, or go on with it where the journal says it stands."""
    from cutover.app import check_fit, load_runbook, run_conductor  # noqa: PLC0415 - half a second that only this verb needs
    from cutover.cli.log import speak  # noqa: PLC0415 - half a second that only this verb needs
    from cutover.settings import load_settings  # noqa: PLC0415 - half a second that only this verb needs

    agreed, settings = load_runbook(runbook), load_settings(config)
    check_fit(agreed, settings)
    if dry_run:
        _plan(agreed)
        return
    speak()
    ended = run_conductor(agreed, settings)
    if ended.archive is None:
        say(f"{agreed.name}: stopped in {ended.phase}; the same command goes on with the run")
        return
    path, head = ended.archive
    say(f"{agreed.name}: {ended.phase}; sealed in {path}, head {ended.run.seq}:{head}")
    if ended.phase is Phase.ABORTED:
        raise typer.Exit(EXIT_ABORTED)


def _plan(agreed: Runbook) -> None:
    say(f"{agreed.name}: {agreed.fallback} -> {agreed.candidate}, nothing was started")
    for stage in agreed.stages:
        shares = ", ".join(f"{i} {percent(stage.share_bp[i])}" for i in LEADING)
        say(f"  {stage.name}: {shares}; soak {span(stage.soak.observed_ms)}")
        for unlock in stage.unlocks:
            clean = span(unlock.clean_ms)
            share = percent(unlock.share_bp)
            say(f"    {unlock.intent} {share} after {clean} without critical errors")


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(run)
