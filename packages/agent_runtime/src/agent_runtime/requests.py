"""Idempotency keys of `POST /process`: one key, one request, one stored answer."""

import hashlib
import json
import sqlite3
import time
from dataclasses import dataclass, replace

from agent_runtime.errors import ApiError

KEY_MAX_CHARS = 200

SCHEMA = """
CREATE TABLE IF NOT EXISTS requests (
  key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, answer TEXT, created_at REAL NOT NULL
);
"""


@dataclass(frozen=True)
class Reply:
    """What a request is answered with.

    Attributes:
        text: for the user.
        intent: what the request was read as.
        payment_id: the payment it made or found; empty for none.
        final: False while the outcome of a payment is unknown; only final replies are stored.
        event_id: the event that can be replayed; empty for none.
    """

    text: str
    intent: str
    payment_id: str = ""
    final: bool = True
    event_id: str = ""

    def of_event(self, event_id: str) -> "Reply":
        """The same answer, with its event."""
        return replace(self, event_id=event_id)


def fingerprint(body: dict[str, object]) -> str:
    """A digest of everything in a request that has a meaning."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def payment_id_for(key: str) -> str:
    """The payment id that belongs to a key: the same one, always."""
    return "pay-" + hashlib.sha256(b"payment:" + key.encode()).hexdigest()[:24]


def key_reused() -> ApiError:
    """The refusal of a key that belongs to another request."""
    return ApiError(
        409,
        "idempotency_key_reused",
        "this Idempotency-Key was used for another request; use a new key for a new one",
    )


class RequestLedger:
    """The requests table."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        db.executescript(SCHEMA)

    def claim(self, key: str, print_: str) -> Reply | None:
        """Bind a key to a request; the stored answer, if there is one.

        Raises:
            ApiError: 409, the key belongs to another request.
        """
        with self._db:
            self._db.execute(
                "INSERT OR IGNORE INTO requests (key, fingerprint, created_at) VALUES (?,?,?)",
                (key, print_, time.time()),
            )
        row = self._db.execute(
            "SELECT fingerprint, answer FROM requests WHERE key=?", (key,)
        ).fetchone()
        if row[0] != print_:
            raise key_reused()
        return Reply(**json.loads(row[1])) if row[1] else None

    def finish(self, key: str, reply: Reply) -> None:
        """Store the final answer of a key."""
        answer = json.dumps(
            {
                "text": reply.text,
                "intent": reply.intent,
                "payment_id": reply.payment_id,
                "event_id": reply.event_id,
            }
        )
        with self._db:
            self._db.execute("UPDATE requests SET answer=? WHERE key=?", (answer, key))
