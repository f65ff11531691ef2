"""Payments that another plane planned: whose key could still sign them, and whether it is fenced.

A payment that came in unpaid is bound to the exporting plane's signer key. This plane looks its
transactions up and may find it paid. It says "failed", and signs it anew, only once that key is
known to be off the account: until then the other machine could do the same.
"""

import json
import sqlite3
import time
from collections.abc import Mapping
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS bound_payments (
  payment_id TEXT NOT NULL REFERENCES payments (id), public_key TEXT NOT NULL,
  account TEXT NOT NULL, plane TEXT NOT NULL, PRIMARY KEY (payment_id, public_key)
);
CREATE TABLE IF NOT EXISTS fenced_keys (
  public_key TEXT NOT NULL, account TEXT NOT NULL, tx_hash TEXT NOT NULL, releases INTEGER NOT NULL,
  proof TEXT NOT NULL, fenced_at REAL NOT NULL, PRIMARY KEY (public_key, account)
);
CREATE TABLE IF NOT EXISTS ledger_imports (
  digest TEXT PRIMARY KEY, plane TEXT NOT NULL, public_key TEXT NOT NULL, imported_at REAL NOT NULL
);
"""


class Bonds:
    """The tables of bound payments and fenced keys."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        db.executescript(SCHEMA)

    def holder(self, payment_id: str) -> str:
        """Who could still sign a payment, in words; empty if only this plane can."""
        row = self._db.execute(
            "SELECT b.plane, b.public_key FROM bound_payments b LEFT JOIN fenced_keys f"
            " ON f.public_key = b.public_key AND f.account = b.account AND f.releases = 1"
            " WHERE b.payment_id = ? AND f.public_key IS NULL ORDER BY b.public_key LIMIT 1",
            (payment_id,),
        ).fetchone()
        if row is None:
            return ""
        return f"plane {row[0]} planned it, and its key {row[1]} is not fenced yet"

    def count(self, public_key: str) -> int:
        """How many payments are bound to a key."""
        asked = "SELECT COUNT(*) FROM bound_payments WHERE public_key=?"
        return int(self._db.execute(asked, (public_key,)).fetchone()[0])

    def was_imported(self, public_key: str) -> bool:
        """Whether the sealed ledger of a key's plane was taken in here."""
        asked = "SELECT 1 FROM ledger_imports WHERE public_key=?"
        return self._db.execute(asked, (public_key,)).fetchone() is not None

    def proof(self, public_key: str, account: str) -> dict[str, Any] | None:
        """What proves that a key is fenced, as `record` stored it."""
        row = self._db.execute(
            "SELECT proof FROM fenced_keys WHERE public_key=? AND account=?", (public_key, account)
        ).fetchone()
        return None if row is None else dict(json.loads(row[0]))

    def record(
        self, public_key: str, account: str, proof: Mapping[str, Any], *, releases: bool
    ) -> None:
        """Record that a key is off the account; what was recorded first stays.

        Args:
            public_key: `ed25519:...`.
            account: where it was.
            proof: JSON; `tx_hash` names the transaction that took it off, or is empty.
            releases: this ledger knows all that the key signed, so what is bound to it is free.
        """
        told = (public_key, account, proof["tx_hash"], releases, json.dumps(proof), time.time())
        with self._db:
            self._db.execute("INSERT OR IGNORE INTO fenced_keys VALUES (?,?,?,?,?,?)", told)

    def release(self, public_key: str, account: str, proof: Mapping[str, Any]) -> None:
        """Free what is bound to a key that was fenced before its ledger was known."""
        with self._db:
            self._db.execute(
                "UPDATE fenced_keys SET releases=1, proof=? WHERE public_key=? AND account=?",
                (json.dumps(proof), public_key, account),
            )
