"""What Ping may say of an order that is not so. Pure, but for a hash out of the air."""

import secrets
from collections.abc import Sequence
from typing import Any, Final

from sandbox.near.keys import encode

KEEP_THE_MONEY: Final = frozenset(
    {"pending", "made_up_hash", "other_hash", "bare_hash", "no_hash", "strange_word"}
)
"""Told when an order is placed, these also carry nothing out."""


def told(shown: dict[str, Any], wrong: str | None, other_hash: str) -> dict[str, Any]:
    """Return an answer about an order, as Ping would tell it or with a lie in it.

    Args:
        shown: the truth.
        wrong: which lie; None, or another word, for none.
        other_hash: the hash that pays somebody else's order; empty if there is none.
    """
    success: dict[str, Any] = {"intent_id": shown["intent_id"], "status": "SUCCESS"}
    match wrong:
        case "made_up_hash":
            return {**success, "transaction_hash": encode(secrets.token_bytes(32))}
        case "other_hash":
            return {**success, "transaction_hash": other_hash}
        case "bare_hash":
            return {**success, "transaction_hash": "0x"}
        case "no_hash":
            return success
        case "strange_word":
            return {**success, "status": "DISTRIBUTED"}
        case "pending":
            return {**success, "status": "PENDING"}
        case "failed_after":
            return {**shown, "status": "FAILED"}
        case _:
            return shown


def short(moves: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """Return the transfers of an order with one unit less for the first."""
    (account, units), *rest = moves
    return [(account, units - 1), *rest]
