"""What a stage can have accumulated at most, counted apart from the core.

These are upper bounds, each from one kind of fact alone: the core may count less (it knows more
reasons not to), never more.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from cutover.evidence.observation import GatewayReport
from cutover.evidence.outcome import Count, Outcome
from cutover.runbook.document import Runbook
from cutover.runbook.intent import RISK_OF, Risk
from cutover.runbook.stage import Critical
from cutover.simulator.checkers.streak import NEVER

BOOTS_KEPT: Final = 32
"""Processes of a node whose counters are remembered; the core remembers fewer."""

GENERATIONS_KEPT: Final = 32
_GOOD: Final = frozenset({Outcome.OK, Outcome.DECLINED})
_CRITICAL: Final = {
    Outcome.SERVER_ERROR: Critical.ANSWER_5XX,
    Outcome.UNKNOWN: Critical.ANSWER_UNKNOWN,
    Outcome.TIMEOUT_UNKNOWN: Critical.ANSWER_UNKNOWN,
    Outcome.NOT_SENT: Critical.NOT_SENT,
}
Key = tuple[int, str, Outcome]


@dataclass(slots=True)
class SoakBound:
    """Upper bounds of the open stage.

    Attributes:
        last_good: the candidate's newest look, when it was good and nothing came between.
        observed_ms: time between good looks that follow each other closely enough.
        clean_ms: the same since the last critical error that was seen here.
        canary_runs: scheduled rounds that went well.
        answers: good answers by the candidate under the stage's tables.
        clean_answers: the same since the last critical error that was seen here.
    """

    last_good: int = NEVER
    observed_ms: int = 0
    clean_ms: int = 0
    canary_runs: int = 0
    answers: int = 0
    clean_answers: int = 0
    _books: dict[str, dict[str, dict[Key, int]]] = field(default_factory=dict)

    def open(self) -> None:
        """Begin from nothing: another stage, another identity."""
        self.observed_ms = self.clean_ms = self.canary_runs = 0
        self.answers = self.clean_answers = 0

    def look(self, runbook: Runbook, at: int, *, good: bool) -> None:
        """One look at the candidate's readiness."""
        timing = runbook.timing
        limit = 2 * timing.readiness_every_ms + timing.readiness_deadline_ms
        if good and self.last_good != NEVER and at - self.last_good <= limit:
            self.observed_ms += at - self.last_good
            self.clean_ms += at - self.last_good
        self.last_good = at if good else NEVER

    def round(self, *, ok: bool, restarts: bool) -> None:
        """One scheduled canary round on the candidate."""
        if ok:
            self.canary_runs += 1
        elif restarts:
            self.observed_ms = self.canary_runs = 0

    def critical(self, runbook: Runbook, kind: Critical) -> None:
        """An error that begins the clean time again, where the runbook says so."""
        if kind in runbook.critical:
            self.clean_ms = self.clean_answers = 0

    def report(
        self, runbook: Runbook, seen: GatewayReport, first: int, newest: int
    ) -> list[tuple[Count, int]]:
        """Count one report; what of it is new on the candidate, with how much.

        Args:
            runbook: what is critical.
            seen: the report.
            first: generation with which the stage was entered.
            newest: generation that should be in force.
        """
        book = self._book(seen, newest)
        news = list(_news(book, (c for c in seen.counts if c.plane == runbook.candidate)))
        here = [(count, added) for count, added in news if count.generation >= first]
        for count, _ in here:
            kind = _CRITICAL.get(count.outcome)
            if count.outcome is Outcome.BUSINESS_FAILED and RISK_OF[count.intent] is Risk.MONEY:
                kind = Critical.PAYMENT_FAILED
            if kind is not None:
                self.critical(runbook, kind)
        good = sum(added for count, added in here if count.outcome in _GOOD)
        self.answers += good
        self.clean_answers += good
        return news

    def _book(self, seen: GatewayReport, newest: int) -> dict[Key, int]:
        boots = self._books.setdefault(seen.node, {})
        if seen.boot not in boots:
            boots[seen.boot] = {}
            if len(boots) > BOOTS_KEPT:
                del boots[next(iter(boots))]
        book = boots[seen.boot]
        if len(book) > GENERATIONS_KEPT * len(RISK_OF):
            for key in [key for key in book if key[0] <= newest - GENERATIONS_KEPT]:
                del book[key]
        return book


def _news(book: dict[Key, int], counts: Iterable[Count]) -> Iterable[tuple[Count, int]]:
    for count in counts:
        key = (count.generation, count.intent.value, count.outcome)
        before = book.get(key, 0)
        if count.n > before:
            book[key] = count.n
            yield count, count.n - before
