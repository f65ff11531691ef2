"""Says where a comparison rests on more than the record tells; only what came up is said."""

from collections.abc import Iterator, Mapping

import msgspec

from cutover.decision.run import Phase
from cutover.decision.whatif.book import Book
from cutover.decision.whatif.lane import Lane
from cutover.decision.whatif.result import Limit, Parting
from cutover.decision.whatif.tally import Tally
from cutover.decision.words import span
from cutover.runbook.document import Timing

_SHOWN_MAX = 3


class Notes(msgspec.Struct, frozen=True):
    """What was noted while the paths were folded.

    Attributes:
        parting: where they part.
        book: of the record.
        skipped: orders that did not apply on the other path.
        assumed: answers of another time that were taken, by what was asked.
        missing: what was asked for and is nowhere in the record, and when first.
        moved: requests that other tables sent elsewhere.
        untold: requests under tables that the record does not explain.
        stubborn: reports of nodes without the record's table in force.
        tally: requests on the other path.
        own_timing: the other runbook's cadence.
    """

    parting: Parting | None
    book: Book
    skipped: tuple[str, ...]
    assumed: Mapping[str, int]
    missing: Mapping[str, int]
    moved: int
    untold: int
    stubborn: int
    tally: Tally
    own_timing: Timing


def limits(notes: Notes, record: Lane, other: Lane, end_ms: int) -> tuple[Limit, ...]:
    """All limits that matter here, the weightiest first."""
    return (
        *_pace(notes, record),
        *_world(notes, record, other),
        *_traffic(notes),
        *_evidence(notes),
        *_orders(notes, record, other),
        *_end(record, other, end_ms),
    )


Found = Iterator[Limit]


def _pace(notes: Notes, record: Lane) -> Found:
    if notes.own_timing != record.runbook.timing:
        yield Limit(
            "pace",
            "the other runbook looks at another cadence; what was not looked at cannot be seen, so "
            "both paths are judged at the recorded one",
        )


def _world(notes: Notes, record: Lane, other: Lane) -> Found:
    parting = notes.parting
    if parting is None:
        return
    yield Limit(
        "another_world",
        f"what the record shows after entry {parting.seq} ({span(parting.at_ms)}) was seen on the "
        "recorded path; planes are taken to behave the same under another load, and clients to ask "
        "the same",
    )
    back = [m for m in other.moves if m.kind in ("RollBack", "AbortRun", "Repin")]
    were = {m.key for m in record.moves}
    if added := [m for m in back if m.key not in were]:
        yield Limit(
            "after_rollback",
            f"after {added[0]} at {span(added[0].at_ms)} the record goes on with a candidate under "
            "load; how it would have recovered without, nobody saw",
        )


def _traffic(notes: Notes) -> Found:
    tally = notes.tally
    if notes.moved:
        yield Limit(
            "resplit",
            f"{notes.moved} requests would have been answered by the other plane; the split is "
            "taken to be as the other tables say, in proportion and not by conversation",
        )
    if known := tally.assumed.total() - tally.unknown.total():
        yield Limit(
            "assumed_outcomes",
            f"{known} requests that the candidate never had are taken to end as those of their "
            "intent ended on it until then",
        )
    if unknown := tally.unknown.total():
        yield Limit(
            "unknown_outcomes",
            f"of {unknown} requests nobody knows how the candidate would have answered: none of "
            "their intent was seen there before; they count as no answer",
        )
    if notes.untold:
        text = f"{notes.untold} requests under tables that the record does not explain are left out"
        yield Limit("untold", text)
    if notes.stubborn:
        yield Limit(
            "nodes_behind",
            f"{notes.stubborn} reports were of nodes without the record's table in force; they are "
            "taken to have been without the other path's table as well",
        )


def _evidence(notes: Notes) -> Found:
    if notes.assumed:
        what = ", ".join(f"{name} ({n})" for name, n in sorted(notes.assumed.items()))
        yield Limit(
            "assumed_evidence",
            f"never carried out at the time, taken from the record's nearest: {what}",
        )
    for name, at_ms in sorted(notes.missing.items()):
        text = f"{name} is asked for from {span(at_ms)} on, and the record never has it: it waits"
        yield Limit("missing_evidence", text)


def _orders(notes: Notes, record: Lane, other: Lane) -> Found:
    if notes.skipped:
        shown = "; ".join(notes.skipped[:_SHOWN_MAX])
        more = len(notes.skipped) - _SHOWN_MAX
        tail = f"; and {more} more" if more > 0 else ""
        yield Limit("orders_skipped", f"orders that would not have applied: {shown}{tail}")
    if notes.parting is not None and notes.book.orders_refused:
        yield Limit(
            "orders_refused",
            f"{notes.book.orders_refused} orders were refused when they were given; whether the "
            "other path would have admitted them is not told",
        )
    if other.run.phase is Phase.ROLLED_BACK and record.run.phase is not Phase.ROLLED_BACK:
        text = "after its rollback the other path waits for a `retry` that nobody had to order"
        yield Limit("no_retry", text)


def _end(record: Lane, other: Lane, end_ms: int) -> Found:
    ended = span(end_ms)
    if other.over:
        if not record.over:
            last = other.moves[-1]
            yield Limit(
                "ends_earlier",
                f"the alternative would have been {other.run.phase} at {span(last.at_ms)}; the "
                f"record goes on until {ended}, and its shares are counted as they stand",
            )
        return
    stands = other.standing(end_ms)
    where = f"in {stands.stage}" if other.run.phase is Phase.RUNNING else stands.phase
    waits = "; ".join(stands.waits)
    yield Limit(
        "record_ends",
        f"the record ends at {ended}; the alternative would still be {where}: {waits}",
    )
