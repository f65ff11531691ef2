"""Bringing a ledger of an older build up to this one's tables, all of it or nothing.

The number is SQLite's `user_version`. A ledger of a newer build is refused: what this one does not
know of, it could do a second time.
"""

import json
import sqlite3

VERSION = 2


def migrate(db: sqlite3.Connection) -> None:
    """Bring the file to `VERSION`; a new file only gets the number.

    Raises:
        sqlite3.DatabaseError: a newer build made it, or it cannot be changed.
    """
    found = int(db.execute("PRAGMA user_version").fetchone()[0])
    if found > VERSION:
        raise sqlite3.DatabaseError(
            f"a newer build made it: its tables are version {found}, this build knows {VERSION};"
            " run the newer build"
        )
    if found == VERSION:
        return
    db.execute("BEGIN IMMEDIATE")
    with db:
        if found < 1 and _has(db, "transactions") and _has(db, "payments"):
            _keep_legs_and_attempts_apart(db)
        if _has(db, "payments"):
            _name_the_rail(db)
        db.execute(f"PRAGMA user_version={VERSION}")


def _has(db: sqlite3.Connection, table: str) -> bool:
    asked = "SELECT 1 FROM sqlite_master WHERE type='table' AND name=?"
    return db.execute(asked, (table,)).fetchone() is not None


def _keep_legs_and_attempts_apart(db: sqlite3.Connection) -> None:
    """0 to 1: attempts know their leg and receiver, legs are rows, a nonce may have a fence.

    What has ended on chain, while its payment does not know it yet, was stored without evidence: it
    is opened again, so that the chain is asked for it.
    """
    db.create_function("receiver_of", 1, _receiver_of, deterministic=True)
    for statement in _TO_1:
        db.execute(statement)
    rows = db.execute(
        "SELECT p.id, p.plan, t.receiver FROM payments p JOIN transactions t ON t.owner = p.id"
    ).fetchall()
    for payment_id, plan, receiver in rows:
        found = json.loads(plan)
        wrap = int(found["token"] == "NEAR")  # noqa: S105 - a token's symbol
        transfers = [[share["account"], share["units"]] for share in found["paid"]]
        db.execute(
            "INSERT OR IGNORE INTO legs VALUES (?, 1, ?, ?, ?)",
            (payment_id, receiver, wrap, json.dumps(transfers)),
        )


def _name_the_rail(db: sqlite3.Connection) -> None:
    """1 to 2: a payment says what it leaves by; until then there was one way."""
    db.execute("ALTER TABLE payments ADD COLUMN rail TEXT NOT NULL DEFAULT 'near'")


_TO_1 = (
    "DROP INDEX IF EXISTS transactions_owner",
    "DROP INDEX IF EXISTS transactions_state",
    "ALTER TABLE transactions RENAME TO transactions_0",
    """CREATE TABLE transactions (
  tx_hash TEXT PRIMARY KEY, owner TEXT NOT NULL, leg INTEGER NOT NULL DEFAULT 1,
  purpose TEXT NOT NULL, fences TEXT NOT NULL DEFAULT '',
  signer TEXT NOT NULL, public_key TEXT NOT NULL, nonce INTEGER NOT NULL,
  receiver TEXT NOT NULL, block_hash TEXT NOT NULL, block_height INTEGER NOT NULL,
  signed_bytes BLOB NOT NULL, state TEXT NOT NULL, detail TEXT NOT NULL DEFAULT '',
  included_in TEXT NOT NULL DEFAULT '', created_at REAL NOT NULL, updated_at REAL NOT NULL
)""",
    """INSERT INTO transactions SELECT tx_hash, owner, 1, purpose, '', signer, public_key, nonce,
  receiver_of(signed_bytes), block_hash, block_height, signed_bytes, state, detail,
  included_in, created_at, updated_at FROM transactions_0""",
    "DROP TABLE transactions_0",
    """UPDATE transactions SET state='unknown' WHERE state IN ('landed','reverted') AND owner IN
  (SELECT id FROM payments WHERE state IN ('planned','unknown'))""",
    "ALTER TABLE payments ADD COLUMN origin TEXT NOT NULL DEFAULT ''",
    """CREATE TABLE legs (
  payment_id TEXT NOT NULL REFERENCES payments (id), number INTEGER NOT NULL,
  contract TEXT NOT NULL, wrap INTEGER NOT NULL, transfers TEXT NOT NULL,
  PRIMARY KEY (payment_id, number)
)""",
)


def _receiver_of(raw: bytes) -> str:
    """The receiver inside signed bytes (rails §2.2): after signer, key and nonce."""
    at = 4 + int.from_bytes(raw[:4], "little") + 33 + 8
    size = int.from_bytes(raw[at : at + 4], "little")
    return raw[at + 4 : at + 4 + size].decode("utf-8", "replace")
