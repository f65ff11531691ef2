"""Asking to be paid, and finding out whether it came true.

Rules
- Stored before HOT is asked anything. Before an invoice is made, HOT is searched for the memo; once
  the order for one has left, no second one is ever sent for that memo, whatever was answered: two
  pages under one memo would ask two payers for one amount. An order that nobody confirmed stays
  UNKNOWN until somebody's deposit shows the item; ask anew under another key instead.
- HOT is asked at our own pace: so many looks a round, so long between rounds, and so long between
  two looks at one funding. A delivery of HOT only says which one to look at next.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence

from agent_runtime import amounts
from agent_runtime.errors import ApiError, RailError, RailUnknown, Refusal
from agent_runtime.funding.book import FundingBook
from agent_runtime.funding.judge import Sight, claimed, is_hash, judge
from agent_runtime.funding.model import Funding, FundingState, Wish, id_for
from agent_runtime.funding.witness import Witness
from agent_runtime.locks import NamedLocks
from agent_runtime.log import logger
from agent_runtime.rails.hot import ITEM, Deposit, Hot, Invoice
from agent_runtime.settings import Settings

UNSETTLED_MAX = 1_000
LOOKS_MAX = 4
"""In one round."""
HASHES_MAX = 4
"""Looked up on NEAR in one look."""
ROUND_SECONDS = 1.0
IDLE_SECONDS = 15.0
HEADER = "Funding of the account that pays contributors"


class FundingDesk:
    """Takes requests to be paid, and looks after them."""

    def __init__(self, settings: Settings, hot: Hot, witness: Witness, book: FundingBook) -> None:
        self._settings = settings
        self._hot = hot
        self._witness = witness
        self._book = book
        self._busy = NamedLocks()
        self._wake = asyncio.Event()

    @property
    def fault(self) -> str:
        """Why nothing can be collected here, in words; empty if it can."""
        if not self._hot.configured:
            return "HOT_PAY_JWT is unset"
        return "" if self._settings.near_account else "NEAR_ACCOUNT_ID is unset"

    def wish(self, amount: str, token: str) -> Wish:
        """What is asked for, in the token's smallest unit.

        Raises:
            ApiError: 503 if nothing can be collected here, 400 for an amount or a token that is
                not as it must be.
        """
        if self.fault:
            raise ApiError(503, "funding_not_configured", f"nothing is collected: {self.fault}")
        return wish_of(self._settings, amount, token)

    async def ask(self, wish: Wish, key: str) -> Funding:
        """Ask to be paid, once for a key; the funding as it stands then.

        Raises:
            ApiError: 409 for a key that belongs to another request, 503 if too many are unsettled.
        """
        funding_id = id_for(key)
        async with self._busy.alone(funding_id):
            found = self._book.get(funding_id)
            if found is None:
                if self._book.unsettled() >= UNSETTLED_MAX:
                    text = f"{UNSETTLED_MAX} fundings are unsettled; ask again when some have ended"
                    raise ApiError(503, "too_many_fundings", text)
                found = self._book.ask(funding_id, wish)
            elif found.wish.print != wish.print:
                text = "this Idempotency-Key was used for another funding; use a new key"
                raise ApiError(409, "idempotency_key_reused", text)
            if found.state is FundingState.ASKED:
                found = await self._open(found)
        self._wake.set()
        return found

    def get(self, funding_id: str) -> Funding | None:
        """A funding as it is stored; one that has not arrived is looked at soon."""
        found = self._book.get(funding_id)
        if found is not None:
            self._book.hasten(found)
            self._wake.set()
        return found

    def states(self) -> dict[str, int]:
        """How many fundings are in each state; states without any are left out."""
        return self._book.states()

    def hint(self, memo: str, item_id: str, digest: str) -> bool:
        """Somebody says that a funding has changed; True if it is looked at soon for that.

        Nothing else follows from it: who says so is not known. A memo that is not ours, or another
        item than its own, changes nothing at all.
        """
        found = self._book.get(memo)
        if found is None or (found.item_id and found.item_id != item_id):
            return False
        if not self._book.hint(found, digest):
            return False
        self._wake.set()
        return True

    async def round(self) -> int:
        """Look at what is due, a few of them; how many were looked at.

        A round ends at the first look that HOT gives no usable answer to.
        """
        looked = 0
        for found in self._book.due(LOOKS_MAX):
            looked += 1
            try:
                useful = await self.look(found.id)
            except Exception:  # noqa: BLE001 - logged; one that breaks must not be first for ever
                logger().exception("funding_look_broke", funding=found.id)
                self._book.postpone(found.id)
                useful = True
            if not useful:
                break
        return looked

    async def look(self, funding_id: str) -> bool:
        """Ask HOT, and NEAR if need be, about one funding; False if HOT was of no use."""
        async with self._busy.alone(funding_id):
            found = self._book.get(funding_id)
            if found is None or found.state is FundingState.ARRIVED:
                return True
            if found.state is FundingState.ASKED:
                return (await self._open(found)).state is not FundingState.ASKED
            try:
                deposits = await self._hot.deposits(found.id)
            except RailError as error:
                logger().warning("funding_not_looked_up", funding=found.id, said=error.said)
                self._book.postpone(found.id)
                return not isinstance(error, RailUnknown)
            await self._judge(found, deposits)
            return True

    async def keep_looking(self) -> None:
        """Round after round, until cancelled."""
        while not self.fault:
            try:
                await self.round()
            except Exception:  # noqa: BLE001 - logged; the next round must come
                logger().exception("funding_round_broke")
            await asyncio.sleep(ROUND_SECONDS)
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._rest()):
                    await self._wake.wait()

    def _rest(self) -> float:
        """Seconds until something is due, at most `IDLE_SECONDS`."""
        due = self._book.next_due()
        return IDLE_SECONDS if due is None else min(max(due - time.time(), 0.0), IDLE_SECONDS)

    async def _open(self, funding: Funding) -> Funding:
        """Get the page for a payer, of an item that is there already or of a new one."""
        try:
            deposits = await self._hot.deposits(funding.id)
        except RailError as error:
            return self._book.change(funding, FundingState.ASKED, f"nothing was made: {error}")
        if deposits:  # of another life of this ledger, such as a copy of it
            return await self._judge(funding, deposits)
        detail = "an invoice was ordered, and nobody has confirmed it"
        funding = self._book.change(funding, FundingState.UNKNOWN, detail)
        try:
            item_id = await self._hot.make_item(self._invoice(funding))
        except RailUnknown as error:
            return self._book.change(funding, FundingState.UNKNOWN, f"{detail}: {error}")
        except RailError as error:
            return self._book.change(funding, FundingState.CLOSED, f"HOT made no invoice: {error}")
        if self._book.at_item(item_id):
            return self._book.change(funding, FundingState.REVIEW, f"{detail}: {item_id} was taken")
        logger().info("funding_open", funding=funding.id, item=item_id)
        return self._book.change(funding, FundingState.OPEN, "nobody has paid yet", item_id)

    def _invoice(self, funding: Funding) -> Invoice:
        wish = funding.wish
        amount = amounts.to_text(wish.units, wish.decimals)
        text = f"{amount} {wish.token} to {wish.account}"
        return Invoice(funding.id, wish.asset, amount, HEADER, text)

    async def _judge(self, funding: Funding, deposits: Sequence[Deposit]) -> Funding:
        """Store what HOT's claims are worth."""
        funding = self._with_item(funding, deposits)
        if not funding.item_id:
            detail = funding.detail
            if deposits:
                detail = "deposits of several items, or of another funding's, have this memo"
            return self._book.change(funding, FundingState.UNKNOWN, detail)
        successes = claimed(funding, deposits)
        seen = await self._look_up(successes, funding.wish.account)
        verdict = judge(funding, deposits, seen, self._book.holders(seen), time.time())
        if verdict.state is not funding.state:
            logger().info(
                "funding_changed", funding=funding.id, state=verdict.state, detail=verdict.detail
            )
        return self._book.settle(funding, verdict, told=bool(successes))

    def _with_item(self, funding: Funding, deposits: Sequence[Deposit]) -> Funding:
        """With the item that its deposits name, if it had none and they agree on one."""
        named = {one.item_id for one in deposits}
        if funding.item_id or len(named) != 1:
            return funding
        (item_id,) = named
        if not ITEM.fullmatch(item_id) or self._book.at_item(item_id):
            return funding
        return self._book.change(funding, FundingState.OPEN, "its item was found", item_id)

    async def _look_up(self, successes: Sequence[Deposit], account: str) -> dict[str, Sight]:
        """Each transaction that HOT names, as NEAR knows it."""
        found: dict[str, Sight] = {}
        for one in successes:
            named = one.near_trx
            if is_hash(named) and named not in found and len(found) < HASHES_MAX:
                found[named] = await self._witness.look(named, (one.sender, account))
        return found


def wish_of(settings: Settings, amount: str, token: str) -> Wish:
    """An amount of a token for the account that pays. Pure.

    Raises:
        ApiError: 400, saying what is wrong.
    """
    found = settings.ft_contracts.get(token)
    if found is None:
        known = ", ".join(sorted(settings.ft_contracts))
        raise ApiError(400, "unknown_token", f"token is none of those known here: {known}")
    try:
        units = amounts.to_units(amount, found.decimals)
    except Refusal as refusal:
        raise ApiError(400, "invalid_request", str(refusal)) from None
    if units == 0:
        raise ApiError(400, "invalid_request", "amount is zero; ask for more than that")
    return Wish(found.symbol, found.contract, found.decimals, units, settings.near_account)
