"""The stand-in of Ping's orders: a day's memory of keys, and lies that move what they say."""

import time

import httpx
import pytest
import pytest_asyncio

from sandbox.credentials import Credentials
from sandbox.faults import Rule
from sandbox.near import genesis, ledger
from sandbox.rails.ping import KEY_SECONDS
from sandbox.world import Options, World

pytestmark = pytest.mark.asyncio(loop_scope="module")
BODY = {
    "action": "distribute",
    "token": "USDC",
    "total_amount": "7",
    "recipients": [
        {"address": "ada.people.near", "amount": "5"},
        {"address": "ken.people.near", "amount": "2"},
    ],
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared():
    world = World(Options(block_seconds=0), Credentials.generate())
    async with world.running(), httpx.AsyncClient(trust_env=False) as http:
        yield world, http


@pytest.fixture
def world(shared):
    yield shared[0]
    shared[0].faults.clear()
    shared[0].ping.clock = time.time


@pytest.fixture
def ask(shared):
    async def asked(method, path="", key=None):
        headers = {"x-api-key": shared[0].credentials.ping_key}
        headers |= {"idempotency-key": key} if key else {}
        url = f"{shared[0].urls['ping']}/api/v1/intents{path}"
        body = BODY if method == "POST" else None
        return (await shared[1].request(method, url, json=body, headers=headers)).json()

    return asked


def lie(world, variant, operation="*"):
    told = {"service": "ping", "operation": operation, "kind": "wrong", "variant": variant}
    world.faults.replace([Rule(**told)])


def usdc(world, account):
    for _ in range(8):
        world.chain.produce()
    return int(ledger.dump(world.chain)["tokens"][genesis.USDC]["balances"].get(account, 0))


async def test_a_key_is_known_for_a_day_and_orders_again_after_that(world, ask):
    before = usdc(world, "ada.people.near")
    first = await ask("POST", key="old")
    world.ping.clock = lambda: time.time() + KEY_SECONDS - 10
    again = await ask("POST", key="old")
    assert again["intent_id"] == first["intent_id"]
    world.ping.clock = lambda: time.time() + KEY_SECONDS + 10
    assert (await ask("POST", key="old"))["intent_id"] != first["intent_id"]
    assert usdc(world, "ada.people.near") == before + 10
    assert (await ask("GET", f"/{first['intent_id']}"))["status"] == "SUCCESS"


@pytest.mark.parametrize("variant", ["made_up_hash", "other_hash", "bare_hash", "no_hash"])
async def test_a_lie_about_a_payment_says_success_and_moves_nothing(world, ask, variant):
    await ask("POST", key="somebody else's")
    before = usdc(world, "ada.people.near")
    lie(world, variant)
    told = await ask("POST", key=variant)
    assert told["status"] == "SUCCESS"
    assert await ask("GET", f"/{told['intent_id']}") != {}
    world.faults.clear()
    honest = await ask("GET", f"/{told['intent_id']}")
    assert honest == {"intent_id": told["intent_id"], "status": "PENDING"}
    assert usdc(world, "ada.people.near") == before


async def test_less_pays_less_and_says_success_by_a_hash_that_is_there(world, ask):
    before = usdc(world, "ada.people.near")
    lie(world, "less", "intents")
    told = await ask("POST", key="less")
    assert usdc(world, "ada.people.near") == before + 4
    shown = await ask("GET", f"/{told['intent_id']}")
    assert (shown["status"], world.chain.knows(shown["transaction_hash"])) == ("SUCCESS", True)
