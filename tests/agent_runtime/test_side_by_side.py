"""Many callers at once: one split of a repository, payments of one key in order, none lost."""

import asyncio
import re
from collections import Counter

import pytest

from agent_runtime.near import sender
from sandbox.near import genesis
from sandbox.near.borsh import FunctionCall
from sandbox.near.payer import Payer
from sandbox.world import Options, World

FRESH = "create demo/fresh"
PAY = "pay 10 USDC to acme/widgets"
PAYMENTS = 8


def methods(rails):
    """How often each method of the split contract was called by a transaction."""
    found = [record.signed.transaction for record in rails.world.chain.records.values()]
    calls = [a for t in found if t.receiver_id == genesis.SPLITS for a in t.actions]
    return Counter(call.method_name for call in calls)


async def test_many_at_once_create_one_split_with_one_pair_of_transactions(plane, rails):
    texts = await asyncio.gather(*(plane.say(FRESH) for _ in range(6)))
    verbs = Counter(re.match(r"✅ Split (created|already exists) for", text)[1] for text in texts)
    assert verbs == {"created": 1, "already exists": 5}
    assert methods(rails)["create_split"] == methods(rails)["update_split"] == 1


class Late:
    """A view of the contract that does not show the split of a repository the first times."""

    def __init__(self, contract, times):
        self._contract = contract
        self._times = times

    def __getattr__(self, name):
        return getattr(self._contract, name)

    async def split_of(self, repo_url):
        self._times -= 1
        return None if self._times >= 0 else await self._contract.split_of(repo_url)


def make_late(plane):
    splitter = plane.service.processor._crew.chain.splitter
    splitter._contract = Late(splitter._contract, 2)


async def test_a_split_that_the_other_plane_made_meanwhile_is_there_already(
    plane, rails, run_plane, tmp_path
):
    other = rails.world.describe()["planes"]["hetzner"]["env"]
    told = {**rails.environ, **other, "PAYMENTS_DB": str(tmp_path / "other.db")}
    async with run_plane(told) as second:
        assert (await second.say(FRESH)).startswith("✅ Split created")
    make_late(plane)
    text = await plane.say(FRESH)
    assert text.startswith("✅ Split already exists for github.com/demo/fresh!"), text
    assert methods(rails)["create_split"] == 2
    assert methods(rails)["update_split"] == 1


async def test_a_split_that_the_other_plane_left_empty_is_finished(plane, rails):
    await plane.say("create demo/other")  # registers the worker
    key = rails.world.credentials.near.planes["hetzner"]
    args = b'{"repo_url": "github.com/demo/fresh", "owner": "x.near"}'
    call = FunctionCall("create_split", args, 10**14, 0)
    Payer(rails.world.chain, genesis.AGENT, key).send(genesis.SPLITS, [call])
    async with asyncio.timeout(5):
        while not any(s["repo_url"].endswith("demo/fresh") for s in rails.books["splits"]):  # noqa: ASYNC110 - the chain has no event for it
            await asyncio.sleep(0.01)
    make_late(plane)
    text = await plane.say(FRESH)
    assert text.startswith("✅ Split updated for github.com/demo/fresh!"), text
    split = next(s for s in rails.books["splits"] if s["repo_url"].endswith("demo/fresh"))
    assert sum(int(row["percentage"]) for row in split["contributors"]) == 10**23


async def test_two_planes_that_create_at_once_both_succeed(plane, rails, run_plane, tmp_path):
    other = rails.world.describe()["planes"]["hetzner"]["env"]
    told = {**rails.environ, **other, "PAYMENTS_DB": str(tmp_path / "other.db")}
    async with run_plane(told) as second:
        names = [f"create demo/both-{n}" for n in range(3)]
        asked = [one.say(name) for name in names for one in (plane, second)]
        texts = await asyncio.gather(*asked)
    assert all(text.startswith("✅ Split ") for text in texts), texts
    assert len([s for s in rails.books["splits"] if "demo/both-" in s["repo_url"]]) == 3


async def test_two_payments_to_one_repository_are_both_made_and_one_key_pays_once(plane, rails):
    asked = [plane.say(PAY, author=name) for name in ("one", "two")]
    asked += [plane.say(PAY, key="k1") for _ in range(3)]
    texts = await asyncio.gather(*asked)
    assert all(text.startswith("✅ Distributed 10 USDC") for text in texts), texts
    references = {re.search(r"🔗 Transaction: (\S+)", text)[1] for text in texts}
    assert len(references) == 3
    assert {t["hash"] for t in rails.transactions(genesis.USDC)} == references


@pytest.fixture
async def slow_finality(monkeypatch, credentials):
    """A world in which a block is final only when twenty newer ones stand on it."""
    options = Options(block_seconds=0.02, finality_lag=20, rpc_wait_seconds=10.0)
    async with World(options, credentials).running() as world:
        yield world


async def test_payments_of_one_key_go_out_in_order_without_waiting_for_finality(
    slow_finality, run_plane, tmp_path
):
    world = slow_finality
    told = {
        **world.describe()["planes"]["phala"]["env"],
        "HOST": "127.0.0.1",
        "PORT": "0",
        "AGENT_SERVER_API_KEY": "test-key",
        "AGENT_KEYLESS_PAY": "execute",
        "PAYMENTS_DB": str(tmp_path / "payments.db"),
        "AGENT_LOG_DIR": str(tmp_path / "logs"),
    }
    async with run_plane(told) as plane:
        texts = await asyncio.gather(*(plane.say(PAY, key=f"k{n}") for n in range(PAYMENTS)))
    assert all(text.startswith("✅ Distributed") for text in texts), texts
    sent = world.chain.records.values()
    ours = [r for r in sent if r.signed.transaction.receiver_id == genesis.USDC]
    ours.sort(key=lambda record: record.signed.transaction.nonce)
    heights = [record.conversion.block.height for record in ours]
    assert len(heights) == PAYMENTS
    assert heights == sorted(heights)
    assert heights[-1] - heights[0] < 20 * (PAYMENTS - 1) // 2


async def test_who_cannot_get_a_turn_is_declined_and_nothing_is_signed(plane, rails, monkeypatch):
    monkeypatch.setattr(sender, "LOCK_SECONDS", 0.05)
    before = len(rails.transactions())
    async with plane.service.sender._lock:
        paid, made = await asyncio.gather(plane.say(PAY, key="k1"), plane.say(FRESH))
    assert re.fullmatch(
        r"🛑 Payment not made: others are before it; nothing was sent, ask again;"
        r" payment id pay-[0-9a-f]{24}(\n🧾 Receipt: \S+)?",
        paid,
    )
    assert made == "🛑 Split not changed: others are before it; nothing was sent, ask again"
    assert len(rails.transactions()) == before
    assert await plane.say(PAY, key="k1") == paid
    assert (await plane.say(PAY)).startswith("✅ Distributed")


async def test_an_account_that_was_registered_is_not_asked_about_at_every_payment(plane, rails):
    await plane.say(PAY)
    before = rails.world.calls["near.call_function"]
    assert (await plane.say(PAY)).startswith("✅ Distributed")
    assert rails.world.calls["near.call_function"] - before == 3  # split, wallets, balance
