"""What a ledger consists of, and what makes two rows of it the same.

Every table is in `TABLES` or in `LEFT_OUT`; a test holds that against a running service.
"""

import sqlite3
from dataclasses import dataclass

from agent_runtime import claims, modes, payments, people, plans, proofs, requests
from agent_runtime.funding import book as fundings
from agent_runtime.handover import bonds
from agent_runtime.near import ledger
from agent_runtime.payouts import orders
from agent_runtime.receipts import book
from agent_runtime.webhooks import castbook, deliveries


@dataclass(frozen=True)
class Table:
    """How rows of one table meet rows of another ledger.

    Attributes:
        key: the columns that name a row.
        columns: all that is exported, in order.
        free: columns in which two rows of one name may differ; all others must be equal.
        newest: the column that says which of two such rows is kept, the greater one; without it
            the row that is there stays.
        fills: a column that may be empty on one side and is filled from the other.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    free: tuple[str, ...] = ()
    newest: str = ""
    fills: str = ""


def _table(name: str, key: str, columns: str, free: str = "", **more: str) -> Table:
    rest = tuple(columns.split())
    return Table(name, tuple(key.split()), (*key.split(), *rest), tuple(free.split()), **more)


# In the order in which rows may refer to each other.
TABLES = (
    _table(
        "payments",
        "id",
        "repo token units author plan state tx_hash detail created_at updated_at origin rail",
    ),
    _table("legs", "payment_id number", "contract wrap transfers"),
    _table(
        "orders",
        "id",
        "payment_id rail payer request digest since_ns state detail remote_id word told_hash"
        " tx_hash evidence sends looks first_sent_at due_at created_at updated_at",
    ),
    _table(
        "transactions",
        "tx_hash",
        "owner leg purpose fences signer public_key nonce receiver block_hash block_height"
        " signed_bytes state detail included_in created_at updated_at",
    ),
    _table("evidence", "tx_hash", "document digest block_height seen_at"),
    _table("claims", "id", "payment_id repo login token units created_at"),
    _table("redemptions", "claim_id payment_id", ""),
    _table("receipts", "id", "payment_id plane build tee app_id instance_id written_at"),
    _table("bound_payments", "payment_id public_key", "account plane"),
    _table(
        "fenced_keys",
        "public_key account",
        "tx_hash releases proof fenced_at",
        "tx_hash releases proof fenced_at",
    ),
    _table("requests", "key", "fingerprint answer created_at", "created_at", fills="answer"),
    _table("plans", "id", "channel author intent command proposal state created_at expires_at"),
    _table(
        "modes",
        "channel author",
        "execution experience updated_at",
        "execution experience updated_at",
        newest="updated_at",
    ),
    _table("split_people", "repo login", "github_id"),
    _table(
        "people",
        "login",
        "github_id wallet verified_at",
        "wallet verified_at",
        newest="verified_at",
    ),
    _table(
        "proofs",
        "channel author github_id",
        "wallet code expires_at",
        "wallet code expires_at",
        newest="expires_at",
    ),
    _table("webhook_events", "id", "type received_at", "received_at"),
    _table(
        "fundings",
        "id",
        "fingerprint token contract decimals units account state item_id tx_hash detail evidence"
        " created_at updated_at told_at looked_at looks due_at",
        "state item_id tx_hash detail evidence updated_at told_at looked_at looks due_at",
        newest="updated_at",
    ),
    _table("funding_hints", "funding_id digest", ""),
    _table(
        "casts",
        "hash",
        "fid text state answer sent tries due_at received_at",
        "state answer sent tries due_at received_at",
    ),
)
LEFT_OUT = frozenset({"pulse", "handover_seal", "ledger_imports"})  # of one file, not of its money


def make_tables(db: sqlite3.Connection) -> None:
    """Make every table that is not there yet; commits."""
    money = (payments, ledger, orders, claims, book, bonds)
    words = (requests, plans, modes, people, proofs, deliveries, fundings, castbook)
    for part in (*money, *words):
        db.executescript(part.SCHEMA)


def check_columns(db: sqlite3.Connection) -> list[str]:
    """What of `TABLES` this ledger's tables are not, in words; empty if all is as expected."""
    wrong = []
    for table in TABLES:
        found = {row[1] for row in db.execute(f"PRAGMA table_info({table.name})")}
        if table.name == "redemptions":
            found.discard("number")  # of one file: it only gives the order
        if found and found != set(table.columns):
            odd = ", ".join(sorted(found ^ set(table.columns)))
            wrong.append(f"table {table.name} differs in {odd}")
    return wrong
