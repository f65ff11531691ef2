"""Whether an operator's order applies now; a refused order changes nothing and says why."""

from cutover.decision.command import (
    AbortOrder,
    Command,
    DisarmOrder,
    ForgetOrder,
    PromoteOrder,
    ResumeOrder,
    RetryOrder,
    WaiveOrder,
)
from cutover.decision.run import Phase, Run
from cutover.decision.transitions import admits
from cutover.runbook.document import Runbook

EXPIRES_MS_MAX = 24 * 3_600_000
TEXT_CHARS_MAX = 500


def verb(order: Command) -> str:
    """The order as the operator types it."""
    return type(order).__name__.removesuffix("Order").lower()


def refusal(runbook: Runbook, run: Run, order: Command) -> str:  # noqa: C901 - a case an order
    """Why the order is refused; empty when it is admitted."""
    if not order.actor.strip() or not order.reason.strip():
        return "an order needs an actor and a reason"
    if max(len(order.actor), len(order.reason)) > TEXT_CHARS_MAX:
        return f"actor and reason are at most {TEXT_CHARS_MAX} characters each"
    if not admits(run.phase, order):
        return f"the run is {run.phase}; `{verb(order)}` does not apply there"
    match order:
        case PromoteOrder():
            return _promote(runbook, run, order)
        case DisarmOrder():
            return _disarm(runbook, order)
        case ResumeOrder() if run.hold is None:
            return "the run is not held"
        case RetryOrder() if run.phase is Phase.RUNNING and not _exhausted(run):
            return "nothing failed that could be tried again"
        case WaiveOrder():
            return _waive(run, order)
        case ForgetOrder():
            return _forget(run, order)
        case AbortOrder() if run.abort is not None:
            return f"abort was already ordered by {run.abort.actor}"
        case _:
            return ""


def _promote(runbook: Runbook, run: Run, order: PromoteOrder) -> str:
    """The expected stage makes a late or repeated order harmless."""
    stage = runbook.stages[run.stage]
    if order.expect != stage.name:
        return f"the open stage is {stage.name!r}, the order expects {order.expect!r}"
    if not stage.operator_promotes:
        return (
            f"{stage.name!r} promotes by itself when soak and gates are done; "
            "no order shortens a soak (`hold` and `abort` are there to stop it)"
        )
    return ""


def _disarm(runbook: Runbook, order: DisarmOrder) -> str:
    names = [condition.name for condition in runbook.conditions]
    if order.rule not in names:
        return f"no rule {order.rule!r}; the runbook has {', '.join(names)}"
    if not 0 < order.expires_ms <= EXPIRES_MS_MAX:
        return f"a rule is disarmed for more than 0 and at most {EXPIRES_MS_MAX // 3_600_000} hours"
    return ""


def _waive(run: Run, order: WaiveOrder) -> str:
    view = run.preconditions.get(order.check)
    if view is None:
        return f"{order.check} has not been judged yet"
    if view.ok is False:
        return f"{order.check} fails; only one that cannot be judged can be waived"
    return ""


def _forget(run: Run, order: ForgetOrder) -> str:
    """Only a silent node: one that reports serves clients, and its table must be right."""
    node = run.nodes.get(order.node)
    if node is None or node.forgotten:
        return f"no gateway node {order.node!r}; known are {', '.join(run.serving()) or 'none'}"
    if node.confirmed and not node.rival:
        return f"gateway {order.node} reports; stop it first, and give it time to fall silent"
    return ""


def _exhausted(run: Run) -> bool:
    return any(not view.ok for view in run.live.values())
