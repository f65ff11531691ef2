"""`cutover postcheck`: carry the post-cutover checks out now, beside or after a run."""

import typer

from cutover.cli.options import CONFIG_DEFAULT, Config, DryRun, Json, RunbookFile
from cutover.cli.output import grid, say, show_json
from cutover.runbook.document import Runbook


def postcheck(
    runbook: RunbookFile,
    *,
    config: Config = CONFIG_DEFAULT,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Check upstream and keys, webhook signatures, a receipt's transaction, the archive.

    The receipt check makes the tiny payment of the configuration's `live.pay`.
    """
    from cutover.app import load_runbook, post_checks  # noqa: PLC0415 - half a second that only this verb needs
    from cutover.fit import check_fit  # noqa: PLC0415 - half a second that only this verb needs
    from cutover.settings import load_settings  # noqa: PLC0415 - half a second that only this verb needs

    agreed, settings = load_runbook(runbook), load_settings(config)
    check_fit(agreed, settings)
    if dry_run:
        _plan(agreed, json=json)
        return
    seen = post_checks(agreed, settings)
    if json:
        show_json(seen)
    else:
        rows = [[s.name, "ok" if s.ok else "FAILS", "; ".join(s.reasons)] for s in seen]
        grid("post-cutover checks", ["check", "verdict", "evidence"], rows)
    if not all(s.ok for s in seen):
        raise typer.Exit(1)


def _plan(agreed: Runbook, *, json: bool) -> None:
    if json:
        show_json([{"name": check.name, "clause": check.clause} for check in agreed.post_checks])
        return
    for check in agreed.post_checks:
        say(f"would check {check.name}: {check.clause}")


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(postcheck)
