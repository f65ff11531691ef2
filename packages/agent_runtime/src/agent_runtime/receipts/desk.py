"""Hands out receipts: every answer that names a payment also says where its receipt is."""

from dataclasses import replace
from typing import Any, Protocol

from agent_runtime.intents.pay import Payer
from agent_runtime.process import Asked
from agent_runtime.receipts.book import ReceiptBook
from agent_runtime.receipts.model import receipt
from agent_runtime.requests import Reply
from agent_runtime.tee import TeeWatch

PATH = "/receipts/"


class Answers(Protocol):
    """Whatever answers requests."""

    async def answer(self, asked: Asked) -> Reply:
        """One answer."""


class Desk:
    """Stands before the processor, and shows receipts.

    Args:
        processor: that answers.
        book: of receipts.
        tee: what the plane can show of itself.
        payer: that knows the payments; None where NEAR is not configured.
        base: where people reach receipts; empty for whoever shows an answer beside them.
    """

    def __init__(
        self,
        processor: Answers,
        book: ReceiptBook,
        tee: TeeWatch,
        payer: Payer | None,
        base: str = "",
    ) -> None:
        self._processor = processor
        self._book = book
        self._tee = tee
        self._payer = payer
        self._base = base

    async def answer(self, asked: Asked) -> Reply:
        """Answer; a payment's receipt is written as soon as its answer is there.

        Raises:
            ApiError: as the processor.
        """
        return await self.with_receipt(await self._processor.answer(asked))

    async def with_receipt(self, reply: Reply) -> Reply:
        """The same answer; if it names a payment, which is stored, also where its receipt is."""
        if not reply.payment_id:
            return reply
        stamp = self._book.write(reply.payment_id, await self._tee.guest())
        return replace(reply, text=f"{reply.text}\n🧾 Receipt: {self._base}{PATH}{stamp.id}")

    def show(self, receipt_id: str) -> dict[str, Any] | None:
        """The receipt at an address, as JSON; None if there is none. Asks nobody else."""
        stamp = self._book.find(receipt_id)
        if stamp is None or self._payer is None:
            return None
        document = self._payer.document(stamp.payment_id)
        return None if document is None else receipt(stamp, document)
