"""What a funding is, and its states."""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class FundingState(StrEnum):
    """Where a request to be paid stands; only `ARRIVED` is an end that nothing changes any more.

    ASKED: stored; nothing left this process that could have made an invoice.
    OPEN: the payer's page is known, and nobody has paid in full.
    UNKNOWN: an invoice may exist that we cannot name, or HOT says that it is settled and NEAR has
        not told yet.
    ARRIVED: the tokens are on our account, final on NEAR; the transaction is this funding's alone.
    CLOSED: HOT refused the invoice, or every payer's deposit failed or went back.
    REVIEW: HOT says that it is settled and NEAR says otherwise; a person must look.
    """

    ASKED = "asked"
    OPEN = "open"
    UNKNOWN = "unknown"
    ARRIVED = "arrived"
    CLOSED = "closed"
    REVIEW = "review"


@dataclass(frozen=True)
class Wish:
    """What is to be collected.

    Attributes:
        token: symbol.
        contract: the token's account.
        decimals: of the token.
        units: smallest units of it.
        account: the NEAR account that they are for.
    """

    token: str
    contract: str
    decimals: int
    units: int
    account: str

    @property
    def asset(self) -> str:
        """The token as HOT writes it."""
        return f"nep141:{self.contract}"

    @property
    def print(self) -> str:
        """A digest of it, by which a reused key is told from a repeated request."""
        text = f"{self.asset} {self.units} {self.account}"
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Funding:
    """A stored request; its times are epoch seconds, 0 for never.

    Attributes:
        id: stable, and the memo by which HOT and we know it.
        item_id: HOT's invoice, which is no transaction; empty while none is known.
        tx_hash: only beside `evidence`.
        detail: why it stands so, in words.
        evidence: what NEAR told of the transaction; only with ARRIVED.
        told_at: since when HOT says that it is settled.
        looked_at: when HOT was last asked.
        looks: how often since anything changed.
    """

    id: str
    wish: Wish
    state: FundingState
    item_id: str = ""
    tx_hash: str = ""
    detail: str = ""
    evidence: Mapping[str, Any] | None = None
    created_at: float = 0.0
    updated_at: float = 0.0
    told_at: float = 0.0
    looked_at: float = 0.0
    looks: int = 0


def id_for(key: str) -> str:
    """The id that belongs to an idempotency key, always the same one; a new one without a key."""
    if not key:
        return "fund-" + secrets.token_hex(12)
    return "fund-" + hashlib.sha256(b"funding:" + key.encode()).hexdigest()[:24]
