"""The journal on disk: appended by one conductor, read by anybody.

`append` is the only way in, and returns when the entries have reached the disk; nothing may be
obeyed before. The place in the chain is held in memory and moves only after a commit, so a full
disk leaves the journal where it was. State is the fold of `entries`; a snapshot shortens the fold
and counts only if its digest is in the chain.
"""

import hashlib
import os
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, Self

from cutover.crashpoint import crashpoint
from cutover.decision.fact import Entry, Fact
from cutover.errors import JournalError
from cutover.journal import schema
from cutover.journal.chain import INTEGER_MAX, Point, Row, genesis, link, read_row
from cutover.journal.entry import encode
from cutover.journal.reader import SELECT, Reader, head_row

SNAPSHOTS_KEPT: Final = 2
"""The last one, and the one before in case the last was not bound when the process died."""


class Journal(Reader):
    """The one writer's journal; make it with `Journal.open`."""

    def __init__(self, database: sqlite3.Connection, path: Path, held: int) -> None:
        super().__init__(database, path)
        self._held = held
        self._turn = threading.Lock()
        self._doubt = ""
        self._at_ms = self._check_tail()

    @classmethod
    def open(cls, path: Path, run_id: str | None) -> Self:
        """Open for writing; one at a time, whoever comes second is refused.

        Only the tail is checked here: call `verify_from` before believing the rest.

        Args:
            path: of the file.
            run_id: create the journal for this run if there is none; an existing one must be of
                this run. None: there must be one, of whatever run.

        Raises:
            JournalError: held by another, not a journal, of another run or version, or unreadable.
        """
        path = path.resolve()
        with schema.explained(path, "opening"):
            if run_id is None and not path.exists():
                raise JournalError(f"{path} does not exist; begin a run with `cutover run RUNBOOK`")
            held = schema.lock(path)
            try:
                return cls._open_held(path, run_id, held)
            except BaseException:
                os.close(held)
                raise

    @classmethod
    def _open_held(cls, path: Path, run_id: str | None, held: int) -> Self:
        if not path.exists():
            schema.make_file(path)
        database = schema.connect(path)
        try:
            if run_id is not None and schema.is_empty(database):
                schema.create(database, run_id)
            schema.check(database, path, guarded=True)
            journal = cls(database, path, held)
            journal._check_run(run_id)
            database.execute(f"PRAGMA busy_timeout = {schema.WRITER_BUSY_MS}")
        except BaseException:
            database.close()
            raise
        return journal

    def _check_run(self, run_id: str | None) -> None:
        if run_id not in (None, self.run_id):
            raise JournalError(
                f"{self.path} belongs to run {self.run_id}, not {run_id}; give the new run a "
                "journal of its own"
            )

    @staticmethod
    def open_read_only(path: Path) -> Reader:
        """Open as it stands now, live or copied, without writing anything beside it.

        Raises:
            JournalError: there is no such file, or it is no journal that we can read.
        """
        path = path.resolve()
        if not path.is_file():
            raise JournalError(f"{path} is no file; give the journal.db of a run")
        with schema.explained(path, "opening"):
            database = schema.connect_read_only(path)
            try:
                database.execute("BEGIN")
                schema.check(database, path, guarded=False)
                return Reader(database, path)
            except BaseException:
                database.close()
                raise

    def append(self, facts: Sequence[Fact], at_ms: int, wall_ms: int) -> list[Entry]:
        """Record facts, all or none, in one commit; returns when they have reached the disk.

        Args:
            facts: in order; they share the stamps.
            at_ms: observed milliseconds of the run; never less than the last entry's.
            wall_ms: milliseconds since the epoch, for people.

        Raises:
            BusyError: another program holds the file just now; nothing was recorded.
            JournalError: the stamp goes back, a fact cannot be written, or the disk refused; then
                nothing was recorded and the journal stands where it stood.
        """
        with self._turn:
            self._check_stamps(at_ms, wall_ms)
            entries, rows, head = self._chained(facts, at_ms, wall_ms)
            if rows:
                self._commit(rows, head)
                self._head, self._at_ms = head, at_ms
            return entries

    def _check_stamps(self, at_ms: int, wall_ms: int) -> None:
        if self._doubt:
            raise JournalError(self._doubt)
        if not self._at_ms <= at_ms <= INTEGER_MAX or abs(wall_ms) > INTEGER_MAX:
            raise JournalError(
                f"{self.path}: stamps {at_ms} (observed) and {wall_ms} (wall) after entry "
                f"{self._head.seq} at {self._at_ms}; observed time never goes back. Continue the "
                "clock from the last entry"
            )

    def _chained(
        self, facts: Sequence[Fact], at_ms: int, wall_ms: int
    ) -> tuple[list[Entry], list[Row], Point]:
        entries, rows, at = [], [], self._head
        for fact in facts:
            payload, seq = encode(fact), at.seq + 1
            at = Point(seq, link(at.hash, seq, at_ms, wall_ms, payload))
            rows.append(Row(seq, at_ms, wall_ms, payload, at.hash))
            entries.append(Entry(seq=seq, at_ms=at_ms, wall_ms=wall_ms, fact=fact))
        return entries, rows, at

    def _commit(self, rows: list[Row], head: Point) -> None:
        with schema.explained(self.path, f"recording entry {rows[0].seq} in"):
            try:
                self._database.execute("BEGIN IMMEDIATE")
                self._database.executemany(
                    "INSERT INTO entries VALUES (?, ?, ?, ?, ?)", (row[:5] for row in rows)
                )
                self._database.execute("UPDATE head SET seq = ?, hash = ?", head)
                crashpoint("journal.commit.before")
                self._database.execute("COMMIT")
                crashpoint("journal.commit.after")
            except BaseException:
                self._undo()
                raise

    def _undo(self) -> None:
        """After a failed commit: be certain where the journal stands, or write no more."""
        try:
            self._database.rollback()
            stands = head_row(self._database, self.path)[1:]
        except (sqlite3.Error, JournalError) as error:
            stands = None
            self._doubt = f"{self.path}: after a failed write it cannot be read ({error})"
        if stands is not None and stands != self._head:
            self._doubt = f"{self.path}: a write that was reported as failed is in the file"
        if self._doubt:
            self._doubt += "; start the conductor again, it will verify what is there"

    def _check_tail(self) -> int:
        """Compare head and last entry; returns the last observed stamp, 0 for none."""
        with schema.explained(self.path, "reading"), closing(self._database.cursor()) as cursor:
            found = cursor.execute(f"{SELECT} ORDER BY seq DESC LIMIT 1", (0,)).fetchone()
        row = read_row(found) if found else None
        tail = Point(row.seq, row.hash) if row else Point(0, genesis(self.run_id))
        if tail != self._head or (row and row.flaw):
            raise JournalError(
                f"{self.path} ends with entry {tail.seq} ({tail.hash.hex()[:16]}…), but its head "
                f"says {self._head.seq} ({self._head.hash.hex()[:16]}…); it was altered. "
                "`cutover verify-log` names the first bad entry; go on from a sound backup"
            )
        return row.at_ms if row else 0

    def save_snapshot(self, upto: int, data: bytes) -> str:
        """Store a state that includes entry `upto`; append the digest as a `Snapshot` to bind it.

        Returns:
            SHA-256 of `data` in hex.

        Raises:
            JournalError: no such entry, too large, or the disk refused.
        """
        if not 0 < upto <= self._head.seq or len(data) > schema.SNAPSHOT_BYTES_MAX:
            raise JournalError(
                f"{self.path}: a snapshot of {len(data)} bytes up to entry {upto}; expected at "
                f"most {schema.SNAPSHOT_BYTES_MAX} bytes and an entry from 1 to {self._head.seq}"
            )
        digest = hashlib.sha256(data).hexdigest()
        keep = "SELECT upto FROM snapshots ORDER BY upto DESC LIMIT ?"
        with self._turn, schema.explained(self.path, "storing a snapshot in"):
            try:
                self._database.execute("BEGIN IMMEDIATE")
                self._database.execute(
                    "INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?)", (upto, digest, data)
                )
                self._database.execute(
                    f"DELETE FROM snapshots WHERE upto NOT IN ({keep})",  # noqa: S608 - no input
                    (SNAPSHOTS_KEPT,),
                )
                self._database.execute("COMMIT")
            except BaseException:
                self._undo()
                raise
        return digest

    def close(self) -> None:
        """Fold the write-ahead log into the file and let the next writer in."""
        if self._held < 0:
            return
        with self._turn:
            try:
                with schema.explained(self.path, "closing"):
                    self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                self._database.close()
                os.close(self._held)
                self._held = -1
