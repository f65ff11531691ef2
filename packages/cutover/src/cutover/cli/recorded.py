"""Reading a record for the verbs that judge one: a journal, live or copied, or what was made of it.

Nothing is written, beside a temporary folder in which an archive's journal is unpacked.
"""

import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from rich.progress import Progress

from cutover.cli.output import err
from cutover.decision.fact import Entry
from cutover.errors import ConfigurationError, JournalError
from cutover.evidence.observation import Adopted
from cutover.journal.audit import entries_of
from cutover.journal.chain import Fault
from cutover.journal.container import inspect, journal_parts, unpack
from cutover.journal.log import verify_log
from cutover.journal.store import Journal
from cutover.runbook.document import Runbook
from cutover.runbook.load import load_text

SHOWN_FROM: Final = 5_000
"""Entries from which on a terminal sees how far it is."""

_SQLITE: Final = b"SQLite"


class Record(NamedTuple):
    """A record whose chain is whole.

    Attributes:
        path: of the file.
        run: identity of the run.
        entries: how many there are.
        head: `NUMBER:HASH` of the last.
        read: the entries from the first on, as often as wanted.
    """

    path: Path
    run: str
    entries: int
    head: str
    read: Callable[[], Iterator[Entry]]

    def shown(self, what: str) -> Iterator[Entry]:
        """The entries; on a terminal a long record shows how far it is."""
        quiet = self.entries < SHOWN_FROM or not err.is_terminal
        with Progress(console=err, transient=True, disable=quiet) as progress:
            yield from progress.track(self.read(), total=self.entries, description=what)


@contextmanager
def open_record(path: Path) -> Iterator[Record]:
    """Open a journal.db, a journal.jsonl or an archive, and follow its chain from the first entry.

    Raises:
        JournalError: it cannot be read, or its chain is broken.
    """
    if not path.is_file():
        raise JournalError(f"{path} is no file; give a journal.db, or the archive of a run")
    with path.open("rb") as stream:
        magic = stream.read(len(_SQLITE))
    if magic.startswith(b"PK"):
        with tempfile.TemporaryDirectory() as folder:
            yield _of_text(path, _unpacked(path, Path(folder)))
    elif magic == _SQLITE:
        with Journal.open_read_only(path) as reader:
            if isinstance(found := reader.verify_from(1), Fault):
                raise JournalError(f"{path}: {found}; nothing can be concluded from it")
            seq, digest = reader.head
            yield Record(path, reader.run_id, seq, f"{seq}:{digest.hex()}", reader.entries)
    else:
        yield _of_text(path, path)


def _of_text(path: Path, text: Path) -> Record:
    report = verify_log(text)
    if not report.ok:
        raise JournalError(f"{path}: {str(report).removeprefix(f'{text}: ')}")
    return Record(path, report.run, report.entries, report.head, lambda: entries_of(text))


def _unpacked(path: Path, folder: Path) -> Path:
    """The journal of an archive, in one file; its other parts are `archive verify`'s business."""
    target = folder / "journal.jsonl"
    with path.open("rb") as stream:
        archive, findings = inspect(stream, path.stat().st_size)
        if archive is None or findings:
            raise JournalError(f"{path}: {findings[0]}; `cutover archive verify {path}` tells more")
        with archive, target.open("wb") as text:
            _copy(archive, text.write)
    return target


def _copy(archive: zipfile.ZipFile, write: Callable[[bytes], object]) -> None:
    for name in journal_parts(archive.namelist()):
        for chunk in unpack(archive, name):
            write(chunk)


def adopted_runbook(record: Record) -> Runbook:
    """The runbook that a run adopted with its first entry.

    Raises:
        JournalError: it adopted none, or one that this version cannot execute.
    """
    first = next(record.read(), None)
    if first is None or not isinstance(first.fact, Adopted):
        seen = "nothing" if first is None else type(first.fact).__name__
        raise JournalError(
            f"{record.path} begins with {seen}, expected Adopted; it is no run's journal"
        )
    try:
        return load_text(first.fact.runbook, f"adopted runbook of {record.path}")
    except ConfigurationError as error:
        raise JournalError(
            f"{record.path}: its runbook cannot be executed by this version; use the one that "
            f"wrote it\n{error}"
        ) from error
