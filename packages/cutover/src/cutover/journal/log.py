"""`cutover verify-log`: is this journal whole, and if not, what is the first bad entry?"""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Final

import msgspec

from cutover.errors import ConfigurationError, JournalError
from cutover.evidence.observation import Adopted
from cutover.journal.chain import (
    HASH_BYTES,
    INTEGER_MAX,
    Fault,
    Point,
    Row,
    What,
    genesis,
    link,
    verify,
)
from cutover.journal.entry import decode
from cutover.journal.lines import Closing, read_lines, read_tail
from cutover.journal.reader import to_entry
from cutover.journal.store import Journal

UNKNOWN_SHOWN_MAX: Final = 5
_SQLITE_MAGIC: Final = b"SQLite format 3\x00"


class Report(msgspec.Struct, frozen=True):
    """What was found.

    Attributes:
        path: of the file.
        run: identity of the run, as far as the file says.
        entries: how many fit, from the first on.
        head: `NUMBER:HASH` of the last that fits; keep it to prove later that nothing was cut.
        fault: the first bad entry, if any.
        unknown: how many sound entries this version cannot read.
        examples: the first of them, each with its number and what is unknown.
    """

    path: str
    run: str
    entries: int
    head: str
    fault: Fault | None
    unknown: int
    examples: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whole, and every fact is understood."""
        return self.fault is None and not self.unknown

    def __str__(self) -> str:
        if self.fault is not None:
            return f"{self.path}: {self.fault}. The {self.entries} entries before it are sound"
        whole = f"{self.path}: {self.entries} entries of run {self.run} are sound, head {self.head}"
        if self.unknown:
            return f"{whole}; {self.unknown} cannot be read: {'; '.join(self.examples)}"
        return whole


class _Notes:
    """What is noted of every sound entry on the way."""

    def __init__(self, start: Point, wanted: Point | None) -> None:
        self._wanted = wanted
        self.at = start
        self.met = wanted is None or wanted.hash == start.hash
        self.unknown = 0
        self.examples: list[str] = []

    def take(self, row: Row) -> None:
        """Note a row that fits."""
        self.at = Point(row.seq, row.hash)
        if self._wanted and row.hash == self._wanted.hash:
            self.met = self._wanted.seq in (0, row.seq)
        try:
            decode(row.payload)
        except JournalError as error:
            self.unknown += 1
            if len(self.examples) < UNKNOWN_SHOWN_MAX:
                self.examples.append(f"entry {row.seq}: {error}")


def verify_log(path: Path, expect_head: str | None = None) -> Report:
    """Verify a `journal.db`, live or copied, or a `.jsonl` export, from its first entry.

    A journal alone cannot show that its last entries were cut together with its head: for that
    give a head noted earlier, which must still be in the chain.

    Args:
        path: of the file.
        expect_head: `NUMBER:HASH` or `HASH`, from an earlier report.

    Raises:
        JournalError: it is no journal at all, or one of an unknown format.
        ConfigurationError: `expect_head` is not a head.
    """
    wanted = None if expect_head is None else _read_head(expect_head)
    if not path.is_file():
        raise JournalError(f"{path} is no file; give a journal.db or a journal.jsonl")
    with path.open("rb") as stream:
        magic = stream.read(len(_SQLITE_MAGIC))
    if magic == _SQLITE_MAGIC:
        return _verify_database(path, wanted)
    if magic.startswith(b"PK"):
        raise JournalError(f"{path} is an archive; use `cutover archive verify {path}`")
    if magic.startswith(b"{"):
        return _verify_text(path, wanted)
    raise JournalError(
        f"{path} begins with {magic!r}; expected a journal.db or a journal.jsonl. If it was one, "
        "its first bytes were altered"
    )


def _read_head(text: str) -> Point:
    number, _, digest = text.rpartition(":")
    try:
        point = Point(int(number or "0"), bytes.fromhex(digest))
    except ValueError:
        point = Point(-1, b"")
    if point.seq < 0 or len(point.hash) != HASH_BYTES:
        raise ConfigurationError(
            f"{text!r} is no head; expected NUMBER:HASH or HASH with 64 hex digits, as a report "
            "shows it"
        )
    return point


def _verify_database(path: Path, wanted: Point | None) -> Report:
    with Journal.open_read_only(path) as reader:
        head = Point(*reader.head)
        return _report(path, reader.run_id, _until_damage(reader.rows()), head, wanted)


def _until_damage(rows: Iterator[Row]) -> Iterator[Row]:
    """The rows; where the file cannot be read any more stands a row with that flaw."""
    try:
        yield from rows
    except JournalError as error:
        yield Row(-1, 0, 0, b"", b"", str(error))


def _verify_text(path: Path, wanted: Point | None) -> Report:
    tail = read_tail(path)
    run = tail.closing.run if tail.closing else _adopted_run(path, tail.begins)
    head = _closing_head(tail.closing) or Point(INTEGER_MAX, b"")
    with path.open("rb") as stream:
        report = _report(path, run, read_lines(stream, tail.begins), head, wanted)
    if tail.closing is None and (report.fault is None or report.fault.what == What.TRUNCATED):
        expected = "a closing line with run and head"
        fault = Fault(tail.what, report.entries + 1, tail.trouble, expected)
        return msgspec.structs.replace(report, fault=fault)
    return report


def _closing_head(closing: Closing | None) -> Point | None:
    if closing is None or not 0 <= closing.entries <= INTEGER_MAX:
        return None
    try:
        return Point(closing.entries, bytes.fromhex(closing.head))
    except ValueError:
        return Point(closing.entries, b"")


def _adopted_run(path: Path, end: int) -> str:
    """Without a closing line, the run's identity is what its first entry says."""
    with path.open("rb") as stream:
        row = next(read_lines(stream, end), None)
    return "" if row is None else _run_said_by(row)


def _run_said_by(row: Row) -> str:
    try:
        fact = to_entry(row).fact
    except JournalError:
        return ""
    return fact.run if isinstance(fact, Adopted) else ""


def _report(path: Path, run: str, rows: Iterator[Row], head: Point, wanted: Point | None) -> Report:
    start = Point(0, genesis(run))
    first = next(rows, None)
    notes = _Notes(start, wanted)
    found = verify(chain([first] if first else [], rows), start, head, notes.take)
    fault = found if isinstance(found, Fault) else None
    if fault is not None and fault.seq == 1 and first is not None:
        fault = _other_run(first, run) or fault
    if fault is None and not notes.met and wanted is not None:
        fault = _not_met(wanted, notes.at)
    return Report(
        path=str(path), run=run, entries=notes.at.seq,
        head=f"{notes.at.seq}:{notes.at.hash.hex()}",
        fault=fault, unknown=notes.unknown, examples=tuple(notes.examples),
    )  # fmt: skip


def _other_run(first: Row, run: str) -> Fault | None:
    """When the first entry is sound for the run it names, the recorded identity is what changed."""
    said = _run_said_by(first)
    sound = said not in ("", run) and first.hash == link(
        genesis(said), 1, first.at_ms, first.wall_ms, first.payload
    )
    return Fault(What.CHANGED, 0, f"run {run!r}", f"run {said!r}") if sound else None


def _not_met(wanted: Point, at: Point) -> Fault:
    expected = f"an entry with hash {wanted.hash.hex()}, as noted earlier"
    seen = f"{at.seq} entries that fit one another, none with that hash"
    if wanted.seq > at.seq or not wanted.seq:
        return Fault(What.TRUNCATED, at.seq + 1, f"{seen}: cut, or written anew", expected)
    return Fault(What.CHANGED, wanted.seq, f"{seen}: written anew", expected)
