"""Plans on disk: what was proposed to whom, until when, and what became of it (contract §5).

A plan is proposed once and carried out at most once. Its id is the id of the payment it makes, so
that the payment ledger itself refuses a second one. Who has an own name has one waiting plan at a
time; a new one takes the place of the old. Where many share a name every plan stands alone and only
its id leads to it.
"""

import json
import secrets
import sqlite3
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from agent_runtime.modes import Caller

KEPT_SECONDS = 30 * 24 * 3600.0
DROPPED_SECONDS = 24 * 3600.0
"""How long a plan that nobody approved is remembered after its end: anybody can ask for many."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS plans (
  id TEXT PRIMARY KEY, channel TEXT NOT NULL, author TEXT NOT NULL, intent TEXT NOT NULL,
  command TEXT NOT NULL, proposal TEXT NOT NULL, state TEXT NOT NULL,
  created_at REAL NOT NULL, expires_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS plans_waiting ON plans (channel, author, state);
"""


class PlanState(StrEnum):
    """WAITING for a word; BEGUN once approved; the others are the end."""

    WAITING = "waiting"
    BEGUN = "begun"
    DONE = "done"
    CANCELLED = "cancelled"
    REPLACED = "replaced"


@dataclass(frozen=True)
class StoredPlan:
    """One plan.

    Attributes:
        id: `plan-` and ten hex digits.
        intent: `pay`, `create` or `redeem`.
        command: the text that asked for it, or the login whose claims it redeems.
        proposal: what was shown, to be compared with what would be done at approval.
        expires_at: epoch seconds.
    """

    id: str
    caller: Caller
    intent: str
    command: str
    proposal: Any
    state: PlanState
    expires_at: float

    @property
    def expired(self) -> bool:
        """Whether its time is over."""
        return time.time() >= self.expires_at


class PlanStore:
    """The plans table.

    Args:
        db: the store.
        lasts_seconds: how long a plan may be approved.
    """

    def __init__(self, db: sqlite3.Connection, lasts_seconds: float) -> None:
        self._db = db
        self._lasts_seconds = lasts_seconds
        db.executescript(SCHEMA)

    def add(self, caller: Caller, intent: str, command: str, proposal: Any) -> StoredPlan:
        """Store a new plan durably; it replaces the one that this caller had waiting."""
        now = time.time()
        plan = StoredPlan(
            new_id(),
            Caller(caller.channel, caller.author),
            intent,
            command,
            proposal,
            PlanState.WAITING,
            now + self._lasts_seconds,
        )
        with self._db:
            self._db.execute(
                "DELETE FROM plans WHERE created_at < ? OR (expires_at < ? AND state NOT IN (?,?))",
                (now - KEPT_SECONDS, now - DROPPED_SECONDS, PlanState.BEGUN, PlanState.DONE),
            )
            if not caller.shared:
                self._db.execute(
                    "UPDATE plans SET state=? WHERE channel=? AND author=? AND state=?",
                    (PlanState.REPLACED, caller.channel, caller.author, PlanState.WAITING),
                )
            self._db.execute(
                "INSERT INTO plans VALUES (?,?,?,?,?,?,?,?,?)",
                (
                    plan.id,
                    caller.channel,
                    caller.author,
                    intent,
                    command,
                    json.dumps(proposal),
                    plan.state,
                    now,
                    plan.expires_at,
                ),
            )
        return plan

    def find(self, caller: Caller, plan_id: str) -> StoredPlan | None:
        """A plan of this caller by its id; nobody else's."""
        return self._one("id=? AND channel=? AND author=?", plan_id, caller.channel, caller.author)

    def waiting(self, caller: Caller) -> StoredPlan | None:
        """The plan that waits for this caller's word; None where many share a name."""
        if caller.shared:
            return None
        return self._one(
            "channel=? AND author=? AND state=? ORDER BY created_at DESC",
            caller.channel,
            caller.author,
            PlanState.WAITING,
        )

    def begun(self, caller: Caller) -> StoredPlan | None:
        """The newest plan that is being carried out for this caller, or was when a process died."""
        return self._one(
            "channel=? AND author=? AND state=? ORDER BY created_at DESC",
            caller.channel,
            caller.author,
            PlanState.BEGUN,
        )

    def release(self, plan: StoredPlan) -> None:
        """Let a plan that was begun wait again, unless a newer one has taken its place meanwhile.

        Without that, a repeated `approve` without an id could reach it after the newer one is done.
        """
        caller = plan.caller
        newer = self._db.execute(
            "SELECT 1 FROM plans WHERE channel=? AND author=?"
            " AND rowid > (SELECT rowid FROM plans WHERE id=?)",
            (caller.channel, caller.author, plan.id),
        ).fetchone()
        replaced = newer is not None and not caller.shared
        self.mark(plan, PlanState.REPLACED if replaced else PlanState.WAITING)

    def mark(self, plan: StoredPlan, state: PlanState) -> None:
        """Record durably what became of a plan."""
        with self._db:
            self._db.execute("UPDATE plans SET state=? WHERE id=?", (state, plan.id))

    def _one(self, where: str, *values: str) -> StoredPlan | None:
        row = self._db.execute(
            "SELECT id, channel, author, intent, command, proposal, state, expires_at"  # noqa: S608 - constants
            f" FROM plans WHERE {where}",
            values,
        ).fetchone()
        if row is None:
            return None
        return StoredPlan(
            row[0],
            Caller(row[1], row[2]),
            row[3],
            row[4],
            json.loads(row[5]),
            PlanState(row[6]),
            row[7],
        )


def new_id() -> str:
    """An id that nobody can guess: `plan-` and ten hex digits."""
    return f"plan-{secrets.token_hex(5)}"
