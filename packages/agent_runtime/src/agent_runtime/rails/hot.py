"""HOT Pay's partner API (rails §3): it collects money for one merchant and pays nobody.

Nothing here names a recipient or moves a token, and no answer has a word for paid: an item is an
invoice, and what HOT says of a payer is a claim that only NEAR can prove (`funding.judge`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias
from urllib.parse import urlencode

from agent_runtime import wire
from agent_runtime.connections import Connections
from agent_runtime.errors import RailUnknown
from agent_runtime.settings import Settings

SERVICE = "hotpay"
PROBE_SECONDS = 5.0
LIST_SECONDS = 5.0
CREATE_SECONDS = 10.0
PAGE_ROWS = 100
PAGES_MAX = 3
TEXT_CHARS_MAX = 200
MADE = (200, 201)
ITEM = re.compile(r"[0-9a-f]{64}")
_UNITS = re.compile(r"[0-9]{1,39}")


class Word(StrEnum):
    """What HOT says of one payer's deposit."""

    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    SUCCESS = "SUCCESS"
    REFUNDED = "REFUNDED"
    FAILED = "FAILED"
    INCOMPLETE_DEPOSIT = "INCOMPLETE_DEPOSIT"
    PENDING_DEPOSIT = "PENDING_DEPOSIT"
    KNOWN_DEPOSIT_TX = "KNOWN_DEPOSIT_TX"


@dataclass(frozen=True)
class Unforeseen:
    """A word that is none of those; it is not guessed what it means."""

    word: str


Status: TypeAlias = Word | Unforeseen


@dataclass(frozen=True)
class Deposit:
    """What HOT claims that one payer has done for an item.

    Attributes:
        item_id: the invoice.
        memo: ours.
        units: smallest units of `asset`.
        asset: the token, `nep141:<contract>`.
        sender: who pays.
        near_trx: the transaction that HOT names, unchecked; empty for none.
        status: HOT's word.
    """

    item_id: str
    memo: str
    units: int
    asset: str
    sender: str
    near_trx: str
    status: Status


@dataclass(frozen=True)
class Invoice:
    """What a payer is to be asked for.

    Attributes:
        memo: tells this invoice from all others.
        asset: the token, `nep141:<contract>`.
        amount: in whole tokens, as a plain decimal.
        header: a heading for the payer.
        description: a sentence for the payer.
    """

    memo: str
    asset: str
    amount: str
    header: str
    description: str


class Hot:
    """The merchant's side of HOT Pay."""

    def __init__(self, client: Connections, settings: Settings) -> None:
        self._client = client
        self._settings = settings

    @property
    def configured(self) -> bool:
        """Whether there is a token."""
        return bool(self._settings.hot_jwt)

    async def probe(self) -> wire.Answer:
        """Ask for one deposit; any HTTP answer is returned.

        Raises:
            RailUnknown: no complete answer.
        """
        return await self._list({"limit": "1"}, PROBE_SECONDS)

    async def deposits(self, memo: str) -> tuple[Deposit, ...]:
        """All that HOT knows of payers under one memo.

        Raises:
            RailError: HOT refused.
            RailUnknown: it gave no usable answer, or more than can be theirs.
        """
        found: list[Deposit] = []
        for page in range(PAGES_MAX):
            asked = {"memo": memo, "limit": str(PAGE_ROWS), "offset": str(page * PAGE_ROWS)}
            rows = _rows(await self._list(asked, LIST_SECONDS))
            found += [_deposit(row) for row in rows if row.get("memo") == memo]
            if len(rows) < PAGE_ROWS:
                return tuple(found)
        raise RailUnknown(SERVICE, f"over {PAGES_MAX * PAGE_ROWS} deposits under one memo")

    async def make_item(self, invoice: Invoice) -> str:
        """Make an invoice, for real, once for each call; its `item_id`, which is no transaction.

        HOT has no key by which it would know a repetition: never call it again for a memo unless
        the answer before was a definite no.

        Raises:
            RailError: HOT refused; there is no invoice.
            RailUnknown: there may be one.
        """
        settings = self._settings
        webhook = {"webhook_url": settings.hot_webhook} if settings.hot_webhook else {}
        answer = await wire.ask(
            self._client,
            SERVICE,
            "POST",
            settings.hot_base + "/partners/merchant_item",
            deadline_seconds=CREATE_SECONDS,
            headers={"content-type": "application/json", **self._authorization()},
            content=wire.encode(
                {
                    "merchant_id": settings.near_account,
                    "memo": invoice.memo,
                    "header": invoice.header,
                    "description": invoice.description,
                    "token": invoice.asset,
                    "amount": invoice.amount,
                    **webhook,
                }
            ),
        )
        return _item_of(answer)

    async def _list(self, asked: Mapping[str, str], deadline_seconds: float) -> wire.Answer:
        return await wire.ask(
            self._client,
            SERVICE,
            "GET",
            self._settings.hot_base + "/partners/processed_payments",
            deadline_seconds=deadline_seconds,
            headers=self._authorization(),
            params=dict(asked),
        )

    def _authorization(self) -> dict[str, str]:
        settings = self._settings
        return {"authorization": f"{settings.hot_auth_prefix} {settings.hot_jwt}".strip()}


def page_of(settings: Settings, item_id: str, amount: str, memo: str) -> str:
    """Where a payer pays an item; `amount` is in whole tokens."""
    asked = urlencode({"item_id": item_id, "amount": amount, "memo": memo})
    return f"{settings.hot_page}?{asked}"


def _rows(answer: wire.Answer) -> list[dict[str, Any]]:
    found = answer.expect(200).json()
    rows = found.get("payments") if isinstance(found, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise RailUnknown(SERVICE, "HTTP 200 without a list of payments")
    return rows


def _deposit(row: Mapping[str, Any]) -> Deposit:
    """A row of the list.

    Raises:
        RailUnknown: it is not as documented; what HOT meant is then not known.
    """
    units, word = row.get("amount"), row.get("status")
    texts = [row.get(name) or "" for name in ("token_id", "sender_id", "near_trx")]
    item_id = row.get("item_id")
    if not isinstance(units, str) or not _UNITS.fullmatch(units):
        raise RailUnknown(SERVICE, "a deposit whose amount is no whole number of units")
    named = (item_id, word, *texts)
    if not all(isinstance(text, str) and len(text) <= TEXT_CHARS_MAX for text in named):
        raise RailUnknown(SERVICE, "a deposit that is not as documented")
    asset, sender, near_trx = texts
    return Deposit(
        str(item_id), str(row["memo"]), int(units), asset, sender, near_trx, _status(str(word))
    )


def _status(word: str) -> Status:
    return Word(word) if word in Word.__members__ else Unforeseen(word)


def _item_of(answer: wire.Answer) -> str:
    """The new item; an answer that is no refusal and does not name it may hide one."""
    if answer.status == 409 or (answer.status < 400 and answer.status not in MADE):
        raise RailUnknown(SERVICE, f"HTTP {answer.status} to a new item")
    found = answer.expect(*MADE).json()
    item_id = found.get("item_id") if isinstance(found, dict) else None
    if not isinstance(item_id, str) or not ITEM.fullmatch(item_id):
        raise RailUnknown(SERVICE, "a new item without an item_id of 64 hex digits")
    return item_id
