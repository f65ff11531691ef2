"""Fundings on disk: stored before anything is asked of HOT, and when each is looked at next."""

import json
import sqlite3
import time
from collections.abc import Iterable
from typing import Any

from agent_runtime.funding.judge import Verdict
from agent_runtime.funding.model import Funding, FundingState, Wish
from agent_runtime.near.evidence import to_json

FIRST_SECONDS = 5.0
MOST_SECONDS = 3_600.0
KEPT_UP_SECONDS = 7 * 86_400.0
"""So long after it was asked for, a funding is looked at by itself; later only on a hint."""
HINT_GAP_SECONDS = 10.0
HINTS_MAX = 64

SCHEMA = """
CREATE TABLE IF NOT EXISTS fundings (
  id TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, token TEXT NOT NULL, contract TEXT NOT NULL,
  decimals INTEGER NOT NULL, units TEXT NOT NULL, account TEXT NOT NULL, state TEXT NOT NULL,
  item_id TEXT NOT NULL DEFAULT '', tx_hash TEXT NOT NULL DEFAULT '',
  detail TEXT NOT NULL DEFAULT '', evidence TEXT, created_at REAL NOT NULL,
  updated_at REAL NOT NULL, told_at REAL NOT NULL DEFAULT 0, looked_at REAL NOT NULL DEFAULT 0,
  looks INTEGER NOT NULL DEFAULT 0, due_at REAL
);
CREATE UNIQUE INDEX IF NOT EXISTS fundings_transaction ON fundings (tx_hash) WHERE tx_hash <> '';
CREATE UNIQUE INDEX IF NOT EXISTS fundings_item ON fundings (item_id) WHERE item_id <> '';
CREATE INDEX IF NOT EXISTS fundings_due ON fundings (due_at);
CREATE TABLE IF NOT EXISTS funding_hints (
  funding_id TEXT NOT NULL REFERENCES fundings (id), digest TEXT NOT NULL,
  PRIMARY KEY (funding_id, digest)
);
"""

_COLUMNS = (
    "id, token, contract, decimals, units, account, state, item_id, tx_hash, detail, evidence,"
    " created_at, updated_at, told_at, looked_at, looks"
)


class FundingBook:
    """The fundings table.

    Args:
        db: the ledger.
        made: the tables are there already; nothing is written then unless it is asked for.
    """

    def __init__(self, db: sqlite3.Connection, *, made: bool = False) -> None:
        self._db = db
        if not made:
            db.executescript(SCHEMA)

    def ask(self, funding_id: str, wish: Wish) -> Funding:
        """Store a new funding durably; the caller looked that the id is new.

        Raises:
            sqlite3.IntegrityError: this id is stored already.
        """
        now = time.time()
        with self._db:
            self._db.execute(
                "INSERT INTO fundings (id, fingerprint, token, contract, decimals, units, account,"
                " state, created_at, updated_at, due_at) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
                (
                    funding_id,
                    wish.print,
                    wish.token,
                    wish.contract,
                    wish.decimals,
                    str(wish.units),
                    wish.account,
                    FundingState.ASKED,
                    now,
                    now,
                    now,
                ),
            )
        return Funding(funding_id, wish, FundingState.ASKED, created_at=now, updated_at=now)

    def get(self, funding_id: str) -> Funding | None:
        """One funding."""
        found = self._fundings("id=?", funding_id)
        return found[0] if found else None

    def all(self, most: int) -> list[Funding]:
        """The newest fundings first."""
        return self._fundings("1 ORDER BY created_at DESC, id LIMIT ?", most)

    def due(self, most: int) -> list[Funding]:
        """Those to be looked at now, the longest due first."""
        return self._fundings("due_at <= ? ORDER BY due_at, id LIMIT ?", time.time(), most)

    def next_due(self) -> float | None:
        """When the next one is due, epoch seconds; None if none is."""
        found: float | None = self._db.execute("SELECT MIN(due_at) FROM fundings").fetchone()[0]
        return found

    def states(self) -> dict[str, int]:
        """How many are in each state; states without any are left out."""
        return dict(self._db.execute("SELECT state, COUNT(*) FROM fundings GROUP BY state"))

    def unsettled(self) -> int:
        """How many are looked at by themselves."""
        asked = "SELECT COUNT(*) FROM fundings WHERE due_at IS NOT NULL"
        return int(self._db.execute(asked).fetchone()[0])

    def holders(self, hashes: Iterable[str]) -> dict[str, str]:
        """The funding that each transaction belongs to, of those that belong to one."""
        asked = "SELECT id FROM fundings WHERE tx_hash=?"
        rows = ((one, self._db.execute(asked, (one,)).fetchone()) for one in hashes if one)
        return {one: row[0] for one, row in rows if row is not None}

    def at_item(self, item_id: str) -> str | None:
        """The funding that has an item."""
        row = self._db.execute("SELECT id FROM fundings WHERE item_id=?", (item_id,)).fetchone()
        return None if row is None else str(row[0])

    def change(
        self, funding: Funding, state: FundingState, detail: str, item_id: str = ""
    ) -> Funding:
        """Record where it stands, and its item once that is known."""
        item_id = item_id or funding.item_id
        self._write(funding, state, detail, item_id, funding.told_at)
        return self._again(funding)

    def postpone(self, funding_id: str) -> None:
        """Look at it later, however it stands by now."""
        found = self.get(funding_id)
        if found is not None:
            self.change(found, found.state, found.detail)

    def settle(self, funding: Funding, verdict: Verdict, *, told: bool) -> Funding:
        """Record a verdict; `told` if HOT says that it is settled.

        Raises:
            sqlite3.IntegrityError: the transaction belongs to another funding.
        """
        told_at = (funding.told_at or time.time()) if told else 0.0
        seen = verdict.evidence
        evidence = None if seen is None else json.dumps(to_json(seen))
        self._write(
            funding,
            verdict.state,
            verdict.detail,
            funding.item_id,
            told_at,
            "" if seen is None else seen.report.tx_hash,
            evidence,
        )
        return self._again(funding)

    def hint(self, funding: Funding, digest: str) -> bool:
        """Look soon; False if this very hint came before, or so many came that none counts.

        However many hints come, one funding is looked at every `HINT_GAP_SECONDS` at most.
        """
        with self._db:
            (known,) = self._db.execute(
                "SELECT COUNT(*) FROM funding_hints WHERE funding_id=?", (funding.id,)
            ).fetchone()
            if known >= HINTS_MAX:
                return False
            new = self._db.execute(
                "INSERT OR IGNORE INTO funding_hints VALUES (?,?)", (funding.id, digest)
            ).rowcount
        if new:
            self.hasten(funding)
        return bool(new)

    def hasten(self, funding: Funding) -> None:
        """Look soon, `HINT_GAP_SECONDS` after the last look or now; never at what has arrived."""
        soon = max(time.time(), funding.looked_at + HINT_GAP_SECONDS)
        with self._db:
            self._db.execute(
                "UPDATE fundings SET due_at=MIN(COALESCE(due_at, 1e300), ?)"
                " WHERE id=? AND state<>'arrived'",
                (soon, funding.id),
            )

    def _write(
        self,
        funding: Funding,
        state: FundingState,
        detail: str,
        item_id: str,
        told_at: float,
        tx_hash: str = "",
        evidence: str | None = None,
    ) -> None:
        now = time.time()
        same = (state, detail, item_id) == (funding.state, funding.detail, funding.item_id)
        looks = funding.looks + 1 if same else 0
        with self._db:
            self._db.execute(
                "UPDATE fundings SET state=?, detail=?, item_id=?, told_at=?, tx_hash=?,"
                " evidence=?, updated_at=?, looked_at=?, looks=?, due_at=?"
                " WHERE id=? AND state<>'arrived' AND (state='asked' OR ?<>'asked')",
                (
                    state,
                    detail,
                    item_id,
                    told_at,
                    tx_hash,
                    evidence,
                    funding.updated_at if same else now,
                    now,
                    looks,
                    _due_at(state, looks, now, funding.created_at),
                    funding.id,
                    state,  # what was ordered is never taken for what was not
                ),
            )

    def _again(self, funding: Funding) -> Funding:
        found = self.get(funding.id)
        assert found is not None  # noqa: S101 - fundings are never deleted
        return found

    def _fundings(self, where: str, *values: str | float) -> list[Funding]:
        rows = self._db.execute(f"SELECT {_COLUMNS} FROM fundings WHERE {where}", values)  # noqa: S608 - constants
        return [_funding(row) for row in rows]


def _due_at(state: FundingState, looks: int, now: float, created_at: float) -> float | None:
    """When to look next: ever more seldom, and by itself no more once it has ended or is old."""
    if state in {FundingState.ARRIVED, FundingState.CLOSED}:
        return None
    if now - created_at > KEPT_UP_SECONDS:
        return None
    return now + min(FIRST_SECONDS * 2.0 ** min(looks, 20), MOST_SECONDS)


def _funding(row: Any) -> Funding:
    funding_id, token, contract, decimals, units, account, state, *rest = row
    item_id, tx_hash, detail, evidence, created_at, updated_at, told_at, looked_at, looks = rest
    return Funding(
        funding_id,
        Wish(token, contract, decimals, int(units), account),
        FundingState(state),
        item_id,
        tx_hash,
        detail,
        None if evidence is None else json.loads(evidence),
        created_at,
        updated_at,
        told_at,
        looked_at,
        looks,
    )
