"""What a final transaction proves, and whether that is what was planned (rails §2.4, step 10).

Pure, but for the clock. A token tells of its transfers in events of its own contract (NEP-297); the
wrapped NEAR of mainnet is older and tells of them in plain words. Both are read, and only from
receipts that took effect: a receipt that failed shows the logs it wrote before it was undone.
"""

import json
import re
import time
from collections import Counter
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from itertools import zip_longest
from typing import Any
from urllib.parse import urlsplit

from agent_runtime.near.outcome import Receipt, Report

EVENT = "EVENT_JSON:"
_MOVED = re.compile(r"Transfer ([0-9]{1,39}) from (\S+) to (\S+)")
_MEMO = "Memo: "


@dataclass(frozen=True)
class Moved:
    """One transfer that a token contract tells of."""

    contract: str
    sender: str
    receiver: str
    units: int
    memo: str


@dataclass(frozen=True)
class Evidence:
    """A final transaction as it was told, kept with what it paid for.

    Attributes:
        report: the final outcome.
        block_height: height of the block that holds it; None until a provider has told.
        moved: the transfers it made.
        providers: who told, without paths and keys.
        seen_at: when, epoch seconds.
    """

    report: Report
    block_height: int | None
    moved: tuple[Moved, ...]
    providers: tuple[str, ...]
    seen_at: float


class Match(StrEnum):
    """What moved, compared with what was planned."""

    ALL = "all"
    NONE = "none"
    OTHER = "other"


@dataclass(frozen=True)
class Expected:
    """The transfers that were signed.

    Attributes:
        contract: the token's account.
        sender: the account that pays.
        memo: written into each transfer.
        transfers: account and units, one for each recipient.
    """

    contract: str
    sender: str
    memo: str
    transfers: tuple[tuple[str, int], ...]


def take(report: Report, node: str) -> Evidence:
    """Make evidence of what a provider has just told."""
    moved = tuple(found for receipt in report.receipts for found in _moved_in(receipt))
    return Evidence(report, None, moved, (provider_name(node),), time.time())


def provider_name(node: str) -> str:
    """A provider's address without what may hold a key."""
    parts = urlsplit(node)
    return f"{parts.scheme}://{parts.hostname or ''}" + (f":{parts.port}" if parts.port else "")


def compare(expected: Expected, evidence: Evidence) -> Match:
    """Whether what left the sender is the plan, nothing at all, or something else.

    Nothing at all is said only if no receipt took effect on the token: one that did, and told of no
    transfer that we can read, is something else.
    """
    out = [found for found in evidence.moved if found.sender == expected.sender]
    if not out:
        acted = any(
            one.ok and one.executor == expected.contract for one in evidence.report.receipts
        )
        return Match.OTHER if acted else Match.NONE
    planned = Counter(
        Moved(expected.contract, expected.sender, account, units, expected.memo)
        for account, units in expected.transfers
    )
    return Match.ALL if Counter(out) == planned else Match.OTHER


def to_json(evidence: Evidence) -> dict[str, Any]:
    """As it is stored."""
    return asdict(evidence)


def from_json(found: dict[str, Any]) -> Evidence:
    """Read back what `to_json` gave, after a round through JSON."""
    told = found["report"]
    receipts = tuple(
        Receipt(**{**receipt, "logs": tuple(receipt["logs"])}) for receipt in told["receipts"]
    )
    return Evidence(
        Report(**{**told, "receipts": receipts}),
        found["block_height"],
        tuple(Moved(**moved) for moved in found["moved"]),
        tuple(found["providers"]),
        found["seen_at"],
    )


def at_height(evidence: Evidence, height: int) -> Evidence:
    """The same, with the height of its block."""
    return replace(evidence, block_height=height)


def _moved_in(receipt: Receipt) -> list[Moved]:
    if not receipt.ok:
        return []
    told = [found for line in receipt.logs for found in _event(line, receipt.executor)]
    return told or _plain_words(receipt)


def _event(line: str, contract: str) -> list[Moved]:
    """The transfers of one log line; none if it is another event or no event."""
    if not line.startswith(EVENT):
        return []
    try:
        event = json.loads(line.removeprefix(EVENT))
        if (event["standard"], event["event"]) != ("nep141", "ft_transfer"):
            return []
        return [
            Moved(
                contract,
                str(data["old_owner_id"]),
                str(data["new_owner_id"]),
                int(data["amount"]),
                str(data.get("memo") or ""),
            )
            for data in event["data"]
        ]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return []  # not an event of the standard: it then proves no transfer


def _plain_words(receipt: Receipt) -> list[Moved]:
    """`Transfer <units> from <account> to <account>`, then perhaps `Memo: <text>`."""
    found = []
    for line, following in zip_longest(receipt.logs, receipt.logs[1:], fillvalue=""):
        match = _MOVED.fullmatch(line)
        if match:
            memo = following.removeprefix(_MEMO) if following.startswith(_MEMO) else ""
            found.append(Moved(receipt.executor, match[2], match[3], int(match[1]), memo))
    return found
