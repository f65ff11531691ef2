"""The next rise of exposure that the runbook has in store, and what it still needs."""

from typing import Literal

import msgspec

from cutover.decision.run import Phase, Run
from cutover.decision.soak import remaining
from cutover.decision.words import span
from cutover.runbook.document import Runbook
from cutover.runbook.intent import LEADING, Intent
from cutover.runbook.stage import Stage, Unlock


class Promotion(msgspec.Struct, frozen=True):
    """What comes next.

    Attributes:
        kind: a stage, an unlock inside the stage, the final checks, or the end.
        stage: the stage that is entered or in which the intent is unlocked.
        intent: what is unlocked.
        money: the step lets `pay` move to the candidate for the first time.
        waits: what of soak or clean time is still missing; empty when soaked.
        text: what has been reached, for people.
    """

    kind: Literal["stage", "unlock", "checks", "complete"]
    stage: str
    intent: Intent | None
    money: bool
    waits: tuple[str, ...]
    text: str


def next_promotion(runbook: Runbook, run: Run) -> Promotion:
    """The next step of a running or checking run."""
    at = runbook.stages[run.stage]
    if run.phase is Phase.CHECKING:
        return Promotion("complete", at.name, None, False, (), "the post-cutover checks")
    pending = [u for u in at.unlocks if u.intent not in run.unlocked]
    if pending:
        return _unlock(run, at, pending[0])
    waits = _soak_waits(run, at)
    text = f"{at.name}: {span(run.soak.observed_ms)} observed of {span(at.soak.observed_ms)}"
    if run.stage + 1 == len(runbook.stages):
        return Promotion("checks", at.name, None, False, waits, text)
    target = runbook.stages[run.stage + 1]
    return Promotion("stage", target.name, None, _money(at, target), waits, text)


def _money(at: Stage, target: Stage) -> bool:
    """Whether payments reach the candidate, or reach it more than now, in the next stage."""
    return target.share_bp[Intent.PAY] > at.share_bp[Intent.PAY]


def _unlock(run: Run, at: Stage, unlock: Unlock) -> Promotion:
    waits = []
    if run.soak.clean_ms < unlock.clean_ms:
        since = f", last: {run.soak.critical}" if run.soak.critical else ""
        seen, need = span(run.soak.clean_ms), span(unlock.clean_ms)
        waits.append(f"{seen} of {need} without a critical error{since}")
    if run.soak.clean_answers < unlock.answers:
        waits.append(f"{run.soak.clean_answers} of {unlock.answers} clean answers by the candidate")
    text = f"{span(run.soak.clean_ms)} without a critical error in {at.name}"
    money = unlock.intent is Intent.PAY
    return Promotion("unlock", at.name, unlock.intent, money, tuple(waits), text)


def _soak_waits(run: Run, at: Stage) -> tuple[str, ...]:
    ms, runs, answers = remaining(at, run.soak)
    waits = []
    if ms:
        waits.append(f"{span(run.soak.observed_ms)} of {span(at.soak.observed_ms)} observed")
    if runs:
        waits.append(f"{run.soak.canary_runs} of {at.soak.canary_runs} canary runs ok")
    if answers:
        waits.append(f"{run.soak.answers} of {at.soak.answers} answers by the candidate")
    return tuple(waits)


def leading_shares(runbook: Runbook, run: Run) -> dict[Intent, int]:
    """Candidate's share of each leading intent by stage and unlocks, basis points."""
    if run.stage < 0:
        return dict.fromkeys(LEADING, 0)
    return {i: runbook.share_bp(run.stage, run.unlocked, i) for i in LEADING}
