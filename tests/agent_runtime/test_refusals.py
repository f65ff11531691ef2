"""A refusal is one node's word about now: it ends nothing, and makes nobody wait for long."""

import asyncio

import pytest

from agent_runtime.errors import RailUnknown
from agent_runtime.near import death, fence, resolver, sender, token
from agent_runtime.near.ledger import State
from agent_runtime.near.refusals import Refusals
from agent_runtime.near.rpc import RpcError
from sandbox.near import genesis, state

PAY = "pay 10 USDC to acme/widgets"
NAMES = ("ada", "grace", "linus", "margaret")
BROKE = RpcError("INVALID_TRANSACTION", "NotEnoughBalance", "INVALID_TRANSACTION NotEnoughBalance")


@pytest.fixture(autouse=True)
def deadlines(monkeypatch):
    monkeypatch.setattr(sender, "SEND_SECONDS", 0.5)
    monkeypatch.setattr(sender, "RESOLVE_SECONDS", 2.0)
    monkeypatch.setattr(sender, "CLEAR_SECONDS", 0.5)
    monkeypatch.setattr(death, "LOOK_SECONDS", 1.0)
    monkeypatch.setattr(fence, "FENCE_SECONDS", 1.0)
    monkeypatch.setattr(resolver, "PAUSE_SECONDS", 0.02)


@pytest.fixture
async def pair(rails, run_plane):
    """A plane with two providers."""
    base = rails.world.describe()["planes"]["phala"]["marked_env"]["NEAR_NODE_URL"]
    rails.environ["NEAR_NODE_URL"] = f"{base}/~a,{base}/~b"
    async with run_plane(rails.environ) as plane:
        yield plane


def moved(rails):
    return sum(rails.usdc(f"{name}.people.near") for name in NAMES)


def expired(**match):
    fault = {"kind": "wrong", "variant": "expired", "match": match}
    return {"service": "near", "operation": "send_tx", **fault}


async def test_what_every_provider_refuses_is_fenced_at_once_and_frees_the_key(
    pair, rails, monkeypatch
):
    monkeypatch.setattr(token, "GAS_EACH", 0)
    text = await pair.say(PAY, key="k1")
    said = "every provider refused it (INVALID_TRANSACTION ActionsValidation); fenced: transaction"
    assert text.startswith(f"❌ Payment failed: {said} "), text
    monkeypatch.undo()
    assert [one["receiver"] for one in rails.transactions()] == [genesis.AGENT]
    assert (await pair.say(PAY, key="k2")).startswith("✅ Distributed")
    assert moved(rails) == 10_000_000


async def test_what_one_provider_refuses_is_taken_by_the_next_in_the_same_request(pair, rails):
    """One that lags does not know the block that the transaction names, and calls it expired."""
    rails.fault(expired(provider="a"))
    assert (await pair.say(PAY, key="k1")).startswith("✅ Distributed 10 USDC")
    assert moved(rails) == 10_000_000


async def test_a_refusal_that_nobody_can_fence_stays_unknown_and_the_same_bytes_may_land(
    pair, rails
):
    rails.fault(expired())
    text = await pair.say(PAY, key="k1")
    said = "every provider refused it (INVALID_TRANSACTION Expired), and it is not proven dead yet;"
    assert text.startswith(f"❌ Payment outcome unknown: {said} "), text
    assert "still unresolved" in await pair.say(PAY, key="k2")
    ledger = pair.service.payer._transactions
    (attempt,) = ledger.open(pair.service.sender._public_key)
    assert ledger.fence_of(attempt.tx_hash).state is State.UNKNOWN
    rails.heal()
    assert (await pair.say(PAY, key="k1")).startswith("✅ Distributed 10 USDC")
    assert moved(rails) == 10_000_000
    assert ledger.fence_of(attempt.tx_hash).state is State.DEAD


async def test_bytes_that_one_node_took_and_all_refused_are_found_and_not_paid_again(
    pair, rails, monkeypatch
):
    """A balancer hands them to two nodes: one takes them, the other has no money any more."""
    rpc, told = pair.service.sender._rpc, []
    real = rpc.call

    async def refused_and_taken(node, method, params, seconds):
        if method == "send_tx" and len(told) < 3:
            told.append(method)
            if len(told) == 1:
                await real(node, method, {**params, "wait_until": "NONE"}, seconds)
            raise BROKE
        if method == "tx" and len(told) < 2:
            raise RpcError("UNKNOWN_TRANSACTION", "", "UNKNOWN_TRANSACTION")
        return await real(node, method, params, seconds)

    monkeypatch.setattr(rpc, "call", refused_and_taken)
    text = await pair.say(PAY, key="k1")
    assert text.startswith("✅ Distributed 10 USDC"), text
    assert moved(rails) == 10_000_000
    assert len(rails.transactions(genesis.USDC)) == 1


async def test_one_provider_alone_refuses_nothing_for_good(plane, rails):
    rails.fault(expired())
    async with asyncio.timeout(5):
        text = await plane.say(PAY, key="k1")
    assert text.startswith("❌ Payment outcome unknown: every provider refused it (")
    assert len(rails.transactions()) == 0
    rails.heal()
    assert (await plane.say(PAY, key="k1")).startswith("✅ Distributed 10 USDC")
    assert moved(rails) == 10_000_000


async def test_a_key_that_may_not_attach_money_signs_none(plane, rails, monkeypatch):
    """Such a key can change splits; what it signs beside would only be refused."""
    real = plane.service.sender._rpc._view_key

    async def limited(*given):
        return {**await real(*given), "permission": {"FunctionCall": {"allowance": None}}}

    monkeypatch.setattr(plane.service.sender._rpc, "_view_key", limited)
    text = await plane.say(PAY, key="k1")
    assert text.startswith("❌ Payment failed: near: the key ed25519:"), text
    assert "has no full access" in text
    assert rails.transactions() == []
    assert (await plane.say("create demo/fresh")).startswith("✅ Split created")


def test_only_the_newest_word_of_every_provider_counts():
    found, nodes = Refusals(), ("a", "b", "a")
    found.note("H", "a", BROKE)
    assert not found.by_all("H", nodes)
    found.note("H", "b", RpcError("INVALID_TRANSACTION", "InvalidNonce", "nonce"))
    found.note("X", "b", BROKE)
    assert not found.by_all("H", nodes)
    found.note("H", "b", BROKE)
    assert found.by_all("H", nodes)
    assert found.agreed("H") == BROKE.said
    for word in (None, RailUnknown("near", "timed out")):
        found.note("H", "b", BROKE)
        found.note("H", "b", word)
        assert not found.by_all("H", nodes)
    found.forget("H")
    assert not found.agreed("H")


async def test_what_an_account_cannot_afford_is_refused_before_anything_is_signed(pair, rails):
    """Gas is paid in NEAR, whatever the token; and some of it pays for what the account stores."""
    chain = rails.world.chain
    state.set_balance(chain.store, genesis.AGENT, 10**22)
    for _ in range(10):
        chain.produce()
    text = await pair.say(PAY, key="k1")
    assert text.startswith("❌ Payment failed: the account holds 0.00818 NEAR for gas, needs 0.1;")
    assert rails.transactions() == []
