"""Ping pays, or lies, end to end: paid is only what NEAR shows, and only Ping ever acts."""

import asyncio
import json
import re
import time

import pytest
import pytest_asyncio

from agent_runtime.errors import SettingsError
from agent_runtime.near import ledger
from agent_runtime.payouts import pingpay
from agent_runtime.settings import Settings
from sandbox.near import genesis
from sandbox.rails import webhooks

pytestmark = pytest.mark.asyncio(loop_scope="module")
PAY = "pay 1 USDC to acme/widgets"
NAMES = ("ada", "grace", "linus", "margaret")
LIES = ["made_up_hash", "other_hash", "bare_hash", "no_hash", "pending", "strange_word"]
DECLINED_KEY = "pk_test_somebody_elses"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(pingpay, "FOLLOW_SECONDS", 0.6)
    monkeypatch.setattr(pingpay, "FOLLOW_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(pingpay, "AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(pingpay, "LOOK_AGAIN_SECONDS", 0.0)


@pytest.fixture
def world(rails_shared):
    rails_shared.environ["AGENT_PAYOUT_RAIL"] = "pingpay"
    return rails_shared


@pytest.fixture
def plane(world, run_plane):
    return lambda **more: run_plane({**world.environ, **more})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one_of_module(rails_of_module, run_plane_of_module):
    """A plane that tests share: each names its payment by a key of its own."""
    more = {"AGENT_PAYOUT_RAIL": "pingpay", "AGENT_DAILY_PAYOUT_AMOUNT": "1000"}
    async with run_plane_of_module({**rails_of_module.environ, **more}) as found:
        yield found


@pytest.fixture
def one(one_of_module, world):
    return one_of_module


def lie(world, variant, operation="*"):
    rule = {"service": "ping", "operation": operation, "kind": "wrong", "variant": variant}
    world.fault(rule)


def moved(world):
    """All that has left so far, and what an earlier test may have left on its way."""
    for _ in range(8):
        world.world.chain.produce()
    return sum(world.usdc(f"{name}.people.near") for name in NAMES)


def acted(world):
    """What else than Ping could have moved money."""
    calls = world.world.calls
    return calls["near.send_tx"], calls["hot.merchant_item"]


async def told(plane, text):
    payment_id = re.search(r"(?:payment id|🧾 Payment:) ([\w-]+)", text)[1]
    headers = {"x-agent-api-key": "test-key"}
    return (await plane.client.get(f"/payments/{payment_id}", headers=headers)).json()


async def ended(plane, key):
    """The answer once the payment is settled; asking for it looks it up."""
    async with asyncio.timeout(10):
        while True:
            text = await plane.say(PAY, key=key)
            if "unknown" not in text:
                return text
            await asyncio.sleep(0.02)


async def test_ping_pays_and_the_answer_names_rail_and_transaction(world, one):
    before, others = moved(world), acted(world)
    text = await one.say(PAY, key="good")
    document = await told(one, text)
    receipt = re.search(r"/receipts/\S+", text)[0]
    shown = (await one.client.get(receipt, headers={"accept": "application/json"})).json()
    lines = text.splitlines()
    assert lines[0].endswith("payout-eligible verified contributors via pingpay!")
    assert "Payment mode: agent_rails_pingpay" in lines
    (leg,) = document["legs"]
    assert (document["rail"], document["state"], leg["state"]) == ("pingpay", "paid", "paid")
    assert f"🔗 Transaction: {document['transaction']}" in lines
    assert leg["order"]["evidence"]["signer"] == genesis.TREASURY
    assert (leg["order"]["sent"], leg["order"]["said"]["status"]) == (1, "SUCCESS")
    assert (shown["rail"], shown["proof"]["transaction"]) == ("pingpay", document["transaction"])
    assert moved(world) == before + 1_000_000
    assert acted(world) == others


@pytest.mark.parametrize("variant", LIES)
async def test_no_lie_is_paid(world, one, variant, monkeypatch):
    before, others = moved(world), acted(world)
    await one.say(PAY, key=f"before {variant}")
    paid = moved(world)
    monkeypatch.setattr(pingpay, "FOLLOW_SECONDS", 0.05)
    lie(world, variant)
    texts = [await one.say(PAY, key=variant)]
    await one.service.payouts.settle_due()
    texts += [await one.say(PAY, key=variant) for _ in range(2)]
    document = await told(one, texts[-1])
    assert paid == before + 1_000_000
    assert moved(world) == paid
    assert not [text for text in texts if "🔗" in text or "✅" in text or "Distributed" in text]
    assert document["transaction"] is None
    expected = "review" if variant == "other_hash" else "unknown"
    assert document["state"] == expected
    assert acted(world) == others


async def test_what_pays_less_than_it_says_needs_a_person(world, one):
    before = moved(world)
    lie(world, "less", "intents")
    text = await one.say(PAY, key="less")
    document = await told(one, text)
    receipt = re.search(r"/receipts/\S+", text)[0]
    shown = (await one.client.get(receipt, headers={"accept": "application/json"})).json()
    assert (shown["transaction"], shown["proofs"]) == (None, [])
    assert text.startswith("❌ Payment needs a person: pingpay says SUCCESS by ")
    assert (document["state"], document["needsPerson"]) == ("review", True)
    assert moved(world) == before + 999_999
    assert "🔗" not in text


@pytest.mark.parametrize("variant", ["failed", "failed_after"])
async def test_failed_is_no_proof_and_needs_a_person(world, one, variant):
    lie(world, variant)
    text = await one.say(PAY, key=variant)
    assert text.startswith("❌ Payment needs a person: pingpay says that it failed")
    assert "money may have moved" in text


ACCEPTED_UNSAID = [
    {"kind": "status", "status": 504, "after": True},
    {"kind": "reset", "after": True},
    {"kind": "half", "after": True},
    {"kind": "wrong", "variant": "no_reference"},
]


@pytest.mark.parametrize("fault", ACCEPTED_UNSAID)
async def test_accepted_and_not_told_is_paid_once_and_said_after_it_was_looked_up(
    world, one, fault
):
    before, others = moved(world), acted(world)
    key = str(fault)
    world.fault({"service": "ping", "operation": "intents", "count": 1, **fault})
    text = await one.say(PAY, key=key)
    assert text.startswith("❌ Payment outcome unknown: pingpay: ")
    assert (await ended(one, key)).startswith("✅ Distributed 1 USDC to ")
    assert moved(world) == before + 1_000_000
    assert acted(world) == others


async def test_a_reset_before_anything_was_done_is_unknown_and_paid_once_as_well(world, one):
    before = moved(world)
    world.fault({"service": "ping", "operation": "intents", "count": 1, "kind": "reset"})
    assert "unknown" in await one.say(PAY, key="reset")
    assert "✅" in await ended(one, "reset")
    assert moved(world) == before + 1_000_000


async def test_a_refusal_is_a_failure_with_nothing_moved(world, plane):
    before, others = moved(world), acted(world)
    async with plane(PING_PAY_API_KEY=DECLINED_KEY) as one:
        text = await one.say(PAY, key="declined")
        document = await told(one, text)
    assert text.startswith("❌ Payment failed: pingpay refused it: INVALID_PUBLISHABLE_KEY")
    assert (document["state"], document["legs"][0]["order"]["state"]) == ("failed", "declined")
    assert (moved(world), acted(world)) == (before, others)


async def test_a_start_looks_up_what_was_open_and_a_payment_keeps_its_rail(world, run_plane):
    before, others = moved(world), acted(world)
    world.fault({"service": "ping", "operation": "intent", "kind": "status"})
    async with run_plane(world.environ) as one:
        assert "unknown" in await one.say(PAY, key="restarted")
    world.heal()
    async with run_plane({**world.environ, "AGENT_PAYOUT_RAIL": "near"}) as one:
        (state,) = one.service.payments.states()
        text = await one.say(PAY, key="restarted")
    assert state == "paid"  # before anybody asked
    assert text.startswith("✅ Distributed")
    assert "via pingpay!" in text
    assert (moved(world), acted(world)) == (before + 1_000_000, others)


async def test_by_default_near_pays_and_ping_is_not_asked(world, run_plane):
    del world.environ["AGENT_PAYOUT_RAIL"]
    orders = world.world.calls["ping.intents"]
    async with run_plane(world.environ) as one:
        text = await one.say(PAY, key="near")
        document = await told(one, text)
    assert "via near!" in text
    assert (document["rail"], document["legs"][0]["order"]) == ("near", None)
    assert world.world.calls["ping.intents"] == orders


async def deliver(plane, remote_id, *, form=""):
    event = {"paymentId": remote_id, "form": form}
    secret = plane.service.settings.ping_secrets[0]
    made = webhooks.ping(secret, int(time.time()), event)
    answers = [
        await plane.client.post("/webhook/pingpay", content=made.body, headers=made.headers)
        for _ in range(2)
    ]
    return [answer.status_code for answer in answers]


@pytest.mark.parametrize("form", ["", "t"])
async def test_a_delivery_leads_to_a_look_and_is_not_believed_itself(world, one, form, monkeypatch):
    monkeypatch.setattr(pingpay, "FOLLOW_SECONDS", 0.0)
    world.fault({"service": "ping", "operation": "intent", "kind": "status"})
    key = f"delivered{form}"
    document = await told(one, await one.say(PAY, key=key))
    order = document["legs"][0]["order"]
    assert await deliver(one, order["remote"], form=form) == [200, 401]
    assert one.service.payments.get(document["id"]).state == "unknown"
    world.heal()
    await until_paid(one, document["id"], order["remote"])


async def until_paid(plane, payment_id, remote_id):
    async with asyncio.timeout(10):
        while plane.service.payments.get(payment_id).state != "paid":
            assert await deliver(plane, remote_id) == [200, 401]
            await asyncio.sleep(0.02)


async def test_a_delivery_about_nobody_s_order_is_taken_and_asks_nothing(world, one):
    asked = world.world.calls["ping.intent"]
    assert await deliver(one, "intent_of_somebody") == [200, 401]
    assert not one.service.nudges._waiting
    assert world.world.calls["ping.intent"] == asked


async def test_a_delivery_about_what_has_ended_asks_nothing(world, one):
    document = await told(one, await one.say(PAY, key="ended"))
    asked = world.world.calls["ping.intent"]
    remote = document["legs"][0]["order"]["remote"]
    assert await deliver(one, remote) == [200, 401]
    assert not one.service.nudges.hint("pingpay", remote)
    assert world.world.calls["ping.intent"] == asked


async def test_nothing_is_ordered_that_ping_could_not_pay_or_somebody_not_receive(world, plane):
    orders = world.world.calls["ping.intents"]
    async with plane(PING_PAY_ACCOUNT="gitsplits-owner.near") as one:
        text = await one.say(PAY, key="poor")
    assert text.startswith("❌ Payment failed: gitsplits-owner.near holds 0 of ")
    async with plane() as one:
        await one.say("create acme/unregistered")
        text = await one.say("pay 1 USDC to acme/unregistered", key="strangers")
    assert "not registered with" in text
    assert world.world.calls["ping.intents"] == orders


async def test_ready_wants_ping_well_only_where_ping_pays(world, plane):
    async with plane() as one:
        world.fault({"service": "ping", "operation": "probe", "kind": "wrong"})
        await one.canary()
        assert "pingpay is not well (see /canary)" in one.service.health.reasons()
    async with plane(AGENT_PAYOUT_RAIL="near") as one:
        await one.canary()
        assert "pingpay is not well (see /canary)" not in one.service.health.reasons()


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"PING_PAY_API_KEY": ""}, "PING_PAY_API_KEY: unset"),
        ({"PING_PAY_API_KEY": "placeholder"}, "PING_PAY_API_KEY: unset"),
        ({"PING_PAY_ACCOUNT": ""}, "PING_PAY_ACCOUNT: unset"),
        ({"PING_PAY_ACCOUNT": genesis.AGENT}, "PING_PAY_ACCOUNT: it is NEAR_ACCOUNT_ID"),
        ({"AGENT_PAYOUT_RAIL": "hot"}, "AGENT_PAYOUT_RAIL: unknown"),
        ({"PING_PAY_KEY_HOURS": "25"}, "PING_PAY_KEY_HOURS: not hours"),
    ],
)
async def test_a_rail_that_could_not_pay_is_refused_at_the_start(world, more, named):
    with pytest.raises(SettingsError, match=named):
        Settings.from_environ({**world.environ, **more})


async def test_the_ledger_has_the_order_s_bytes_and_nothing_signed(world, one):
    document = await told(one, await one.say(PAY, key="bytes"))
    order = one.service.payer._orders.of_payment(document["id"])
    assert json.loads(order.request)["recipients"]
    assert ledger.TransactionLedger(one.service.db).of(document["id"]) == []
