"""Journals to test with: made once, copied, then altered behind the store's back."""

import hashlib
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from cutover.decision.fact import Fact
from cutover.decision.kinds import (
    Complete,
    Hold,
    OpenStage,
    Reason,
    Returned,
    RollBack,
)
from cutover.evidence.observation import (
    Adopted,
    CanaryRound,
    CanaryVerdict,
    PostCheckSeen,
    Readiness,
    Reference,
    Started,
)
from cutover.journal.chain import Row
from cutover.journal.lines import write_lines
from cutover.journal.store import Journal
from cutover.runbook.gate import PostCheckName

RUN = "run-1"
RUNBOOK = 'name = "a runbook"\n'
SOAKING = Reason("soaking", "seen 3 of 120 minutes")
TRIGGERS = ("entries_no_update", "entries_no_delete", "entries_in_order")


def canary(ok: bool) -> CanaryRound:
    failed = () if ok else ("github",)
    return CanaryRound(
        scheduled=True,
        verdicts=(
            CanaryVerdict("hetzner", ok=True, failed=(), detail=""),
            CanaryVerdict("phala", ok=ok, failed=failed, detail="404 from the sandbox"),
        ),
    )


def story() -> list[Fact]:
    """A run that goes forward, back once, forward again and ends; 14 facts."""
    checked = {"upstream": "phala"}
    return [
        Adopted(RUN, RUNBOOK, hashlib.sha256(RUNBOOK.encode()).hexdigest(), {"cutover": "0.1.0"}),
        Started(term=1, boot="b1", downtime_ms=0),
        Readiness("phala", 200, ready=True, health_ready=True, detail="ok"),
        canary(ok=True),
        OpenStage("canary", (Reason("gates_open", "all four"),), (3, 4)),
        canary(ok=False),
        canary(ok=False),
        RollBack("canary_failed_in_a_row", (Reason("two", "two in a row, at most one"),), (6, 7)),
        Returned((Reason("split", "observed 100 % hetzner"),), (8,)),
        Hold((SOAKING,)),
        Reference(ok=True, detail="grüße\n\u2028"),
        canary(ok=True),
        PostCheckSeen(PostCheckName.UPSTREAM_AND_KEYS, ok=True, reasons=(), evidence=checked),
        Complete((Reason("all", "every clause"),), (13,)),
    ]


def record(path: Path, facts: list[Fact] | None = None) -> Path:
    """A closed journal with each fact in an append of its own."""
    journal = Journal.open(path, RUN)
    for number, fact in enumerate(story() if facts is None else facts):
        journal.append([fact], at_ms=number * 1000, wall_ms=1_700_000_000_000 - number)
    journal.close()
    return path


def copy_of(source: Path, target: Path) -> Path:
    shutil.copy(source, target)
    return target


def unguarded(path: Path) -> sqlite3.Connection:
    """A connection as somebody with the file in hand has it: the triggers are gone."""
    database = sqlite3.connect(path, isolation_level=None)
    for name in TRIGGERS:
        database.execute(f"DROP TRIGGER IF EXISTS {name}")
    return database


def alter(path: Path, statement: str, *values: object) -> None:
    with closing(unguarded(path)) as database:
        database.execute(statement, values)


def replace_rows(path: Path, rows: list[Row]) -> None:
    """Put other rows in place of all, numbered as they say."""
    with closing(unguarded(path)) as database:
        database.execute("BEGIN")
        database.execute("DELETE FROM entries")
        database.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", [r[:5] for r in rows])
        database.execute("COMMIT")


def stored_rows(path: Path) -> list[Row]:
    with Journal.open_read_only(path) as reader:
        return list(reader.rows())


def export(path: Path, target: Path) -> Path:
    """The journal as text."""
    with Journal.open_read_only(path) as reader, target.open("wb") as stream:
        stream.writelines(write_lines(reader.rows(), reader.run_id, reader._head))
    return target
