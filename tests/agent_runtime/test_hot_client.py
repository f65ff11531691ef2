"""What the client of HOT reads, and what it takes for no answer."""

import json

import pytest

from agent_runtime import wire
from agent_runtime.errors import RailError, RailUnknown
from agent_runtime.rails import hot as hot_module
from agent_runtime.rails.hot import Hot, Invoice
from agent_runtime.settings import Settings
from sandbox.near import genesis


@pytest.mark.parametrize(
    ("status", "body", "known"),
    [
        (200, {"item_id": "x"}, False),
        (200, {"item_id": "AB" * 32}, False),
        (202, {"item_id": "ab" * 32}, False),
        (302, {}, False),
        (409, {"detail": "there is one"}, False),
        (429, {}, False),
        (422, {"detail": "token"}, True),
    ],
)
def test_only_a_refusal_says_that_there_is_no_item(status, body, known):
    answer = wire.Answer("hotpay", status, {}, json.dumps(body).encode())
    with pytest.raises(RailError) as caught:
        hot_module._item_of(answer)
    assert isinstance(caught.value, RailUnknown) is not known


@pytest.mark.parametrize(
    "change",
    [{"amount": 5}, {"amount": "5.0"}, {"amount": None}, {"status": None}, {"item_id": 7}],
    ids=str,
)
def test_a_deposit_that_is_not_as_documented_is_unknown_and_no_zero(change):
    row = {"memo": "m", "item_id": "i", "amount": "5", "near_trx": None, "status": "SUCCESS"}
    assert hot_module._deposit(row).units == 5
    with pytest.raises(RailUnknown):
        hot_module._deposit({**row, **change})


@pytest.mark.asyncio(loop_scope="module")
async def test_the_client_reads_all_pages_and_only_its_own_memo(rails_of_module):
    rails = rails_of_module
    rails_hot, settings = rails.world.hot, Settings.from_environ(rails.environ)
    client = wire.new_client()
    hot = Hot(client, settings)
    order = {"memo": "m", "asset": f"nep141:{genesis.USDC}", "amount": "1"}
    item = await hot.make_item(Invoice(**order, header="h", description="d"))
    for _ in range(101):
        rails_hot.pay({"item_id": item, "units": 0, "memo": "many"})
    assert [one.memo for one in await hot.deposits("many")] == ["many"] * 101
    for _ in range(200):
        rails_hot.pay({"item_id": item, "units": 0, "memo": "many"})
    with pytest.raises(RailUnknown, match="over 300 deposits"):
        await hot.deposits("many")
    rails.fault(
        {
            "service": "hot",
            "operation": "processed_payments",
            "kind": "wrong",
            "variant": "unfiltered",
        }
    )
    del rails_hot._paid[1:]
    assert await hot.deposits("nobody") == ()
    rails.heal()
    bare = Settings.from_environ({**rails.environ, "HOT_PAY_AUTH_PREFIX": "none"})
    assert (await Hot(client, bare).deposits("nobody")) == ()
    wrong = Settings.from_environ({**rails.environ, "HOT_PAY_AUTH_PREFIX": "Token"})
    with pytest.raises(RailError, match="401"):
        await Hot(client, wrong).deposits("nobody")
    await client.aclose()
