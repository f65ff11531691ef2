"""How much may leave: per payment and per day, in each token's smallest unit (contract §11.9).

A day is the last 24 hours. Everything counts that has left or may have: paid, planned, and unknown;
what is owed to the unverified counts too, because it was promised. The check and the storing of a
payment happen without anything in between, so that two at once cannot both fit.
"""

import sqlite3
import time

from agent_runtime import amounts
from agent_runtime.intents.payplan import PolicyBlock
from agent_runtime.payments import Plan
from agent_runtime.settings import Settings

DAY_SECONDS = 24 * 3600.0

SCHEMA = """
CREATE INDEX IF NOT EXISTS payments_of_day ON payments (token, created_at, state, units);
"""


class Limits:
    """Sums over the payments table, which must exist."""

    def __init__(self, db: sqlite3.Connection, settings: Settings) -> None:
        self._db = db
        self._settings = settings
        db.executescript(SCHEMA)

    def spent(self, token: str) -> int:
        """Smallest units of a token that payments of the last 24 hours took."""
        # SQLite's integers end at 64 bits, a day of yoctoNEAR does not: two halves are summed.
        high, low = self._db.execute(
            "SELECT SUM(CAST(substr(units, 1, length(units) - 15) AS INTEGER)),"
            " SUM(CAST(substr(units, -15) AS INTEGER)) FROM payments"
            " WHERE token=? AND created_at > ? AND state IN ('planned','unknown','paid','review')",
            (token, time.time() - DAY_SECONDS),
        ).fetchone()
        return (high or 0) * 10**15 + (low or 0)

    def check(self, plan: Plan) -> None:
        """See that a payment fits in the day.

        Raises:
            PolicyBlock: it does not.
        """
        most = self._settings.limit_of(plan.token).day
        spent = self.spent(plan.token)
        if spent + plan.units > amounts.to_units(most, plan.decimals):
            left = max(0, amounts.to_units(most, plan.decimals) - spent)
            shown = amounts.to_text(left, plan.decimals)
            raise PolicyBlock([f"daily limit of {most} {plan.token}: {shown} is left for now"])
