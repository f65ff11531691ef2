"""What is forgotten, and when: the store does not grow with running time, only with money moved.

Rules
- What tells of money is kept for ever: payments and all that belongs to them, and the answer of a
  key that made one, so that the key finds its payment whenever it comes again.
- Everything else has an age and a number of rows after which it is forgotten.
- A clock that jumps ahead makes nothing old; the time is the start's, and what has passed since.
- A table is walked in slices, and requests are answered between two of them.
"""

import asyncio
import sqlite3
import time
from dataclasses import dataclass

from agent_runtime.log import logger
from agent_runtime.requests import payment_id_for

DAY = 86_400.0
EVERY_SECONDS = 3_600.0
SLICE_ROWS = 2_000


@dataclass(frozen=True)
class Rule:
    """When rows of a table are forgotten.

    Attributes:
        column: an epoch time in seconds.
        seconds: that it may be past.
        rows: of the newest so many none is surplus; those before them are, whatever their age.
        only: SQL that holds for rows that may be forgotten; knows `:old`.
    """

    table: str
    column: str
    seconds: float
    rows: int
    only: str = "1"


WITHOUT_PAYMENT = (
    "(answer IS NOT NULL OR created_at < :old)"  # who has no answer is being answered right now
    " AND COALESCE(json_extract(answer, '$.payment_id'), '') = ''"
    " AND NOT EXISTS (SELECT 1 FROM payments WHERE id = payment_of(key))"
)
RULES = (
    Rule("plans", "created_at", 30 * DAY, 1_000_000),
    Rule("plans", "expires_at", DAY, 10_000, "state NOT IN ('begun', 'done')"),
    Rule("proofs", "expires_at", 0.0, 10_000),
    Rule("webhook_events", "received_at", 30 * DAY, 100_000),
    Rule("casts", "received_at", 30 * DAY, 100_000, "state <> 'open'"),
)
"""Beside that of requests, whose age is a setting."""
KEPT = {
    "payments legs transactions evidence claims redemptions orders receipts": "what was paid",
    "fundings funding_hints": "what was collected",
    "bound_payments fenced_keys ledger_imports handover_seal": "who may pay what",
    "people split_people": "whose wallet is whose; a row costs a proof, or a transaction",
    "modes": "somebody's caution; `modes.AUTHORS_MAX` rows",
    "pulse": "one row",
}
"""Tables that nothing is forgotten of, and why."""


class Housekeeper:
    """Forgets what nobody needs any more.

    Args:
        db: the store, with all its tables.
        replies_days: how long the answer of a key without payment is kept.
    """

    def __init__(self, db: sqlite3.Connection, replies_days: int) -> None:
        self._db = db
        db.create_function("payment_of", 1, payment_id_for, deterministic=True)
        replies = Rule("requests", "created_at", replies_days * DAY, 100_000, WITHOUT_PAYMENT)
        self.rules = (replies, *RULES)
        self._started = (time.time(), time.monotonic())

    async def keep_sweeping(self) -> None:
        """Sweep now and every hour, until cancelled."""
        while True:
            try:
                await self.sweep()
            except Exception:  # noqa: BLE001 - the store may be busy or full; the next round must come
                logger().exception("sweeping_broke")
            await asyncio.sleep(EVERY_SECONDS)

    async def sweep(self) -> int:
        """Forget everything that is due; how many rows that were."""
        forgotten = 0
        for rule in self.rules:
            forgotten += await self._apply(rule)
        if forgotten:
            logger().info("forgotten", rows=forgotten)
        return forgotten

    async def _apply(self, rule: Rule) -> int:
        first, last = self._db.execute(
            f"SELECT min(rowid), max(rowid) FROM {rule.table}"  # noqa: S608 - a constant of this file
        ).fetchone()
        if first is None:
            return 0
        statement = (
            f"DELETE FROM {rule.table} WHERE rowid BETWEEN :first AND :last"  # noqa: S608 - likewise
            f" AND ({rule.column} < :old OR rowid <= :surplus) AND {rule.only}"
        )
        bounds = {"old": self._now() - rule.seconds, "surplus": last - rule.rows}
        forgotten = 0
        for begin in range(first, last + 1, SLICE_ROWS):
            here = {"first": begin, "last": begin + SLICE_ROWS - 1, **bounds}
            with self._db:
                forgotten += self._db.execute(statement, here).rowcount
            await asyncio.sleep(0)
        return forgotten

    def _now(self) -> float:
        """Epoch seconds, of a clock that was not set ahead since the start."""
        wall, steady = self._started
        return min(time.time(), wall + time.monotonic() - steady)
