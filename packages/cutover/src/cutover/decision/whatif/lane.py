"""One of the two paths: its rules, its state, its moves, and what the candidate carried on it."""

from collections.abc import Mapping
from typing import Final, get_args

from cutover.decision.fact import Entry
from cutover.decision.fold import apply
from cutover.decision.kinds import (
    AbortRun,
    CloseMoney,
    Decision,
    Hold,
    Move,
    OpenStage,
    Repin,
    RollBack,
    UnlockIntent,
)
from cutover.decision.promotion import next_promotion
from cutover.decision.run import NEVER, TERMINAL, Phase, Run
from cutover.decision.split import table_share_bp
from cutover.decision.step import decide
from cutover.decision.whatif.result import Moved, Standing
from cutover.runbook.document import Runbook
from cutover.runbook.intent import LEADING, RISK_OF, Intent, Risk

MOVES: Final = get_args(Move)
TABLES_KEPT: Final = 32
"""Tables whose shares are remembered: twice as many generations as a gateway counts."""

Shares = Mapping[Intent, int]


def moved(entry: Entry, move: Decision) -> Moved:
    """A decision as the comparison shows it."""
    why = "; ".join(reason.text for reason in move.reasons)
    return Moved(entry.seq, entry.at_ms, type(move).__name__, _what(move), why)


def _what(move: Decision) -> str:
    match move:
        case OpenStage():
            return move.stage
        case UnlockIntent():
            return f"{move.intent} in {move.stage}"
        case RollBack() | AbortRun() | Repin():
            return move.rule
        case CloseMoney():
            return ", ".join(move.planes)
        case _:
            return ""


class Lane:
    """One path.

    Attributes:
        runbook: its rules.
        run: its state.
        moves: all so far.
        tables: candidate's share of every intent, by generation, the newest ones.
        area: integral of the candidate's share by risk, basis points times milliseconds.
        completed_at: when the run was complete; NEVER before.
    """

    def __init__(self, runbook: Runbook, run: str) -> None:
        self.runbook = runbook
        self.run = Run(id=run)
        self.moves: list[Moved] = []
        self.tables: dict[int, Shares] = {}
        self.area = dict.fromkeys(Risk, 0)
        self.completed_at = NEVER
        self._at = 0
        self._remember()

    @property
    def over(self) -> bool:
        """Whether nothing can follow any more."""
        return self.run.phase in TERMINAL

    def fold(self, entry: Entry) -> None:
        """Take one more entry in."""
        self.pass_time(entry.at_ms)
        self.run = apply(self.runbook, self.run, entry)
        if isinstance(entry.fact, MOVES):
            self.moves.append(moved(entry, entry.fact))
            self._remember()
            if self.run.phase is Phase.COMPLETE and self.completed_at == NEVER:
                self.completed_at = entry.at_ms

    def due(self, at_ms: int) -> Decision:
        """What the rules say at a moment."""
        return decide(self.runbook, self.run, at_ms)

    def pass_time(self, at_ms: int) -> None:
        """Let the present shares count up to a moment."""
        passed = at_ms - self._at
        if passed <= 0:
            return
        self._at = at_ms
        for intent in LEADING:
            closed = RISK_OF[intent] is Risk.MONEY and self.runbook.candidate in self.run.closed
            share = 0 if closed else self.shares[intent]
            self.area[RISK_OF[intent]] += share * passed

    @property
    def shares(self) -> Shares:
        """Candidate's share of every intent in the table that should be in force."""
        return self.tables[self.run.generation]

    def standing(self, at_ms: int) -> Standing:
        """How it stands at a moment."""
        run = self.run
        said = self.due(at_ms)
        waits = said.reasons if isinstance(said, Hold) and not self.over else ()
        stage = self.runbook.stages[run.stage].name if run.stage >= 0 else ""
        going = run.phase is Phase.RUNNING
        return Standing(
            phase=run.phase.value,
            stage=stage,
            progress=next_promotion(self.runbook, run).text if going else "",
            waits=tuple(reason.text for reason in waits),
            completed_at_ms=None if self.completed_at == NEVER else self.completed_at,
        )

    def _remember(self) -> None:
        run = self.run
        shares = {intent: table_share_bp(self.runbook, run, intent) for intent in Intent}
        self.tables[run.generation] = shares
        for old in sorted(self.tables)[:-TABLES_KEPT]:
            del self.tables[old]
