"""Which move leads from which phase to which; code looks up, it never improvises.

The state diagram in the docs is printed from this table.
"""

from types import MappingProxyType
from typing import Final

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
from cutover.decision.kinds import (
    AbortRun,
    BeginChecks,
    CloseMoney,
    Complete,
    Move,
    OpenStage,
    PinKey,
    ReopenMoney,
    Repin,
    Retry,
    Returned,
    RollBack,
    UnlockIntent,
)
from cutover.decision.run import TERMINAL, Phase

_P = Phase

MOVES: Final = MappingProxyType(
    {
        (_P.PREPARING, OpenStage): _P.RUNNING,
        (_P.PREPARING, CloseMoney): _P.PREPARING,
        (_P.PREPARING, ReopenMoney): _P.PREPARING,
        (_P.PREPARING, AbortRun): _P.ABORTING,
        (_P.RUNNING, OpenStage): _P.RUNNING,
        (_P.RUNNING, UnlockIntent): _P.RUNNING,
        (_P.RUNNING, Repin): _P.RUNNING,
        (_P.RUNNING, CloseMoney): _P.RUNNING,
        (_P.RUNNING, ReopenMoney): _P.RUNNING,
        (_P.RUNNING, PinKey): _P.RUNNING,
        (_P.RUNNING, RollBack): _P.ROLLING_BACK,
        (_P.RUNNING, AbortRun): _P.ABORTING,
        (_P.RUNNING, BeginChecks): _P.CHECKING,
        (_P.CHECKING, Repin): _P.CHECKING,
        (_P.CHECKING, CloseMoney): _P.CHECKING,
        (_P.CHECKING, ReopenMoney): _P.CHECKING,
        (_P.CHECKING, PinKey): _P.CHECKING,
        (_P.CHECKING, RollBack): _P.ROLLING_BACK,
        (_P.CHECKING, AbortRun): _P.ABORTING,
        (_P.CHECKING, Complete): _P.COMPLETE,
        (_P.ROLLING_BACK, CloseMoney): _P.ROLLING_BACK,
        (_P.ROLLING_BACK, ReopenMoney): _P.ROLLING_BACK,
        (_P.ROLLING_BACK, AbortRun): _P.ABORTING,
        (_P.ROLLING_BACK, Returned): _P.ROLLED_BACK,
        (_P.ROLLED_BACK, CloseMoney): _P.ROLLED_BACK,
        (_P.ROLLED_BACK, ReopenMoney): _P.ROLLED_BACK,
        (_P.ROLLED_BACK, AbortRun): _P.ABORTING,
        (_P.ROLLED_BACK, Retry): _P.PREPARING,
        (_P.ABORTING, ReopenMoney): _P.ABORTING,
        (_P.ABORTING, Returned): _P.ABORTED,
    }
)
"""(phase, kind of move) to the phase that follows; what is absent cannot happen."""

_OPEN: Final = frozenset(Phase) - TERMINAL

ORDERS: Final = MappingProxyType(
    {
        AbortOrder: _OPEN,
        HoldOrder: _OPEN - {_P.ABORTING},
        ResumeOrder: _OPEN - {_P.ABORTING},
        DisarmOrder: frozenset({_P.PREPARING, _P.RUNNING, _P.CHECKING}),
        PromoteOrder: frozenset({_P.RUNNING}),
        RetryOrder: frozenset({_P.PREPARING, _P.RUNNING, _P.CHECKING, _P.ROLLED_BACK}),
        WaiveOrder: frozenset({_P.PREPARING}),
        ForgetOrder: _OPEN,
    }
)
"""Which orders are admitted in which phase; abort is admitted in every phase that is not final."""


def after(phase: Phase, move: Move) -> Phase:
    """The phase that follows a move.

    Raises:
        AssertionError: the table has no such transition; a broken invariant, not a condition.
    """
    to = MOVES.get((phase, type(move)))
    assert to is not None, f"no transition from {phase} by {type(move).__name__}"  # noqa: S101 - invariant
    return to


def admits(phase: Phase, order: Command) -> bool:
    """Whether an order makes sense in a phase at all."""
    return phase in ORDERS[type(order)]


def diagram() -> str:
    """The table as a mermaid state diagram, in a stable order."""
    lines = ["stateDiagram-v2", f"    [*] --> {Phase.PREPARING}"]
    for (phase, kind), to in MOVES.items():
        lines.append(f"    {phase} --> {to}: {kind.__name__}")
    lines += [f"    {phase} --> [*]" for phase in sorted(TERMINAL)]
    return "\n".join(lines)
