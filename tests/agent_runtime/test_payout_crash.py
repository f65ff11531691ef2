"""The runtime dies by SIGKILL around an order to Ping and comes back: paid once, or not at all."""

import asyncio
import contextlib
import json
import sqlite3
import sys

import httpx
import pytest

from agent_runtime.payouts import pingpay

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.soak]
BODY = {"text": "pay 1 USDC to acme/widgets", "author": "tester", "type": "web"}
NAMES = ("ada", "grace", "linus", "margaret")
DYING = """
import os, signal
from agent_runtime.main import main
from agent_runtime.payouts.orders import OrderBook
from agent_runtime.rails import ping
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
def after(name):
    real = getattr(OrderBook, name)
    setattr(OrderBook, name, lambda *given: (real(*given), die()))
{moment}
main()
"""


async def killed(environ, key, moment):
    """Ask the real program to pay, and see it die."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        DYING.format(moment=moment),
        env=environ,
        stderr=asyncio.subprocess.PIPE,
    )
    said = {}
    async with asyncio.timeout(20):
        while said.get("event") != "serving":
            said = json.loads(await process.stderr.readline())
    headers = {"x-agent-api-key": "test-key", "idempotency-key": key}
    url = f"http://127.0.0.1:{said['port']}/process"
    async with httpx.AsyncClient(timeout=20, trust_env=False) as client:
        with pytest.raises(httpx.HTTPError):
            await client.post(url, json=BODY, headers=headers)
    await process.communicate()
    assert process.returncode == -9


@pytest.mark.parametrize(
    ("moment", "paid"),
    [
        ("after('store')", False),
        ("after('leaves')", True),
        ("ping.ping_answers.read = die", True),
        ("after('accepted')", True),
        ("after('paid')", True),
    ],
    ids=["stored", "about to send", "sent", "accepted", "paid"],
)
async def test_killed_around_an_order_it_pays_once_or_says_that_nothing_moved(
    rails_shared, run_plane, monkeypatch, moment, paid
):
    monkeypatch.setattr(pingpay, "AGAIN_SECONDS", 0.0)
    world = {**rails_shared.environ, "AGENT_PAYOUT_RAIL": "pingpay"}
    key, before = f"killed {moment}", moved(rails_shared)
    await killed(world, key, moment)
    with contextlib.closing(sqlite3.connect(world["PAYMENTS_DB"])) as db, db:
        db.execute("UPDATE orders SET due_at = 0")  # the minute that a repetition waits is over
    async with run_plane(world) as one:
        text = await ended(one, key)
    assert text.startswith("✅" if paid else "❌ Payment failed: stopped before"), text
    assert moved(rails_shared) == before + 1_000_000 * paid


async def ended(plane, key):
    async with asyncio.timeout(10):
        while True:
            text = await plane.say(BODY["text"], key=key)
            if "unknown" not in text:
                return text
            await asyncio.sleep(0.05)


def moved(world):
    for _ in range(8):
        world.world.chain.produce()
    return sum(world.usdc(f"{name}.people.near") for name in NAMES)
