"""The table of transitions: every phase can end, abort is always there, the diagram is it."""

from typing import get_args

import pytest

from cutover.decision.command import AbortOrder, HoldOrder, PromoteOrder
from cutover.decision.kinds import Complete, Move, RollBack
from cutover.decision.run import TERMINAL, Phase
from cutover.decision.transitions import MOVES, ORDERS, admits, after, diagram

OPEN = [phase for phase in Phase if phase not in TERMINAL]


def _reachable(start: Phase) -> set[Phase]:
    found, todo = {start}, [start]
    while todo:
        here = todo.pop()
        for (phase, _), to in MOVES.items():
            if phase is here and to not in found:
                found.add(to)
                todo.append(to)
    return found


@pytest.mark.parametrize("phase", OPEN)
def test_every_phase_reaches_a_terminal_one(phase: Phase) -> None:
    """No run can be caught in a phase for ever."""
    assert _reachable(phase) & TERMINAL


@pytest.mark.parametrize("phase", OPEN)
def test_abort_is_admitted_in_every_open_phase(phase: Phase) -> None:
    """And it leads to the end of the run without a promotion."""
    assert admits(phase, AbortOrder("ana", "stop"))
    assert Phase.ABORTED in _reachable(phase)


@pytest.mark.parametrize("phase", sorted(TERMINAL))
def test_terminal_phases_are_left_by_nothing(phase: Phase) -> None:
    """What is over takes neither moves nor orders."""
    assert not [key for key in MOVES if key[0] is phase]
    assert not [order for order, phases in ORDERS.items() if phase in phases]


def test_every_phase_is_reached_from_the_first() -> None:
    """No phase is there for show."""
    assert _reachable(Phase.PREPARING) == set(Phase)


def test_every_kind_of_move_and_order_has_its_place() -> None:
    """No kind of decision is without a transition."""
    assert {kind for _, kind in MOVES} == set(get_args(Move))


@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.CHECKING])
def test_whatever_answers_clients_can_be_rolled_back(phase: Phase) -> None:
    """Wherever the candidate is exposed, a rollback is a transition of the table."""
    assert MOVES[phase, RollBack] is Phase.ROLLING_BACK


def test_money_can_be_closed_and_reopened_wherever_it_flows() -> None:
    """A phase in which money can be closed can open it again."""
    closing = {phase for phase, kind in MOVES if kind.__name__ == "CloseMoney"}
    opening = {phase for phase, kind in MOVES if kind.__name__ == "ReopenMoney"}
    assert closing <= opening


def test_what_is_not_in_the_table_cannot_happen() -> None:
    """A move out of place is a broken invariant, loudly."""
    with pytest.raises(AssertionError, match="no transition from rolled_back by Complete"):
        after(Phase.ROLLED_BACK, Complete((), ()))


def test_orders_have_their_phases() -> None:
    """Promotion is a word for running stages; a hold is none for a run that goes back for good."""
    assert not admits(Phase.PREPARING, PromoteOrder("ana", "go", "shadow"))
    assert not admits(Phase.ABORTING, HoldOrder("ana", "wait"))


def test_the_diagram_shows_the_whole_table() -> None:
    """One arrow for each transition, and no other."""
    arrows = [line.strip() for line in diagram().splitlines() if "-->" in line and ":" in line]
    assert sorted(arrows) == sorted(f"{p} --> {to}: {k.__name__}" for (p, k), to in MOVES.items())
