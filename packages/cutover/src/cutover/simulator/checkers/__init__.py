"""The lines that are never crossed, one function for each way of looking at one.

`CHECKERS` judges them on the entries of one journal, which is all that the core can be blamed
for; `watch.Watch` runs them. Lines about nodes, planes and rails (4 in time, 6 at the planes, 7, 8
at the nodes, 10) need a world to look at; such checkers keep to the same form: a module a line, a
function `check_NN_name`, a `Violation` that names the line, a place in a registry of their own.
"""

from typing import Final

from cutover.simulator.checkers.line_01_money import check_01_money, rest_01_money
from cutover.simulator.checkers.line_02_evidence import check_02_evidence
from cutover.simulator.checkers.line_03_exposure import check_03_exposure
from cutover.simulator.checkers.line_04_rollback import check_04_rollback, rest_04_rollback
from cutover.simulator.checkers.line_05_abort import check_05_abort, rest_05_abort
from cutover.simulator.checkers.line_06_payment import check_06_payment
from cutover.simulator.checkers.line_08_terms import check_08_terms
from cutover.simulator.checkers.line_09_replay import check_09_replay, end_09_replay
from cutover.simulator.checkers.line_11_clocks import check_11_clocks, rest_11_clocks
from cutover.simulator.checkers.line_12_size import check_12_size, end_12_size
from cutover.simulator.checkers.registry import Checker
from cutover.simulator.checkers.violation import Violation

__all__ = ["CHECKERS", "Checker", "Violation"]

CHECKERS: Final = (
    Checker(
        1, "money reaches the candidate only while it is proved, and no sooner than its stage says",
        check_01_money, rest_01_money,
    ),
    Checker(
        2, "a promotion stands on young evidence for every gate, of the candidate as it is now",
        check_02_evidence,
    ),
    Checker(
        3, "exposure rises by a promotion only, and only when nothing speaks against it",
        check_03_exposure,
    ),
    Checker(
        4, "a rollback condition that holds is answered at once, and everything goes back",
        check_04_rollback, rest_04_rollback,
    ),
    Checker(
        5, "abort is open in every phase that is not final, and acts at once",
        check_05_abort, rest_05_abort,
    ),
    Checker(
        6, "a payment gets another key only when it is certain how the last one ended",
        check_06_payment,
    ),
    Checker(
        8, "every conductor has a term of its own, and every table a number of its own",
        check_08_terms,
    ),
    Checker(
        9, "the journal alone gives the same state and the same decisions",
        check_09_replay, end=end_09_replay,
    ),
    Checker(
        11, "clocks that jump move nothing, and time in which nobody looked is no soak",
        check_11_clocks, rest_11_clocks,
    ),
    Checker(
        12, "the state does not grow with running time",
        check_12_size, end=end_12_size,
    ),
)  # fmt: skip
"""By their numbers; what is missing here cannot be judged without a world."""
