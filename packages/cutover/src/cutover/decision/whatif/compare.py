"""Folds a record under its own rules and under others, side by side, in one streaming pass.

Until the paths part every entry is folded into both as it stands. They part where the other rules
move and the record does not, or the other way round, or where the same move puts other shares in
force. From there on what depends on the path is told again (`retelling`, `gather`), and decisions
are made afresh at every entry and, where time alone makes one due, between entries (`instants`).

While the paths are one, the record says when its conductor looked: what both rules ask for between
two entries is decided at the later one, as it was.
"""

import dataclasses
from collections import deque
from collections.abc import Iterable
from typing import Final, get_args

import msgspec

from cutover.decision.command import Command
from cutover.decision.fact import Entry, Fact
from cutover.decision.kinds import Decision, Hold
from cutover.decision.orders import refusal, verb
from cutover.decision.whatif import limits
from cutover.decision.whatif.book import Book, OnDemand
from cutover.decision.whatif.divide import Divider
from cutover.decision.whatif.gather import Gatherer, asks_for
from cutover.decision.whatif.instants import first_due
from cutover.decision.whatif.lane import MOVES, Lane, moved
from cutover.decision.whatif.result import Moved, Parting, WhatIf
from cutover.decision.whatif.retelling import Retelling, news
from cutover.decision.whatif.summary import summary
from cutover.decision.whatif.tally import NOT_ROUTED, Rates, Tally
from cutover.evidence.observation import GatewayReport
from cutover.runbook.document import Runbook
from cutover.runbook.intent import Intent
from cutover.runbook.rollback import PaymentsFailed

STEPS_MAX: Final = 64
"""Moves and answers that may follow from one entry; more means that they undo each other."""

_COMMANDS: Final = get_args(Command)
_ON_DEMAND: Final = get_args(OnDemand)


def what_if(book: Book, entries: Iterable[Entry], recorded: Runbook, other: Runbook) -> WhatIf:
    """Compare a record with what other rules would have made of it.

    Args:
        book: notes of a first reading of the same entries.
        entries: from number 1 on, of a journal that replays under today's code.
        recorded: the runbook that the run adopted.
        other: the rules to compare with; how often is looked stays as it was recorded.

    Raises:
        ValueError: the book is of an empty record.
    """
    if book.adopted is None:
        raise ValueError("the first entry of a record is Adopted; expected a journal of a run")
    paths = _Paths(book, recorded, other)
    for entry in entries:
        paths.take(entry)
    return paths.finish()


class _Paths:
    """Both paths, and what is noted on the way."""

    def __init__(self, book: Book, recorded: Runbook, other: Runbook) -> None:
        assert book.adopted is not None  # noqa: S101 - checked where the book comes in
        self._book = book
        self._own_timing = other.timing
        self._record = Lane(recorded, book.adopted.run)
        self._other = Lane(at_recorded_pace(other, recorded), book.adopted.run)
        self._gatherer = Gatherer(book)
        window = next(c.window_ms for c in recorded.conditions if isinstance(c, PaymentsFailed))
        self._rates = Rates(window)
        self._divider = Divider(recorded.fallback, recorded.candidate, self._rates)
        self._retelling = Retelling(self._divider)
        self._tallies = (Tally(), Tally())
        self._ahead: deque[Moved] = deque()
        self._parting: Parting | None = None
        self._skipped: list[str] = []
        self._last = Entry(0, 0, 0, book.adopted)

    def take(self, entry: Entry) -> None:
        """Go on with one entry."""
        if self._ahead and not (self._at_once(entry) and isinstance(entry.fact, MOVES)):
            self._part(self._ahead[0], self._rests(self._last.at_ms))
        self._silence(entry)
        if isinstance(entry.fact, MOVES):
            self._recorded_move(entry)
        elif isinstance(entry.fact, Hold):
            self._record.fold(entry)
        else:
            self._observed(entry, entry.fact)
        self._settle(entry.seq, entry.at_ms, entry.wall_ms)
        self._last = entry

    def finish(self) -> WhatIf:
        """The comparison, when every entry has been taken."""
        end = self._last.at_ms
        self._record.pass_time(end)
        self._other.pass_time(end)
        notes = limits.Notes(
            parting=self._parting,
            book=self._book,
            skipped=tuple(self._skipped),
            assumed=self._gatherer.assumed,
            missing=self._gatherer.missing,
            moved=self._divider.moved,
            untold=self._retelling.untold,
            stubborn=self._retelling.stubborn,
            tally=self._tallies[1],
            own_timing=self._own_timing,
        )
        paths = (self._record, self._other)
        return summary(
            self._last.seq, end, self._parting, paths, self._tallies, self._rates,
            limits.limits(notes, *paths, end),
        )  # fmt: skip

    # --- time and decisions -------------------------------------------------------------------

    def _silence(self, entry: Entry) -> None:
        """Between two entries time alone speaks on the other path."""
        start = self._last.at_ms
        while not self._other.over:
            at = first_due(self._other, start, entry.at_ms)
            if at is None:
                return
            if self._parting is None:
                mine, theirs = self._other.due(at), self._record.due(at)
                if _same(mine, theirs):
                    return  # the record's conductor had not looked yet; its next entry says when
            self._settle(self._last.seq, at, self._last.wall_ms + at - self._last.at_ms)
            if self._ahead:
                self._part(self._ahead[0], self._rests(at))
            start = at

    def _at_once(self, entry: Entry) -> bool:
        """What follows from an entry is written with it and bears its stamp."""
        return entry.at_ms == self._last.at_ms

    def _rests(self, at_ms: int) -> str:
        return _why_not(self._record.due(at_ms))

    def _settle(self, seq: int, at_ms: int, wall_ms: int) -> None:
        """Decide on the other path until it rests, with what it would have gathered."""
        for _ in range(STEPS_MAX):
            if self._other.over:
                return
            said = self._other.due(at_ms)
            if not isinstance(said, Hold):
                self._move(Entry(seq, at_ms, wall_ms, said))
                continue
            if self._ahead:
                return  # first let the record say whether it moves as well
            facts = self._gatherer.facts(self._record, self._other, said, at_ms)
            if not facts:
                return
            for fact in facts:
                self._other.fold(Entry(seq, at_ms, wall_ms, fact))
        raise AssertionError(f"more than {STEPS_MAX} steps follow from entry {seq}")

    def _move(self, entry: Entry) -> None:
        self._other.fold(entry)
        if self._parting is None:
            self._ahead.append(self._other.moves[-1])

    def _recorded_move(self, entry: Entry) -> None:
        if self._parting is None and not self._ahead:
            self._settle(entry.seq, entry.at_ms, entry.wall_ms)
        self._record.fold(entry)
        if self._parting is not None:
            return
        made = self._record.moves[-1]
        if not self._ahead:
            why = _why_not(self._other.due(entry.at_ms))
            self._part(made, str(made), why)
        elif self._ahead[0].key != made.key:
            self._part(self._ahead[0], str(made))
        else:
            moves = self._other.moves
            moves[len(moves) - len(self._ahead)] = made
            self._ahead.popleft()
            self._compare_tables(made)

    def _compare_tables(self, made: Moved) -> None:
        """The same move with other shares leads to another world all the same."""
        if self._ahead or self._other.shares == self._record.shares:
            return
        mine, theirs = self._record.shares, self._other.shares
        other = [intent for intent in Intent if mine[intent] != theirs[intent]]
        words = [", ".join(f"{i} {shares[i] / 100:g}%" for i in other) for shares in (mine, theirs)]
        self._part(made, *(f"{made} with {shares}" for shares in words))

    def _part(self, at: Moved, recorded: str, alternative: str = "") -> None:
        self._ahead.clear()
        if self._parting is None:
            self._parting = Parting(at.seq, at.at_ms, recorded, alternative or str(at))

    # --- facts --------------------------------------------------------------------------------

    def _observed(self, entry: Entry, fact: Fact) -> None:
        if isinstance(fact, GatewayReport):
            self._reported(entry, fact)
            return
        self._record.fold(entry)
        if self._other.over:
            return
        if isinstance(fact, _COMMANDS):
            self._ordered(entry, fact)
        elif self._tells(fact, entry.at_ms):
            self._other.fold(entry)

    def _tells(self, fact: Fact, at_ms: int) -> bool:
        """Whether a fact says something on the other path: what it would not ask, it never knew."""
        if self._parting is None or not isinstance(fact, _ON_DEMAND):
            return True
        return asks_for(self._other, fact, at_ms)

    def _ordered(self, entry: Entry, order: Command) -> None:
        why = refusal(self._other.runbook, self._other.run, order)
        if why:
            self._skipped.append(f"entry {entry.seq}, `{verb(order)}` by {order.actor}: {why}")
        else:
            self._other.fold(entry)

    def _reported(self, entry: Entry, seen: GatewayReport) -> None:
        before = self._record.run.nodes.get(seen.node)
        self._record.fold(entry)
        new = news(before, self._record.run.nodes.get(seen.node), seen.boot)
        mine, theirs = self._tallies
        for cell, n in new.counts.items():
            if cell.plane == self._record.runbook.candidate and cell.outcome not in NOT_ROUTED:
                mine.count(cell.intent, cell.outcome, n)
                self._rates.note(entry.at_ms, cell.intent, cell.outcome, n)
                if self._parting is None:
                    theirs.count(cell.intent, cell.outcome, n)
        told = seen
        if self._parting is not None:
            told = self._retelling.tell(seen, new, self._record, self._other, theirs)
        if not self._other.over:
            self._other.fold(msgspec.structs.replace(entry, fact=told))


def at_recorded_pace(other: Runbook, recorded: Runbook) -> Runbook:
    """The other rules at the cadence at which the record was made: nobody looked more often."""
    return dataclasses.replace(other, timing=recorded.timing)


def _same(one: Decision, another: Decision) -> bool:
    here = Entry(0, 0, 0, one)
    return not isinstance(another, Hold) and moved(here, one).key == moved(here, another).key


def _why_not(said: Decision) -> str:
    return f"no move: {'; '.join(reason.text for reason in said.reasons)}"
