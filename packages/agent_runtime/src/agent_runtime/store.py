"""The one SQLite file behind payments, transactions, idempotency keys and webhook events.

One process may use it at a time. A second one would take the first one's payments for abandoned
ones, since what is being worked on right now is known in memory only.
"""

import fcntl
import os
import sqlite3
from pathlib import Path
from typing import Self

from agent_runtime.handover.seal import sealed_at
from agent_runtime.migrations import migrate


class Store(sqlite3.Connection):
    """The open file, and the lock that keeps other processes away from it."""

    lock: "StoreLock | None" = None

    def close(self) -> None:
        """Close the file, and only then let others have it."""
        super().close()
        if self.lock is not None:
            self.lock.release()


class StoreHeldError(OSError):
    """Another process, or another part of this one, uses the file."""


class StoreSealedError(OSError):
    """The file was handed over: nothing may be planned or signed from it."""


class StoreLock:
    """An exclusive lock on `<file>.lock`: the system releases it when its holder dies.

    The lock's file stays, holding the pid of whoever had it last: a file that is taken away and
    made anew could be locked twice.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: str) -> Self:
        """Lock, without waiting.

        Raises:
            StoreHeldError: somebody has it; the text names the pid.
            OSError: the lock's file cannot be made.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            held = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise StoreHeldError(
                f"process {held} uses it (it holds {path}), and only one may; stop that one first"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        return cls(descriptor)

    def release(self) -> None:
        """Let others have it; a second call changes nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def open_store(path: str, *, sealed_too: bool = False) -> Store:
    """Open or make the file: ours alone, WAL, and every commit on the disk before it returns.

    Args:
        path: the file.
        sealed_too: open it even if it was handed over to another plane.

    Raises:
        OSError: its directory cannot be made, another process uses the file, or it was handed over.
        sqlite3.Error: the file is no database, cannot be written, or is a newer build's.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    lock = StoreLock.take(f"{Path(path).resolve()}.lock")
    try:
        db = sqlite3.connect(path, timeout=5.0, factory=Store)
        db.lock = lock
    except sqlite3.Error:
        lock.release()
        raise
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        migrate(db)
        db.execute("PRAGMA foreign_keys=ON")
        if not sealed_too:
            _refuse_sealed(db)
    except (sqlite3.Error, StoreSealedError):
        db.close()
        raise
    return db


def _refuse_sealed(db: Store) -> None:
    if sealed_at(db) is not None:
        raise StoreSealedError(
            "it was handed over to another plane; use a new file, or take the hand-over back:"
            " agent-runtime ledger reopen"
        )
