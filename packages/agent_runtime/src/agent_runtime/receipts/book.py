"""Which payments have a receipt, under which address, and what the plane showed of itself then.

An address is a secret of its own, so it is drawn, never derived: a payment's id follows from its
caller's idempotency key, and a key can be guessed. The plane's name leads it, so that a gateway
knows whom to ask; 128 random bits follow.
"""

import re
import secrets
import sqlite3
import time
from dataclasses import dataclass

from agent_runtime.tee import Guest

SCHEMA = """
CREATE TABLE IF NOT EXISTS receipts (
  id TEXT PRIMARY KEY, payment_id TEXT NOT NULL UNIQUE REFERENCES payments (id),
  plane TEXT NOT NULL, build TEXT NOT NULL, tee INTEGER NOT NULL, app_id TEXT NOT NULL,
  instance_id TEXT NOT NULL, written_at REAL NOT NULL
);
"""
RANDOM_BYTES = 16


@dataclass(frozen=True)
class Stamp:
    """Who wrote a receipt, and when.

    Attributes:
        id: the receipt's address, without its path.
        payment_id: what it is for.
        plane: that made the payment.
        build: revision of that plane's image.
        guest: what its guest agent called it; None if there was no claim of a TEE.
        written_at: epoch seconds.
    """

    id: str
    payment_id: str
    plane: str
    build: str
    guest: Guest | None
    written_at: float


class ReceiptBook:
    """The receipts table.

    Args:
        db: the store.
        plane: name of this plane.
        build: revision of this image.
    """

    def __init__(self, db: sqlite3.Connection, plane: str, build: str) -> None:
        self._db = db
        self._plane = plane
        self._lead = re.sub(r"[^A-Za-z0-9._-]", "-", plane)
        self._build = build
        db.executescript(SCHEMA)

    def write(self, payment_id: str, guest: Guest | None) -> Stamp:
        """The receipt of a payment; what was written first stays.

        Args:
            payment_id: stored already.
            guest: what the plane can show of itself now.
        """
        with self._db:
            self._db.execute(
                "INSERT INTO receipts VALUES (?,?,?,?,?,?,?,?) ON CONFLICT (payment_id) DO NOTHING",
                (
                    f"{self._lead}-{secrets.token_hex(RANDOM_BYTES)}",
                    payment_id,
                    self._plane,
                    self._build,
                    guest is not None,
                    guest.app_id if guest else "",
                    guest.instance_id if guest else "",
                    time.time(),
                ),
            )
        found = self._one("payment_id", payment_id)
        assert found is not None  # noqa: S101 - stored above, and never taken away
        return found

    def find(self, receipt_id: str) -> Stamp | None:
        """The receipt at an address; None if there is none."""
        return self._one("id", receipt_id)

    def _one(self, column: str, value: str) -> Stamp | None:
        row = self._db.execute(
            "SELECT id, payment_id, plane, build, tee, app_id, instance_id, written_at"  # noqa: S608 - one of two constants
            f" FROM receipts WHERE {column}=?",
            (value,),
        ).fetchone()
        if row is None:
            return None
        guest = Guest(row[5], row[6]) if row[4] else None
        return Stamp(row[0], row[1], row[2], row[3], guest, row[7])
