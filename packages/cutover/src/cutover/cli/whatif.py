"""`cutover whatif`: what other rules would have made of a record."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from cutover.cli.options import Json
from cutover.cli.output import say, show_json
from cutover.cli.replay import RecordFile
from cutover.errors import ConfigurationError, JournalError

if TYPE_CHECKING:
    from cutover.cli.recorded import Record
    from cutover.decision.fact import Entry
    from cutover.decision.whatif.result import WhatIf
    from cutover.runbook.document import Runbook


def whatif(
    journal: RecordFile,
    *,
    runbook: Annotated[Path, typer.Option("--runbook", "-r", help="The other rules (TOML).")],
    until: Annotated[
        str, typer.Option("--until", help="Compare up to an entry (4711) or a time (26h).")
    ] = "",
    json: Json = False,
) -> None:
    """Decide afresh on what a record says was seen, under other rules; nothing is written.

    Says where the two paths part, which rollbacks are added and avoided, which promotions come
    earlier or later, what exposure is saved or risked, and what all this rests on.
    """
    from cutover.app import load_runbook  # noqa: PLC0415 - half a second that only this verb needs
    from cutover.cli.recorded import open_record  # noqa: PLC0415 - half a second that only this verb needs

    other, bound = load_runbook(runbook), _bound(until)
    with open_record(journal) as record:
        result = _compared(record, other, str(runbook), bound)
    if json:
        show_json(result)
        return
    from cutover.cli.whatif_view import draw  # noqa: PLC0415 - half a second that only this verb needs

    say(f"{journal}: run {result.run} under {runbook}; nothing is changed by this")
    draw(result)


class Bound(NamedTuple):
    """How far is compared: at most so many entries, at most so many observed milliseconds."""

    entries: int | None = None
    at_ms: int | None = None

    def holds(self, entry: "Entry") -> bool:
        """Whether an entry lies within it."""
        within = self.entries is None or entry.seq <= self.entries
        return within and (self.at_ms is None or entry.at_ms <= self.at_ms)


def _bound(text: str) -> Bound:
    from cutover.runbook.units import parse_duration  # noqa: PLC0415 - half a second that only this verb needs

    if not text:
        return Bound()
    if text.isascii() and text.isdigit() and int(text) > 0:
        return Bound(entries=int(text))
    try:
        return Bound(at_ms=parse_duration(text))
    except ValueError as error:
        raise ConfigurationError(
            f"--until {text!r}: expected the number of an entry, or {error}"
        ) from error


def within(entries: Iterator["Entry"], bound: Bound) -> Iterator["Entry"]:
    """Entries up to a bound, and the decisions that were written together with the last of them."""
    from cutover.decision.kinds import Decision  # noqa: PLC0415 - half a second that only this verb needs

    last = -1
    for entry in entries:
        if not bound.holds(entry) and not (
            isinstance(entry.fact, Decision) and entry.at_ms == last
        ):
            return
        last = entry.at_ms
        yield entry


def _compared(record: "Record", other: "Runbook", source: str, bound: Bound) -> "WhatIf":
    """Two readings: the first proves that the record follows from its own rules, and takes notes.

    Raises:
        JournalError: it diverges before anything can be compared.
        RunbookError: the other runbook does not fit the record.
    """
    from cutover.cli.recorded import adopted_runbook  # noqa: PLC0415 - half a second that only this verb needs
    from cutover.decision.replay import replay  # noqa: PLC0415 - half a second that only this verb needs
    from cutover.decision.whatif.book import Book  # noqa: PLC0415 - half a second that only this verb needs
    from cutover.decision.whatif.compare import what_if  # noqa: PLC0415 - half a second that only this verb needs
    from cutover.decision.whatif.fit import misfits  # noqa: PLC0415 - half a second that only this verb needs
    from cutover.runbook.finding import RunbookError  # noqa: PLC0415 - half a second that only this verb needs

    recorded = adopted_runbook(record)
    notes = replay(record.shown("deciding again"), lambda _: recorded)
    if (wrong := notes.divergence) is not None and wrong.seq <= 2:
        raise JournalError(f"{record.path}: {wrong}; nothing before that can be compared")
    sound = record.entries if wrong is None else wrong.seq - 1
    book = Book()
    for entry in within(islice(record.read(), sound), bound):
        book.note(entry)
    if misfit := misfits(book, recorded, other, source):
        raise RunbookError(source, misfit)
    read = within(islice(record.shown("comparing"), sound), bound)
    result = what_if(book, read, recorded, other)
    return _limited(result, record, str(wrong) if wrong else "")


def _limited(result: "WhatIf", record: "Record", wrong: str) -> "WhatIf":
    import msgspec  # noqa: PLC0415 - only this verb needs it

    from cutover.decision.whatif.result import Limit  # noqa: PLC0415 - half a second that only this verb needs

    more = []
    if wrong:
        text = f"today's code diverges, so only what is before is compared: {wrong}"
        more.append(Limit("diverges", text))
    if result.entries < record.entries:
        more.append(Limit("cut", f"compared are {result.entries} of {record.entries} entries"))
    return msgspec.structs.replace(result, limits=(*more, *result.limits))


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(whatif)
