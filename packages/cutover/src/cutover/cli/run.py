"""`cutover run`: be the conductor of a run."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from cutover.cli.options import CONFIG_DEFAULT, Config, DryRun, Json, RunbookFile
from cutover.cli.output import say, show_json
from cutover.decision.run import Phase
from cutover.decision.words import percent, span
from cutover.runbook.document import Runbook
from cutover.runbook.intent import LEADING

if TYPE_CHECKING:
    from cutover.app import Outcome
    from cutover.cli.advice import Advice

EXIT_ABORTED = 10


def run(
    runbook: RunbookFile,
    *,
    config: Config = CONFIG_DEFAULT,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Carry a runbook out, or go on with it where the journal says it stands."""
    from cutover.app import load_runbook, run_conductor  # noqa: PLC0415 - half a second that only this verb needs
    from cutover.cli.advice import advice  # noqa: PLC0415 - half a second that only this verb needs
    from cutover.cli.evidence_plan import evidence_lines, evidence_plan  # noqa: PLC0415 - half a second that only this verb needs
    from cutover.cli.log import speak  # noqa: PLC0415 - half a second that only this verb needs
    from cutover.fit import attesting_of, check_fit  # noqa: PLC0415 - half a second that only this verb needs
    from cutover.settings import load_settings  # noqa: PLC0415 - half a second that only this verb needs

    agreed, settings = load_runbook(runbook), load_settings(config)
    check_fit(agreed, settings)
    if dry_run:
        missing, attesting = advice(agreed, settings), attesting_of(agreed, settings)
        evidence = evidence_plan(settings, attesting)
        if json:
            show_json(_plan(agreed) | {"attestation": evidence, "advice": missing})
        else:
            _say_plan(agreed, [*evidence_lines(evidence), *map(_advised, missing)])
        return
    speak()
    _end(agreed, run_conductor(agreed, settings), json=json)


def _end(agreed: Runbook, ended: "Outcome", *, json: bool) -> None:
    sealed, head = "", ""
    if ended.archive is not None:
        sealed, head = str(ended.archive[0]), f"{ended.run.seq}:{ended.archive[1]}"
    if json:
        show_json({"phase": ended.phase, "archive": sealed, "head": head})
    elif sealed:
        say(f"{agreed.name}: {ended.phase}; sealed in {sealed}, head {head}")
    else:
        say(f"{agreed.name}: stopped in {ended.phase}; the same command goes on with the run")
    if sealed and ended.phase is Phase.ABORTED:
        raise typer.Exit(EXIT_ABORTED)


def _plan(agreed: Runbook) -> dict[str, object]:
    return {
        "runbook": agreed.name,
        "fallback": agreed.fallback,
        "candidate": agreed.candidate,
        "stages": [
            {
                "name": stage.name,
                "share_bp": {intent: stage.share_bp[intent] for intent in LEADING},
                "soak_ms": stage.soak.observed_ms,
                "unlocks": [
                    {"intent": one.intent, "share_bp": one.share_bp, "clean_ms": one.clean_ms}
                    for one in stage.unlocks
                ],
            }
            for stage in agreed.stages
        ],
    }


def _advised(one: "Advice") -> str:
    return f"advice: {one.setting} is not set: {one.text}"


def _say_plan(agreed: Runbook, more: Sequence[str]) -> None:
    say(f"{agreed.name}: {agreed.fallback} -> {agreed.candidate}, nothing was started")
    for stage in agreed.stages:
        shares = ", ".join(f"{i} {percent(stage.share_bp[i])}" for i in LEADING)
        say(f"  {stage.name}: {shares}; soak {span(stage.soak.observed_ms)}")
        for unlock in stage.unlocks:
            clean = span(unlock.clean_ms)
            share = percent(unlock.share_bp)
            say(f"    {unlock.intent} {share} after {clean} without critical errors")
    for line in more:
        say(line)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(run)
