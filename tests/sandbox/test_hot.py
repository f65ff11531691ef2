"""HOT Pay as rails §3 tells of it: items, payers, claims about them, and lies on demand."""

import asyncio

import pytest
import pytest_asyncio

from sandbox.near import genesis
from sandbox.web import Answer, Server, read_request, send_answer

pytestmark = pytest.mark.asyncio
ITEM = {
    "merchant_id": genesis.AGENT,
    "memo": "fund-1",
    "header": "h",
    "description": "d",
    "token": f"nep141:{genesis.USDC}",
    "amount": "2.5",
}
LIST = "/partners/processed_payments"


async def hot(client, method, path, *, token=None, **kwargs):
    headers = {"authorization": token or f"Bearer {client.credentials.hot_jwt}"}
    return await client.http.request(method, client.urls["hot"] + path, headers=headers, **kwargs)


@pytest_asyncio.fixture
async def item(client):
    made = await hot(client, "POST", "/partners/merchant_item", json=ITEM)
    return made.json()["item_id"]


async def listed(client, status, memo="fund-1"):
    """The one payment under a memo, once it has this status."""
    async with asyncio.timeout(5):
        while True:
            (row,) = (await hot(client, "GET", f"{LIST}?memo={memo}")).json()["payments"]
            if row["status"] == status:
                return row
            await asyncio.sleep(0.02)


async def test_payments_are_listed_for_the_token_with_and_without_bearer(client):
    bare = client.credentials.hot_jwt
    for token, status in ((None, 200), (bare, 200), ("Bearer x", 401), ("x", 401)):
        assert (await hot(client, "GET", LIST, token=token)).status_code == status
    shown = (await hot(client, "GET", f"{LIST}?limit=1")).json()
    assert shown["pagination"] == {"limit": 1, "offset": 0, "count": 1}
    assert (await hot(client, "GET", f"{LIST}?limit=x")).status_code == 422


async def test_an_item_is_an_invoice_of_the_merchant_and_no_transaction(client, item):
    assert len(item) == 64
    assert not client.world.chain.knows(item)
    for change in ({"memo": None}, {"token": "nep141:x"}, {"amount": "1e-9"}):
        wrong = await hot(client, "POST", "/partners/merchant_item", json={**ITEM, **change})
        assert wrong.status_code == 422
    other = {**ITEM, "merchant_id": "mallory.near"}
    assert (await hot(client, "POST", "/partners/merchant_item", json=other)).status_code == 403
    path = f"/partners/merchant_item/{item}/test_webhook"
    assert (await hot(client, "POST", path)).status_code == 200


async def test_who_pays_an_item_moves_tokens_to_the_merchant(client, item):
    before = await client.usdc_of(genesis.AGENT)
    paid = await client.control("POST", "/hot/pay", {"item_id": item})
    row = await listed(client, "SUCCESS")
    assert row["near_trx"] == paid.json()["near_trx"]
    assert (row["amount"], row["sender_id"], row["item_id"]) == ("2500000", genesis.SPONSOR, item)
    assert await client.usdc_of(genesis.AGENT) == before + 2_500_000
    assert (await client.control("POST", "/hot/pay", {"item_id": "0" * 64})).status_code == 422


async def test_what_is_short_or_not_begun_has_its_own_word_unless_the_order_lies(client, item):
    await client.control("POST", "/hot/pay", {"item_id": item, "units": 7})
    assert (await listed(client, "INCOMPLETE_DEPOSIT"))["amount"] == "2500000"
    await client.control("POST", "/hot/pay", {"item_id": item, "units": 0, "memo": "m2"})
    assert (await listed(client, "PENDING", "m2"))["near_trx"] is None
    order = {"item_id": item, "units": 0, "memo": "m3", "status": "REFUNDED"}
    await client.control("POST", "/hot/pay", order)
    await listed(client, "REFUNDED", "m3")
    page = (await hot(client, "GET", f"{LIST}?offset=3&limit=2")).json()
    assert [row["memo"] for row in page["payments"]] == ["m3"]


async def test_the_list_can_lie_about_the_transaction(client, item):
    true = (await client.control("POST", "/hot/pay", {"item_id": item})).json()["near_trx"]
    await listed(client, "SUCCESS")
    seen = {}
    for variant in ("made_up_hash", "item_as_hash", "foreign_hash", "no_hash"):
        await client.fault(service="hot", kind="wrong", variant=variant)
        seen[variant] = (await listed(client, "SUCCESS"))["near_trx"]
    assert seen["item_as_hash"] == item
    assert (seen["foreign_hash"], seen["no_hash"]) == (None, None)
    assert true not in seen.values()


async def test_an_order_may_be_carried_out_without_saying_so(client):
    await client.fault(
        service="hot", operation="merchant_item", kind="status", status=504, after=True
    )
    before = len(client.world.hot._items)
    assert (await hot(client, "POST", "/partners/merchant_item", json=ITEM)).status_code == 504
    await client.fault(service="hot", operation="merchant_item", kind="wrong", variant="no_item")
    assert (await hot(client, "POST", "/partners/merchant_item", json=ITEM)).json() == {}
    assert len(client.world.hot._items) == before + 2


async def test_a_delivery_is_unsigned_and_as_many_as_are_asked_for(client, item):
    got = []

    async def take(scope, receive, send):
        got.append(await read_request(scope, receive))
        await send_answer(send, Answer(200))

    server = Server(take)
    await server.start()
    await client.control("POST", "/hot/pay", {"item_id": item, "units": 0})
    order = {"url": server.url, "copies": 2, "event": {"memo": "fund-1", "near_trx": "x"}}
    sent = (await client.control("POST", "/hot/deliver", order)).json()
    await server.stop()
    assert [one["status"] for one in sent["answers"]] == [200, 200]
    assert [request.json_object()["item_id"] for request in got] == [item, item]
    assert got[0].json_object()["near_trx"] == "x"
    assert not [name for name in got[0].headers if "signature" in name]
    nobody = {"url": server.url, "event": {"memo": "nobody"}}
    assert (await client.control("POST", "/hot/deliver", nobody)).status_code == 409
