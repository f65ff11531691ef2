"""Providers of one chain that disagree, and blocks that are taken back, over real sockets."""

import pytest

from sandbox.near import genesis
from sandbox.near.borsh import decode_signed
from sandbox.near.payer import ft_transfer
from sandbox.near.view import VIEWS
from sandbox.world import Options, World

ADA = "ada.people.near"


@pytest.fixture
async def still(client):
    """The client of a second world, in which a block is made only when the test says so."""
    async with World(
        Options(block_seconds=0, rpc_wait_seconds=0.2), client.credentials
    ).running() as world:
        yield type(client)(world, client.http)


async def blocks(still, count=1, **more):
    answer = await still.control("POST", "/near/blocks", {"count": count, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def look(still, raw, provider="", level="NONE"):
    """The status of a transaction as a provider tells it, or the cause of its refusal."""
    params = {"tx_hash": decode_signed(raw).hash, "sender_account_id": genesis.AGENT}
    base = still.urls["near"] + (f"/~{provider}" if provider else "")
    found = (await still.rpc("tx", {**params, "wait_until": level}, base=base)).json()
    if "error" in found:
        return found["error"]["cause"]["name"]
    return found["result"]["final_execution_status"]


async def height(still, provider="", finality="final"):
    base = still.urls["near"] + (f"/~{provider}" if provider else "")
    return (await still.rpc("block", {"finality": finality}, base=base)).json()["result"]["header"][
        "height"
    ]


async def key_nonce(still, provider="", finality="final"):
    params = {
        "request_type": "view_access_key",
        "finality": finality,
        "account_id": genesis.AGENT,
        "public_key": still.credentials.near.planes["phala"].public,
    }
    base = still.urls["near"] + (f"/~{provider}" if provider else "")
    return (await still.rpc("query", params, base=base)).json()["result"]["nonce"]


async def see(still, **views):
    answer = await still.control("PUT", "/near/providers", views)
    assert answer.status_code == 200, answer.text


async def pay(still, amount=5):
    raw = still.payer().sign(genesis.USDC, [ft_transfer(ADA, amount)])
    await still.send(raw, wait_until="NONE")
    return raw


async def reorg(still, **order):
    answer = await still.control("POST", "/near/reorg", order)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_transaction_that_was_executed_is_gone_with_its_blocks_and_its_nonce(still):
    before, held = await key_nonce(still, finality="optimistic"), await still.usdc_of(ADA)
    raw = await pay(still)
    made = await blocks(still, 2)
    assert await look(still, raw) == "EXECUTED_OPTIMISTIC"
    assert await still.usdc_of(ADA) == held + 5
    said = await reorg(still, blocks=2)
    assert said["vanished"] == [decode_signed(raw).hash]
    assert said["final"] == made["final"]
    assert await look(still, raw) == "UNKNOWN_TRANSACTION"
    assert await still.usdc_of(ADA) == held
    assert await key_nonce(still, finality="optimistic") == before
    assert (await blocks(still))["head"] > made["head"]


async def test_what_vanished_lands_later_by_itself_if_so_ordered(still):
    raw = await pay(still)
    await blocks(still, 2)
    await reorg(still, blocks=2, return_after=2)
    await blocks(still, 2)
    assert await look(still, raw) == "UNKNOWN_TRANSACTION"
    await blocks(still)
    assert await look(still, raw) == "INCLUDED"
    await blocks(still, 4)
    assert await look(still, raw) == "FINAL"
    assert await still.usdc_of(ADA) == 5


async def test_what_vanished_for_good_lands_when_the_same_bytes_are_sent_again_and_once(still):
    raw = await pay(still)
    await blocks(still, 1)
    await reorg(still, blocks=1)
    await blocks(still, 5)
    assert await look(still, raw) == "UNKNOWN_TRANSACTION"
    for _ in range(2):
        await still.send(raw, wait_until="NONE")
    await blocks(still, 4)
    assert await look(still, raw) == "FINAL"
    assert await still.usdc_of(ADA) == 5


async def test_overtaken_while_it_was_gone_it_never_lands(still):
    payer = still.payer()
    first = payer.sign(genesis.USDC, [ft_transfer(ADA, 5)])
    second = payer.sign(genesis.USDC, [ft_transfer(ADA, 7)])
    await still.send(first, wait_until="NONE")
    await blocks(still)
    await reorg(still, blocks=1, return_after=1)
    await still.send(second, wait_until="NONE")
    await blocks(still, 6)
    assert await look(still, first) == "UNKNOWN_TRANSACTION"
    assert await still.usdc_of(ADA) == 7


async def test_a_receipt_alone_can_be_taken_back_and_runs_again(still):
    raw = await pay(still)
    await blocks(still, 2)
    assert (await reorg(still, blocks=1))["vanished"] == []
    assert await look(still, raw) == "INCLUDED"
    assert await still.usdc_of(ADA) == 0
    await blocks(still, 3)
    assert await look(still, raw) == "FINAL"
    assert await still.usdc_of(ADA) == 5


async def test_a_failed_receipts_refund_is_taken_back_with_it_and_made_once(still):
    await still.fault(service="near", operation="send_tx", kind="wrong", variant="failed_receipt")
    account = {
        "request_type": "view_account",
        "finality": "optimistic",
        "account_id": genesis.AGENT,
    }
    raw = await pay(still)
    await blocks(still, 3)
    once = (await still.rpc("query", account)).json()["result"]["amount"]
    await reorg(still, blocks=2)
    assert (await still.rpc("query", account)).json()["result"]["amount"] != once
    await blocks(still, 5)
    assert (await still.rpc("query", account)).json()["result"]["amount"] == once
    assert await look(still, raw) == "FINAL"


async def test_what_is_final_is_never_taken_back(still):
    raw = await pay(still)
    await blocks(still, 4)
    assert await look(still, raw) == "FINAL"
    final = await height(still)
    assert (await reorg(still, blocks=50))["vanished"] == []
    assert await height(still) == final
    assert await look(still, raw) == "FINAL"


async def test_a_lagging_provider_shows_the_chain_as_it_was(still):
    await see(still, slow={"lag": 3})
    before, nonce = await height(still), await key_nonce(still)
    raw = await pay(still)
    await blocks(still, 4)
    assert (await look(still, raw), await look(still, raw, "slow")) == ("FINAL", "INCLUDED")
    assert await height(still) == await height(still, "slow") + 3
    assert await key_nonce(still) > nonce
    assert await key_nonce(still, "slow") == nonce
    assert await look(still, raw, "slow", "FINAL") == "TIMEOUT_ERROR"
    await blocks(still, 3)
    assert await look(still, raw, "slow", "FINAL") == "FINAL"
    assert await height(still, "slow") == before + 4


async def test_a_provider_that_is_no_archive_forgets_transactions_and_blocks(still):
    await see(still, pruned={"forgets_after": 10})
    raw = await pay(still)
    await blocks(still, 8)
    assert await look(still, raw, "pruned") == "FINAL"
    await blocks(still, 8)
    assert await look(still, raw, "pruned") == "UNKNOWN_TRANSACTION"
    assert await look(still, raw) == "FINAL"
    # after that it takes the bytes for another transaction with a used nonce (rails §2.3)
    base = still.urls["near"] + "/~pruned"
    again = await still.send(raw, wait_until="NONE", base=base)
    assert "InvalidNonce" in again["error"]["data"]["TxExecutionError"]["InvalidTxError"]
    assert await still.usdc_of(ADA) == 5


async def test_a_provider_can_tell_other_heights(still):
    await see(still, high={"height_offset": 100_000})
    assert await height(still, "high") == await height(still) + 100_000


@pytest.mark.parametrize("order", ["round", "drawn"])
async def test_a_balancer_answers_each_call_from_one_of_its_nodes(still, order):
    await blocks(still, 9)
    await see(still, mixed={"nodes": [{}, {"lag": 7}], "order": order, "seed": 3})
    newest = await height(still)
    told = [await height(still, "mixed") for _ in range(12)]
    assert set(told) == {newest, newest - 7}
    assert (told == [newest, newest - 7] * 6) is (order == "round")


async def test_one_provider_can_lie_that_it_knows_nothing(still):
    raw = await pay(still)
    await blocks(still, 4)
    await still.fault(
        service="near", operation="tx", kind="wrong", variant="unknown", match={"provider": "liar"}
    )
    assert await look(still, raw, "liar") == "UNKNOWN_TRANSACTION"
    assert await look(still, raw, "honest") == "FINAL"
    assert await look(still, raw, "phala/~honest") == "FINAL"
    assert await look(still, raw, "phala/~liar") == "UNKNOWN_TRANSACTION"


async def test_heights_without_a_block_age_signed_bytes_at_once(still):
    raw = still.payer().sign(genesis.USDC, [ft_transfer(ADA, 5)])
    before = await height(still, finality="optimistic")
    await blocks(still, 1, skip=86_401)
    assert await height(still, finality="optimistic") == before + 86_402
    refused = await still.send(raw, wait_until="NONE")
    assert refused["error"]["data"]["TxExecutionError"]["InvalidTxError"] == "Expired"


async def test_views_that_mean_nothing_and_orders_that_cannot_be_are_refused(still):
    for views in ({"a": {"lag": 101}}, {"a": {"typo": 1}}, {"a": {"nodes": []}}, [1]):
        assert (await still.control("PUT", "/near/providers", views)).status_code == 422
    assert (await still.control("POST", "/near/reorg", {"blocks": 0})).status_code == 422
    assert (await still.control("POST", "/near/blocks", {"skip": -1})).status_code == 422
    await see(still, slow={"lag": 3})
    shown = (await still.control("GET", "/near/providers")).json()
    assert VIEWS.validate_python(shown)["slow"].lag == 3
    assert (await still.control("DELETE", "/near/providers")).json() == {}


async def test_an_archive_knows_a_block_of_many_heights_ago(still):
    raw = await pay(still)
    old = (await still.rpc("block", {"finality": "final"})).json()["result"]["header"]
    await blocks(still, 4)
    for _ in range(5):
        await blocks(still, 1, skip=86_401)
    asked = (await still.rpc("block", {"block_id": old["hash"]})).json()["result"]["header"]
    assert asked["height"] == old["height"]
    assert await look(still, raw) == "FINAL"
