"""How fast the journal remembers, against what the disk allows, measured in the same minutes.

Two bare limits: `write`+`fsync` of records of the same size to a plain file, and rows of the same
size inserted into SQLite with the same durability but no chain and no guards. Rounds of all
contestants are interleaved, so that a slow moment of the disk falls on all alike; each row shows
the median of its rounds, the spread, and the ratio to the plain file where that is fair.
"""

import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from itertools import count
from pathlib import Path

from cutover.decision.fact import Fact
from cutover.evidence.observation import Readiness
from cutover.journal.chain import Fault
from cutover.journal.entry import encode
from cutover.journal.store import Journal

NAME = "journal"
BATCH = 32
FACT = Readiness("phala", 200, ready=True, health_ready=True, detail="answered within 12 ms")
PAYLOAD = encode(FACT)
RECORD_BYTES = len(PAYLOAD) + 32 + 24  # hash, number, two stamps

Round = Callable[[int], None]
"""Commits so many times."""


def run(quick: bool) -> dict[str, object]:
    """Measure; `quick` takes a few seconds."""
    rounds, commits = (3, 60) if quick else (9, 300)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        rows = []
        for size in (1, BATCH):
            rows += _appends(Path(folder) / str(size), size, rounds, commits)
        rows += _verification(Path(folder) / "long.db", 5_000 if quick else 50_000, rounds)
    return {"name": NAME, "rows": rows}


def _appends(folder: Path, size: int, rounds: int, commits: int) -> list[dict[str, object]]:
    folder.mkdir()
    descriptor = os.open(folder / "plain", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    journal = Journal.open(folder / "journal.db", "benchmark")
    with closing(_bare_database(folder / "bare.db")) as database:
        contestants = {
            "write and fsync, plain file": _plain_file(descriptor, size),
            "insert, SQLite without a chain": _bare_inserts(database, size),
            "append": _appended(journal, [FACT] * size),
        }
        seen = _interleaved(contestants, rounds, commits)
    journal.close()
    os.close(descriptor)
    limit = statistics.median(seen["write and fsync, plain file"])
    unit = "commits/s" if size == 1 else f"commits/s of {size} facts"
    return [_row(name, unit, rates, limit) for name, rates in seen.items()]


def _plain_file(descriptor: int, size: int) -> Round:
    record = b"x" * RECORD_BYTES * size

    def commit(times: int) -> None:
        for _ in range(times):
            os.write(descriptor, record)
            os.fsync(descriptor)

    return commit


def _bare_database(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute(
        "CREATE TABLE entries (seq INTEGER PRIMARY KEY, at_ms, wall_ms, payload, hash)"
    )
    return database


def _bare_inserts(database: sqlite3.Connection, size: int) -> Round:
    numbers = count(1)

    def commit(times: int) -> None:
        for _ in range(times):
            database.execute("BEGIN IMMEDIATE")
            database.executemany(
                "INSERT INTO entries VALUES (?, ?, ?, ?, ?)",
                ((next(numbers), 1, 1, PAYLOAD, b"x" * 32) for _ in range(size)),
            )
            database.execute("COMMIT")

    return commit


def _appended(journal: Journal, facts: list[Fact]) -> Round:
    def commit(times: int) -> None:
        for _ in range(times):
            journal.append(facts, at_ms=1, wall_ms=1)

    return commit


def _interleaved(
    contestants: dict[str, Round], rounds: int, commits: int
) -> dict[str, list[float]]:
    seen: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, commit in contestants.items():
            began = time.perf_counter()
            commit(commits)
            if number:  # the first round warms up
                seen[name].append(commits / (time.perf_counter() - began))
    return seen


def _verification(path: Path, entries: int, rounds: int) -> list[dict[str, object]]:
    """The whole chain from the first entry: what a start costs, and `cutover verify-log`."""
    journal = Journal.open(path, "benchmark")
    for _ in range(entries // 1000):
        journal.append([FACT] * 1000, at_ms=1, wall_ms=1)
    journal.close()
    verified, read = [], []
    with Journal.open_read_only(path) as reader:
        for _ in range(rounds):
            began = time.perf_counter()
            found = reader.verify_from(1)
            verified.append(entries / (time.perf_counter() - began))
            assert not isinstance(found, Fault), found
            began = time.perf_counter()
            assert sum(1 for _ in reader.entries()) == entries
            read.append(entries / (time.perf_counter() - began))
    return [
        _row("verify the chain", "entries/s", verified, None),
        _row("read back as facts", "entries/s", read, None),
    ]


def _row(name: str, unit: str, rates: list[float], limit: float | None) -> dict[str, object]:
    value = statistics.median(rates)
    return {
        "name": name,
        "value": round(value, 1),
        "unit": unit,
        "ratio": None if limit is None else round(value / limit, 3),
        "min": round(min(rates), 1),
        "max": round(max(rates), 1),
    }


if __name__ == "__main__":
    for line in run(quick=True).items():
        print(line)
