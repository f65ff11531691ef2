"""Evidence on demand for the other path, from the record's nearest; see `book`."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from cutover.decision.ahead import codes
from cutover.decision.kinds import Hold
from cutover.decision.run import Phase
from cutover.decision.wanted import Wanted, wanted
from cutover.decision.whatif.book import Book, OnDemand
from cutover.decision.whatif.lane import Lane
from cutover.evidence.observation import Attestation, LiveIntent, PostCheckSeen, PreconditionSeen

Answer = OnDemand | Attestation
"""What is gathered on demand alone, and what is looked at all the time besides."""

_NOTHING: Final = Wanted()
_ONLY: Final = (("gate:live_intents",), ("verify_now",))
"""Holds that nothing but gathering ends."""


class Gatherer:
    """Answers what the other path asks for.

    Args:
        book: what the record holds.

    Attributes:
        assumed: how often an answer of another time was taken, by what was asked.
        missing: what was asked for and is nowhere in the record.
    """

    def __init__(self, book: Book) -> None:
        self._book = book
        self.assumed: Counter[str] = Counter()
        self.missing: dict[str, int] = {}

    def facts(self, record: Lane, other: Lane, said: Hold, at_ms: int) -> list[Answer]:
        """What the other path's conductor would gather now, and the record's is not gathering.

        Args:
            record: where the record stands; what it asks for now will come in by itself.
            other: where the other path stands, at rest.
            said: why it rests.
            at_ms: now.
        """
        asked = _asked(other, said, at_ms)
        if asked == _NOTHING:
            return []
        coming = wanted(record.runbook, record.run, at_ms)
        return list(self._answers(other, asked, coming, at_ms))

    def _answers(self, other: Lane, asked: Wanted, coming: Wanted, at_ms: int) -> Iterator[Answer]:
        book, candidate = self._book, other.runbook.candidate
        for check in asked.preconditions:
            if check not in coming.preconditions:
                found = book.nearest_precondition(check, at_ms)
                yield from self._noted(f"precondition {check}", found, at_ms)
        identity = other.run.plane(candidate).identity
        if asked.attestation and asked.attestation != coming.attestation:
            verdict = book.nearest_verdict(candidate, identity, at_ms)
            yield from self._noted("a look at the attestation", verdict, at_ms)
        if asked.live is not None and asked.live is not coming.live:
            live = book.nearest_live(candidate, asked.live, identity, at_ms)
            yield from self._noted(f"live {asked.live}", live, at_ms)
        for name in asked.post_checks:
            if name not in coming.post_checks:
                done = book.nearest_post_check(name, at_ms)
                yield from self._noted(f"post-cutover check {name}", done, at_ms)

    def _noted(self, what: str, found: Answer | None, at_ms: int) -> Iterator[Answer]:
        if found is None:
            self.missing.setdefault(what, at_ms)
            return
        self.assumed[what] += 1
        yield found


def _asked(other: Lane, said: Hold, at_ms: int) -> Wanted:
    """What the other path asks for; a live intent only where nothing else is in the way."""
    running, why = other.run.phase is Phase.RUNNING, codes(said)
    if running and why not in _ONLY and "verify_again" not in why:
        return _NOTHING
    return wanted(other.runbook, other.run, at_ms)


def asks_for(other: Lane, fact: OnDemand, at_ms: int) -> bool:
    """Whether the other path asks for what the record gathered just now."""
    asked = wanted(other.runbook, other.run, at_ms)
    match fact:
        case LiveIntent():
            return asked.live is fact.intent
        case PreconditionSeen():
            return fact.check in asked.preconditions
        case PostCheckSeen():
            return fact.name in asked.post_checks
