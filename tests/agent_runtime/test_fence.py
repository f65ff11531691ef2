"""The fence ends what will not land, and nothing else; an attempt that is dead may be followed."""

import asyncio
from dataclasses import replace

import pytest

from agent_runtime.near import death, fence, resolver, sender
from agent_runtime.near.endings import Sight
from agent_runtime.near.ledger import Attempt, State
from agent_runtime.near.rpc import Rpc
from sandbox.near import genesis
from sandbox.near.provider import Provider
from sandbox.near.view import View

PAY = "pay 10 USDC to acme/widgets"
NAMES = ("ada", "grace", "linus", "margaret")


@pytest.fixture(autouse=True)
def deadlines(monkeypatch):
    monkeypatch.setattr(sender, "SEND_SECONDS", 0.15)
    monkeypatch.setattr(sender, "RESOLVE_SECONDS", 0.3)
    monkeypatch.setattr(sender, "CLEAR_SECONDS", 0.5)
    monkeypatch.setattr(death, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(fence, "FENCE_SECONDS", 0.3)
    monkeypatch.setattr(resolver, "PAUSE_SECONDS", 0.02)


@pytest.fixture
async def pair(rails, run_plane, monkeypatch):
    """A plane with two providers, which do not wait long for what was lost."""
    real = Provider.wait_for
    monkeypatch.setattr(
        Provider, "wait_for", lambda self, name, level, most: real(self, name, level, 0.1)
    )
    base = rails.world.describe()["planes"]["phala"]["marked_env"]["NEAR_NODE_URL"]
    rails.environ["NEAR_NODE_URL"] = f"{base}/~a,{base}/~b"
    async with run_plane(rails.environ) as plane:
        yield plane


def moved(rails):
    return sum(rails.usdc(f"{name}.people.near") for name in NAMES)


MORE = []
"""Rules beside the one that loses payments."""


def dropped(rails):
    """What goes to the token is accepted and lost; everything else arrives."""
    drop = {"service": "near", "operation": "send_tx", "kind": "wrong", "variant": "silent_drop"}
    rails.fault({**drop, "match": {"receiver_id": genesis.USDC}}, *MORE)


def parts(plane):
    return plane.service.sender, plane.service.payer, plane.service.payer._transactions


async def test_what_is_lost_for_long_is_fenced_dead_and_frees_its_key(pair, rails, monkeypatch):
    dropped(rails)
    text = await pair.say(PAY, key="k1")
    assert text.startswith("❌ Payment outcome unknown"), text
    out, payer, ledger = parts(pair)
    (attempt,) = ledger.open(out._public_key)
    await out.settle_all()
    assert ledger.fence_of(attempt.tx_hash) is None  # too young
    monkeypatch.setattr(fence, "FENCE_AFTER_SECONDS", 0.0)
    async with asyncio.timeout(5):
        while await out.settle_all():
            pass
    made = ledger.fence_of(attempt.tx_hash)
    assert (made.nonce, made.state, made.receiver) == (attempt.nonce, State.LANDED, genesis.AGENT)
    assert ledger.get(attempt.tx_hash).state is State.DEAD
    assert payer.adopt_all() == []
    rails.heal()
    text = await pair.say(PAY, key="k1")
    assert text.startswith(f"❌ Payment failed: fenced: transaction {made.tx_hash} took its nonce")
    assert moved(rails) == 0
    assert (await pair.say(PAY, key="k2")).startswith("✅")
    assert moved(rails) == 10_000_000


async def fenced(pair, rails, monkeypatch):
    """Pay, lose it, and go on until nothing is open."""
    dropped(rails)
    await pair.say(PAY, key="k1")
    monkeypatch.setattr(fence, "FENCE_AFTER_SECONDS", 0.0)
    out, _, ledger = parts(pair)
    (attempt,) = ledger.open(out._public_key)
    async with asyncio.timeout(5):
        while await out.settle_all():
            pass
    return ledger.get(attempt.tx_hash), ledger.fence_of(attempt.tx_hash)


@pytest.mark.parametrize("offset", [-200_000, 200_000])
async def test_a_provider_that_told_a_wrong_height_does_not_block_a_key(
    pair, rails, monkeypatch, offset
):
    """Neither while it tells one nor afterwards, nor once every block of then is old."""
    chain = rails.world.chain
    chain.views = {"a": View(height_offset=offset)}
    attempt, made = await fenced(pair, rails, monkeypatch)
    assert (attempt.state, made.state) == (State.DEAD, State.LANDED)
    monkeypatch.setattr(fence, "FENCE_AFTER_SECONDS", 60.0)
    await pair.say(PAY, key="k2")
    chain.views = {}
    chain.produce(skip=86_401)
    rails.heal()
    out = parts(pair)[0]
    async with asyncio.timeout(5):
        while await out.settle_all():
            pass
    out._block = None  # the one of before the leap is too old
    assert (await pair.say(PAY, key="k3")).startswith("✅")
    assert moved(rails) == 10_000_000


async def test_a_fence_whose_receipt_failed_has_used_its_nonce_all_the_same(
    pair, rails, monkeypatch
):
    fail = {"service": "near", "operation": "send_tx", "kind": "wrong", "variant": "failed_receipt"}
    monkeypatch.setattr(f"{__name__}.MORE", [{**fail, "match": {"receiver_id": genesis.AGENT}}])
    attempt, made = await fenced(pair, rails, monkeypatch)
    assert (attempt.state, made.state) == (State.DEAD, State.REVERTED)


async def test_a_provider_that_passes_nothing_on_does_not_hinder_a_fence(pair, rails, monkeypatch):
    """It goes to the next one as well, in the same round."""
    drop = {"service": "near", "operation": "send_tx", "kind": "wrong", "variant": "silent_drop"}
    monkeypatch.setattr(f"{__name__}.MORE", [{**drop, "match": {"provider": "a"}}])
    attempt, made = await fenced(pair, rails, monkeypatch)
    assert (attempt.state, made.state) == (State.DEAD, State.LANDED)


async def test_one_provider_alone_does_not_make_a_fence_final(pair, rails, monkeypatch):
    lie = {"service": "near", "operation": "tx", "kind": "wrong", "variant": "unknown"}
    monkeypatch.setattr(f"{__name__}.MORE", [{**lie, "match": {"provider": "b"}}])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await fenced(pair, rails, monkeypatch)
    out, _, ledger = parts(pair)
    (attempt,) = ledger.open(out._public_key)
    assert ledger.fence_of(attempt.tx_hash).state is State.LANDED


async def test_a_fence_that_comes_too_late_is_closed_and_the_payment_is_found_paid(
    pair, rails, monkeypatch
):
    """Both leave, the payment wins: the fence can never execute, and nobody takes it for proof."""
    dropped(rails)
    await pair.say(PAY, key="k1")
    out, payer, ledger = parts(pair)
    (attempt,) = ledger.open(out._public_key)
    monkeypatch.setattr(fence, "FENCE_AFTER_SECONDS", 0.0)
    drop = {"service": "near", "operation": "send_tx", "kind": "wrong", "variant": "silent_drop"}
    rails.fault(drop)  # the fence is lost as well
    await out.settle_all()
    assert ledger.fence_of(attempt.tx_hash).state is State.UNKNOWN
    rails.heal()  # the same bytes are sent again, the payment's first
    async with asyncio.timeout(5):
        while await out.settle_all():
            pass
    assert payer.adopt_all() == []
    assert ledger.get(attempt.tx_hash).state is State.LANDED
    assert ledger.fence_of(attempt.tx_hash).state is State.DEAD
    assert (await pair.say(PAY, key="k1")).startswith("✅ Distributed 10 USDC")
    assert moved(rails) == 10_000_000


@pytest.mark.parametrize(
    ("nodes", "archival", "absent", "due"),
    [
        (("first", "second"), (), True, True),
        (("first",), ("old",), True, True),
        (("first",), (), True, False),
        (("first",), ("first",), True, False),
        (("first", "second"), (), False, False),
    ],
)
def test_a_fence_is_due_only_where_two_witnesses_can_use_it_and_nobody_knows_the_bytes(
    monkeypatch, nodes, archival, absent, due
):
    monkeypatch.setattr(fence, "FENCE_AFTER_SECONDS", 0.0)
    rpc = Rpc(None, nodes, archival)
    attempt = Attempt("H", "pay-1", 1, "m", "", 7, "r", "B", 1, b"", State.UNKNOWN, "", 0.0)
    found = fence.Fencer(rpc, None, None, "us.near", None)
    assert found.is_due(Sight(attempt, absent=absent)) is due
    ended = replace(attempt, state=State.LANDED)
    assert not found.is_due(Sight(ended, absent=absent))
