"""Payments of two legs while the chain misbehaves: each leg moves once, and moved means paid."""

import asyncio
import re

import pytest

from agent_runtime.near import death, resolver, sender
from sandbox.near import genesis

ASKED = 10
UNITS = 1_000_000
FIRST_LEG = 850_000
"""What the first two of the four people get: all that moves if a second leg never works."""
HALF = "❌ Payment needs a person: paid: leg 1 ("
NAMES = ("ada", "grace", "linus", "margaret")
KINDS = (
    {"kind": "wrong", "variant": "accept_then_timeout"},
    {"kind": "wrong", "variant": "silent_drop"},
    {"kind": "wrong", "variant": "failed_receipt"},
    {"kind": "wrong", "variant": "expired"},
    {"kind": "wrong", "variant": "not_enough_balance"},
    {"kind": "reset", "after": True},
    {"kind": "reset"},
    {"kind": "half", "after": True},
    {"kind": "status", "status": 503, "after": True},
)


@pytest.fixture(autouse=True)
def deadlines(monkeypatch):
    monkeypatch.setattr(sender, "SEND_SECONDS", 0.3)
    monkeypatch.setattr(sender, "RESOLVE_SECONDS", 0.3)
    monkeypatch.setattr(sender, "CLEAR_SECONDS", 0.3)
    monkeypatch.setattr(sender, "LOCK_SECONDS", 2.0)
    monkeypatch.setattr(death, "LOOK_SECONDS", 0.3)
    monkeypatch.setattr(resolver, "PAUSE_SECONDS", 0.02)


def schedule(seed):
    """Every kind of fault now and then on the way out, and a deaf look-up besides."""
    sends = [
        {"service": "near", "operation": "send_tx", "rate": 0.12, "seed": seed * 31 + n, **kind}
        for n, kind in enumerate(KINDS)
    ]
    deaf = {"service": "near", "operation": "tx", "rate": 0.3, "seed": seed, "kind": "status"}
    return [*sends, deaf]


def memos(rails):
    """The payment ids whose money moved, one for each transaction that succeeded."""
    found = [t for t in rails.transactions(genesis.USDC) if t["level"] == "FINAL"]
    return [set(re.findall(r"pay-[0-9a-f]{24}", str(t["logs"]))) for t in found]


async def settled(plane):
    async with asyncio.timeout(20):
        while True:
            left = await plane.service.sender.settle_all()
            await plane.service.payer.go_on()
            if not left and not plane.service.payer.adopt_all():
                return


def named(texts, opening):
    """The payments whose answer begins like that."""
    return {re.search(r"pay-[0-9a-f]{24}", text)[0] for text in texts if text.startswith(opening)}


@pytest.mark.parametrize("seed", range(3))
async def test_money_moves_once_if_the_ledger_says_paid_and_not_otherwise(rails, run_plane, seed):
    both = [rails.environ["NEAR_NODE_URL"]]
    both.append(rails.world.describe()["planes"]["phala"]["marked_env"]["NEAR_NODE_URL"])
    rails.environ |= {"NEAR_NODE_URL": ",".join(both), "AGENT_LEG_RECIPIENTS": "2"}
    async with run_plane(rails.environ) as plane:
        rails.fault(*schedule(seed))
        keys = [f"k{n}" for n in range(ASKED)]
        await asyncio.gather(*(plane.say("pay 1 USDC to acme/widgets", key=k) for k in keys))
        rails.heal()
        await settled(plane)
        texts = [await plane.say("pay 1 USDC to acme/widgets", key=k) for k in keys]
    assert all(t.startswith(("✅ Distributed", "❌ Payment failed", "🛑", HALF)) for t in texts), (
        texts
    )
    paid, half = (named(texts, opening) for opening in ("✅", HALF))
    moved = sum(rails.usdc(f"{name}.people.near") for name in NAMES)
    assert moved == UNITS * len(paid) + FIRST_LEG * len(half), texts
    ids = [one for found in memos(rails) for one in found]
    assert sorted(ids) == sorted([*paid, *paid, *half])
