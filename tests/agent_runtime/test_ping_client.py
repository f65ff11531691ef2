"""The client of Ping against the stand-in, over real sockets: each fault becomes what it is."""

import json
from dataclasses import replace

import httpx
import pytest
import pytest_asyncio

from agent_runtime import wire
from agent_runtime.errors import RailUnknown
from agent_runtime.near.rpc import Rpc
from agent_runtime.payouts.chain import Chain
from agent_runtime.payouts.judge import Final, Unseen
from agent_runtime.rails import ping as client
from agent_runtime.rails.ping import Ping
from agent_runtime.rails.ping_answers import Accepted, Declined, Unknown, Word
from agent_runtime.settings import Settings
from sandbox.near import genesis

pytestmark = pytest.mark.asyncio(loop_scope="module")
BODY = {
    "action": "distribute",
    "split_id": "split-1-1",
    "token": "USDC",
    "total_amount": "5",
    "recipients": [{"address": "ada.people.near", "amount": "5"}],
}
REQUEST = json.dumps(BODY).encode()
UNUSABLE = [
    *({"kind": "status", "status": status} for status in (408, 425, 429, 500, 503, 504)),
    {"kind": "reset"},
    {"kind": "half"},
    {"kind": "torn"},
    {"kind": "hang"},
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def asked(rails_of_module):
    """A client of the shared world, and what is needed to ask as somebody else."""
    connections = wire.new_client()
    yield lambda **more: Ping(
        connections, Settings.from_environ({**rails_of_module.environ, **more})
    )
    await connections.aclose()


@pytest.fixture
def ping(asked):
    return asked()


def fault(world, operation, **rule):
    world.fault({"service": "ping", "operation": operation, **rule})


async def test_an_order_is_accepted_with_its_id_and_found_again_by_it(rails_shared, ping):
    placed = await ping.place("client-1", REQUEST)
    assert isinstance(placed, Accepted)
    again = await ping.place("client-1", REQUEST)
    found = await ping.look_up(placed.remote_id)
    assert {placed.remote_id, again.remote_id, found.remote_id} == {placed.remote_id}
    assert placed.hashes == found.hashes != ()


@pytest.mark.parametrize("rule", UNUSABLE)
@pytest.mark.parametrize("operation", ["intents", "intent"])
async def test_no_usable_answer_is_unknown(rails_shared, ping, monkeypatch, operation, rule):
    monkeypatch.setattr(client, "PLACE_SECONDS", 0.2)
    monkeypatch.setattr(client, "LOOK_SECONDS", 0.2)
    fault(rails_shared, operation, **rule)
    if operation == "intents":
        assert isinstance(await ping.place("client-2", REQUEST), Unknown)
    else:
        assert isinstance(await ping.look_up("intent_1"), Unknown)


async def test_a_wrong_key_and_a_wrong_order_are_declined(rails_shared, ping, asked):
    stranger = asked(PING_PAY_API_KEY="pk_test_stranger")
    found = await stranger.place("client-3", REQUEST)
    assert (type(found), found.code) == (Declined, "INVALID_PUBLISHABLE_KEY")
    found = await ping.place("client-4", json.dumps({**BODY, "total_amount": "6"}).encode())
    assert (type(found), found.code) == (Declined, "INVALID_REQUEST")


async def test_a_2xx_without_an_id_is_unknown_and_an_unknown_word_is_none(rails_shared, ping):
    fault(rails_shared, "*", kind="wrong", variant="no_reference")
    assert isinstance(await ping.place("client-5", REQUEST), Unknown)
    fault(rails_shared, "*", kind="wrong", variant="strange_word")
    found = await ping.place("client-6", REQUEST)
    assert (type(found), found.word) == (Accepted, Word.OTHER)


async def test_both_ways_to_show_the_key_and_another_path_reach_ping(rails_shared, asked):
    bearer = asked(PING_PAY_AUTH_MODE="bearer", PING_PAY_INTENTS_PATH="v1/intents/")
    placed = await bearer.place("client-7", REQUEST)
    assert isinstance(placed, Accepted)
    assert isinstance(await bearer.look_up(placed.remote_id), Accepted)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def near(rails_of_module):
    """Chains as providers of these names show them."""
    connections, node = wire.new_client(), rails_of_module.environ["NEAR_NODE_URL"]
    yield lambda *names: Chain(Rpc(connections, tuple(f"{node}/~{name}" for name in names)))
    await connections.aclose()


async def paid(rails_shared, ping, key):
    told = await ping.place(key, REQUEST)
    await rails_shared.world.chain.wait_for(told.hashes[0], "FINAL", 5)
    return told.hashes[0]


async def test_near_shows_a_final_transaction_to_who_asks_by_its_signer(rails_shared, ping, near):
    chain = near("alpha", "beta")
    before = await chain.now_ns()
    tx_hash = await paid(rails_shared, ping, "client-8")
    seen = await chain.look(tx_hash, genesis.TREASURY)
    assert isinstance(seen, Final)
    assert (seen.landed, seen.at_ns > before, len(seen.evidence.providers)) == (True, True, 2)
    assert isinstance(await chain.look(tx_hash, genesis.AGENT), Unseen)
    assert isinstance(await chain.look(tx_hash[::-1], genesis.TREASURY), Unseen)


async def test_one_provider_that_does_not_know_it_changes_nothing(rails_shared, ping, near):
    tx_hash = await paid(rails_shared, ping, "client-9")
    lost = {"service": "near", "operation": "tx", "kind": "wrong", "variant": "unknown"}
    rails_shared.fault({**lost, "match": {"provider": "beta"}})
    assert isinstance(await near("beta", "alpha").look(tx_hash, genesis.TREASURY), Final)
    rails_shared.fault(lost)
    assert isinstance(await near("beta", "alpha").look(tx_hash, genesis.TREASURY), Unseen)


async def test_providers_that_tell_different_ends_show_nothing(
    rails_shared, ping, near, monkeypatch
):
    tx_hash = await paid(rails_shared, ping, "client-10")
    asked_node = Chain._look_at

    async def lied_to(chain, tx_hash, signer, node):
        seen = await asked_node(chain, tx_hash, signer, node)
        moved = seen.evidence.moved if node.endswith("alpha") else ()
        return replace(seen, evidence=replace(seen.evidence, moved=moved))

    monkeypatch.setattr(Chain, "_look_at", lied_to)
    seen = await near("alpha", "beta").look(tx_hash, genesis.TREASURY)
    assert seen == Unseen("providers tell of different ends")


async def test_the_time_is_the_newest_that_a_provider_tells_and_none_is_an_error(
    rails_shared, near
):
    chain = rails_shared.world.chain
    await chain.until(lambda: chain.head.height > chain.final.height + 1 or None, 2)
    for _ in range(40):
        chain.produce()
    async with httpx.AsyncClient(trust_env=False) as http:
        told = rails_shared.world.describe()
        headers = {"authorization": f"Bearer {told['control_token']}"}
        url = told["control"] + "/near/providers"
        await http.put(url, json={"late": {"lag": 30}}, headers=headers)
        late = await near("late").now_ns()
        assert await near("late", "alpha").now_ns() > late
        await http.delete(url, headers=headers)
    rails_shared.fault({"service": "near", "operation": "block", "kind": "status"})
    with pytest.raises(RailUnknown):
        await near("alpha").now_ns()
