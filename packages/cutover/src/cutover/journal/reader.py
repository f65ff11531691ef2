"""Reading a journal: entries in order, the chain, the snapshots; live or copied."""

import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

from cutover.decision.fact import Entry
from cutover.errors import JournalError
from cutover.evidence.observation import Snapshot
from cutover.journal import schema
from cutover.journal.chain import Fault, Point, Row, Verified, genesis, read_row, verify
from cutover.journal.entry import decode

PAGE: Final = 512
"""Entries read at once: no read holds the file while its reader thinks."""

SELECT: Final = "SELECT seq, at_ms, wall_ms, payload, hash FROM entries WHERE seq > ?"


class Reader:
    """A journal as it stood when it was opened; make it with `Journal.open_read_only`.

    Attributes:
        path: of the file.
        run_id: identity of the run.
    """

    def __init__(self, database: sqlite3.Connection, path: Path) -> None:
        self.path = path
        self._database = database
        run, seq, digest = head_row(database, path)
        self.run_id = run
        self._head = Point(seq, digest)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def head(self) -> tuple[int, bytes]:
        """Number and hash of the last entry; (0, genesis) while there is none."""
        return self._head

    def rows(self, after: int = 0) -> Iterator[Row]:
        """Stored rows with a number greater than `after`, as they are.

        Raises:
            JournalError: the file cannot be read.
        """
        size = PAGE
        while True:
            try:
                found = self._page(after, size)
            except JournalError:
                if size == 1:
                    raise
                size = 1  # the damage lies within this page: come as close to it as one can
                continue
            yield from map(read_row, found)
            if len(found) < size:
                return
            if found[-1][0] <= after:  # a damaged tree can lead in circles
                raise JournalError(
                    f"{self.path}: entry {found[-1][0]} follows entry {after}; the file is "
                    "damaged, keep a copy and go on from a backup of it"
                )
            after = found[-1][0]

    def _page(self, after: int, size: int) -> list[tuple[int, object, object, object, object]]:
        with schema.explained(self.path, "reading"):
            page = self._database.execute(f"{SELECT} ORDER BY seq LIMIT ?", (after, size))
            return page.fetchall()

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """Entries with a number greater than `after`, in order; verify them first.

        Raises:
            JournalError: the file cannot be read, or holds a fact that this version does not know.
        """
        return map(to_entry, self.rows(after))

    def last(self) -> Entry | None:
        """The last entry, if there is one."""
        return next(self.entries(self._head.seq - 1), None) if self._head.seq else None

    def verify_from(self, seq: int = 1) -> Verified | Fault:
        """Follow the chain from entry `seq` to the head; from 1 nothing is taken on trust.

        From a later number the hash of the entry before is taken as it is stored.

        Raises:
            JournalError: the file cannot be read, or there is no entry `seq` - 1.
        """
        if seq <= 1:
            start = Point(0, genesis(self.run_id))
        else:
            before = next(self.rows(seq - 2), None)
            if before is None or before.seq != seq - 1 or before.flaw:
                raise JournalError(
                    f"{self.path} has no sound entry {seq - 1} to verify from; verify it from 1"
                )
            start = Point(before.seq, before.hash)
        return verify(self.rows(start.seq), start, self._head)

    def load_snapshot(self) -> tuple[int, bytes] | None:
        """The latest stored state whose digest a later entry binds: (number included, bytes).

        The binding is as good as the chain after it: `verify_from(number + 1)` says.

        Raises:
            JournalError: the file cannot be read.
        """
        with schema.explained(self.path, "reading the snapshots of"):
            stored = self._database.execute(
                "SELECT upto, sha256, data FROM snapshots ORDER BY upto DESC"
            ).fetchall()
        for upto, sha256, data in stored:
            if not isinstance(data, bytes) or hashlib.sha256(data).hexdigest() != sha256:
                continue
            if self._binds(Snapshot(upto=upto, sha256=sha256)):
                return upto, data
        return None

    def _binds(self, wanted: Snapshot) -> bool:
        marked = (row for row in self.rows(wanted.upto) if b'"Snapshot"' in row.payload)
        return any(decode(row.payload) == wanted for row in marked)

    def close(self) -> None:
        """Let go of the file; harmless when repeated."""
        self._database.close()


def to_entry(row: Row) -> Entry:
    """A stored row with its fact read.

    Raises:
        JournalError: the row is flawed, or its fact is of a kind that this version does not know.
    """
    if row.flaw:
        raise JournalError(f"entry {row.seq} cannot be read: {row.flaw}; verify the journal")
    try:
        fact = decode(row.payload)
    except JournalError as error:
        raise JournalError(f"entry {row.seq}: {error}") from error
    return Entry(seq=row.seq, at_ms=row.at_ms, wall_ms=row.wall_ms, fact=fact)


def head_row(database: sqlite3.Connection, path: Path) -> tuple[str, int, bytes]:
    """The run's identity, and number and hash of its last entry, as recorded beside the entries.

    Raises:
        JournalError: there is not exactly one such record.
    """
    match database.execute("SELECT run, seq, hash FROM head").fetchall():
        case [(str(run), int(seq), bytes(digest))] if seq >= 0:
            return run, seq, digest
        case rows:
            raise JournalError(
                f"{path}: {len(rows)} head records or values of a wrong type, expected one head. "
                "It was altered: go on from a sound backup"
            )
