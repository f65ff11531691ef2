"""The operator's orders: hold, resume, promote, abort, retry, disarm, waive."""

import re
from typing import Annotated

import typer

from cutover.cli.client import Conductor
from cutover.cli.options import DATA_DEFAULT, Actor, Data, DryRun, Json, Why
from cutover.cli.output import say, show_json
from cutover.decision.command import (
    AbortOrder,
    Command,
    DisarmOrder,
    ForgetOrder,
    HoldOrder,
    PromoteOrder,
    ResumeOrder,
    RetryOrder,
    WaiveOrder,
)
from cutover.errors import ConfigurationError
from cutover.runbook.gate import Check

_SPAN = re.compile(r"(\d+)(s|m|h)")
_UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000}


def hold(
    actor: Actor,
    *,
    reason: Why,
    data: Data = DATA_DEFAULT,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Freeze exposure; rollback stays armed."""
    _give(data, HoldOrder(actor, reason), dry_run=dry_run, json=json)


def resume(
    actor: Actor,
    *,
    reason: Why,
    data: Data = DATA_DEFAULT,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """End a hold."""
    _give(data, ResumeOrder(actor, reason), dry_run=dry_run, json=json)


def promote(
    actor: Actor,
    *,
    expect: Annotated[str, typer.Option("--expect", help="The stage that is open now.")],
    reason: Why = "the stage is done",
    data: Data = DATA_DEFAULT,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Leave the expected stage, where the runbook leaves that to a person."""
    _give(data, PromoteOrder(actor, reason, expect), dry_run=dry_run, json=json)


def abort(
    actor: Actor,
    *,
    reason: Why,
    data: Data = DATA_DEFAULT,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Everything back to the fallback now, and the run ends."""
    _give(data, AbortOrder(actor, reason), dry_run=dry_run, json=json)


def retry(
    actor: Actor,
    *,
    reason: Why,
    data: Data = DATA_DEFAULT,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Begin again after a rollback, or try again what failed too often."""
    _give(data, RetryOrder(actor, reason), dry_run=dry_run, json=json)


def disarm(
    rule: Annotated[str, typer.Argument(help="The rollback condition's name.")],
    actor: Actor,
    *,
    reason: Why,
    expires: Annotated[str, typer.Option("--expires", help="For how long: 90s, 30m, 2h.")],
    data: Data = DATA_DEFAULT,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Switch one rollback condition off for a while."""
    order = DisarmOrder(actor, reason, rule, span_ms(expires))
    _give(data, order, dry_run=dry_run, json=json)


def waive(
    check: Annotated[Check, typer.Argument(help="The precondition's name.")],
    actor: Actor,
    *,
    reason: Why,
    data: Data = DATA_DEFAULT,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Accept a precondition that cannot be judged; one that fails cannot be waived."""
    _give(data, WaiveOrder(actor, reason, check), dry_run=dry_run, json=json)


def forget(
    node: Annotated[str, typer.Argument(help="The gateway node's name.")],
    actor: Actor,
    *,
    reason: Why,
    data: Data = DATA_DEFAULT,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Leave a gateway node out that was taken out of service; it must be silent."""
    _give(data, ForgetOrder(actor, reason, node), dry_run=dry_run, json=json)


def span_ms(text: str) -> int:
    """A duration of one number and one unit, in milliseconds.

    Raises:
        ConfigurationError: it is anything else.
    """
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise ConfigurationError(f"--expires {text!r}: expected a number with s, m or h, like 30m")
    return int(found[1]) * _UNITS[found[2]]


def _give(data: Data, order: Command, *, dry_run: bool, json: bool) -> None:
    after = Conductor(data).order(order, dry_run=dry_run)
    if json:
        show_json(after)
    elif dry_run:
        say(f"would be admitted; now: {after.line()}")
    else:
        say(after.line())


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    for verb in (hold, resume, promote, abort, retry, disarm, waive, forget):
        app.command()(verb)
