"""What breaks in the middle of collecting: others go on, and no second order leaves."""

import asyncio
from unittest.mock import Mock

from agent_runtime import wire
from agent_runtime.funding import book as book_module
from agent_runtime.funding import desk as desk_module
from agent_runtime.funding.book import FundingBook
from agent_runtime.funding.desk import FundingDesk
from agent_runtime.funding.model import FundingState
from agent_runtime.funding.witness import Witness
from agent_runtime.near.rpc import Rpc
from agent_runtime.rails.hot import Hot
from agent_runtime.settings import Settings
from agent_runtime.store import open_store

SIGNER = {"NEAR_ACCOUNT_ID": "a.near", "NEAR_PRIVATE_KEY": "ed25519:" + "1" * 32}


class BreakingHot(Hot):
    """A fault of our own in the middle of a look."""

    async def deposits(self, memo):
        raise ZeroDivisionError(memo)


async def test_a_funding_that_breaks_its_look_does_not_keep_the_others_waiting(
    tmp_path, monkeypatch
):
    log = Mock()
    monkeypatch.setattr(desk_module, "logger", lambda: log)
    monkeypatch.setattr(book_module, "MOST_SECONDS", 3_600.0)
    monkeypatch.setattr(book_module, "FIRST_SECONDS", 5.0)
    settings = Settings.from_environ({"HOT_PAY_JWT": "t", **SIGNER})
    client, db = wire.new_client(), open_store(str(tmp_path / "p.db"))
    book = FundingBook(db)
    desk = FundingDesk(settings, BreakingHot(client, settings), Witness(Rpc(client, ())), book)
    names = {book.ask(f"fund-{n}", desk.wish("1", "USDC")).id for n in range(3)}
    assert (await desk.round(), book.due(9)) == (3, [])
    assert {one.kwargs["funding"] for one in log.exception.call_args_list} == names
    db.close()


class DyingHot(Hot):
    """The process ends while the order is on its way."""

    orders = 0
    end = asyncio.CancelledError

    async def deposits(self, memo):
        return ()

    async def make_item(self, invoice):
        self.orders += 1
        raise self.end


async def test_after_a_crash_in_the_middle_of_an_order_there_is_no_second_one(tmp_path):
    settings = Settings.from_environ({"HOT_PAY_JWT": "t", **SIGNER})
    client = wire.new_client()
    hot = DyingHot(client, settings)
    for _ in range(2):
        db = open_store(str(tmp_path / "p.db"))
        desk = FundingDesk(settings, hot, Witness(Rpc(client, ())), FundingBook(db))
        try:
            found = await desk.ask(desk.wish("1", "USDC"), "key")
            assert found.state is FundingState.UNKNOWN
        except asyncio.CancelledError:
            assert hot.orders == 1
        db.close()
    assert hot.orders == 1


async def test_after_a_fault_of_our_own_in_the_middle_of_an_order_there_is_no_second_one(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(desk_module, "logger", Mock())
    monkeypatch.setattr(book_module, "FIRST_SECONDS", 0.0)
    settings = Settings.from_environ({"HOT_PAY_JWT": "t", **SIGNER})
    client, db = wire.new_client(), open_store(str(tmp_path / "p.db"))
    hot, book = DyingHot(client, settings), FundingBook(db)
    hot.end = ZeroDivisionError
    desk = FundingDesk(settings, hot, Witness(Rpc(client, ())), book)
    asked = book.ask("fund-1", desk.wish("1", "USDC"))
    assert [await desk.round() for _ in range(3)] == [1, 1, 1]
    book.change(asked, FundingState.ASKED, "as a writer with an old view would have it")
    assert (book.get("fund-1").state, hot.orders) == (FundingState.UNKNOWN, 1)
    db.close()
