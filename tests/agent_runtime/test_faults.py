"""Money and truth while the rails misbehave."""

import asyncio
import re

import pytest

from agent_runtime.allocation import WHOLE
from agent_runtime.near import absence, contract, death, sender
from agent_runtime.near.contract import Row
from sandbox.near import genesis
from sandbox.near.payer import Payer, ft_transfer
from sandbox.near.provider import Provider

PAY = "pay 10 USDC to acme/widgets"
NAMES = ("ada", "grace", "linus", "margaret")


@pytest.fixture(autouse=True)
def deadlines(monkeypatch):
    """What takes twelve seconds in the field takes less than one here."""
    monkeypatch.setattr(sender, "SEND_SECONDS", 0.7)


@pytest.fixture
async def ready(plane):
    await plane.say("create acme/widgets")
    return plane


def moved(rails):
    return sum(rails.usdc(f"{name}.people.near") for name in NAMES)


def near(**rule):
    return {"service": "near", **rule}


ACCEPTED_BUT_NOT_SAID = [
    near(operation="send_tx", kind="wrong", variant="accept_then_timeout"),
    near(operation="send_tx", kind="reset", after=True),
    near(operation="send_tx", kind="half", after=True),
    near(operation="send_tx", kind="hang", after=True),
    near(operation="send_tx", kind="status", status=503, after=True),
    near(operation="send_tx", kind="wrong", variant="html", count=1),
    near(operation="send_tx", kind="wrong", variant="silent_drop", count=1),
    near(operation="send_tx", kind="reset", count=1),
]


@pytest.mark.parametrize("rule", ACCEPTED_BUT_NOT_SAID, ids=str)
async def test_an_unsaid_outcome_is_looked_up_and_the_money_moves_once(ready, rails, rule):
    rails.fault(rule)
    text = await ready.say(PAY)
    assert text.startswith("✅ Distributed 10 USDC"), text
    assert moved(rails) == 10_000_000


async def test_a_failed_receipt_is_a_failure_and_nothing_moves(ready, rails):
    rails.fault(near(operation="send_tx", kind="wrong", variant="failed_receipt"))
    text = await ready.say(PAY)
    assert text.startswith("❌ Payment failed: "), text
    assert "Transaction:" not in text
    assert moved(rails) == 0


@pytest.fixture
def blind(ready, rails, monkeypatch):
    """Transactions are taken, nothing is said about any of them, and nobody waits for long."""
    monkeypatch.setattr(sender, "RESOLVE_SECONDS", 0.3)
    monkeypatch.setattr(sender, "CLEAR_SECONDS", 0.3)
    monkeypatch.setattr(death, "LOOK_SECONDS", 0.3)
    rails.fault(
        near(operation="send_tx", kind="wrong", variant="accept_then_timeout"),
        near(operation="tx", kind="status", status=503),
    )


async def test_an_unknown_outcome_is_called_unknown_and_blocks_what_could_double_it(
    ready, rails, blind
):
    text = await ready.say(PAY, key="k1")
    assert text.startswith("❌ Payment outcome unknown: "), text
    assert re.search(r"(?m); payment id pay-[0-9a-f]{24}; do not retry$", text)
    count = len(rails.transactions())
    again = await ready.say(PAY)
    assert again.startswith("🛑 Payment not made: an earlier transaction ("), again
    other = await ready.say("pay 1 NEAR to acme/widgets")
    assert "still unresolved" in other
    assert "nothing was sent" in other
    assert len(rails.transactions()) == count


async def test_an_unknown_payment_settles_when_the_rail_speaks_again(
    ready, rails, blind, monkeypatch
):
    unknown = await ready.say(PAY, key="k1")
    rails.heal()
    monkeypatch.setattr(sender, "RESOLVE_SECONDS", 6.0)
    settled = await ready.say(PAY, key="k1")
    assert settled.startswith("✅ Distributed 10 USDC")
    assert re.search(r"pay-\w+", settled)[0] == re.search(r"pay-\w+", unknown)[0]
    assert moved(rails) == 10_000_000


async def test_the_round_of_settling_leaves_a_payment_in_the_making_alone(ready, rails):
    """It looks like one that stopped before it was signed, but a request is working on it."""
    rails.fault(near(operation="view_access_key", kind="latency_ms", latency_ms=300))
    paying = asyncio.create_task(ready.say(PAY))
    ledger = ready.service.payer._payments
    async with asyncio.timeout(5):
        while not ledger.open():  # noqa: ASYNC110 - the ledger has no event for it
            await asyncio.sleep(0.005)
    assert ready.service.payer.adopt_all() == []
    assert len(ledger.open()) == 1
    assert (await paying).startswith("✅ Distributed")


async def test_one_key_pays_once_however_often_it_is_asked_at_once(ready, rails):
    texts = await asyncio.gather(*(ready.say(PAY, key="k1") for _ in range(5)))
    assert len(set(texts)) == 1
    assert moved(rails) == 10_000_000


async def test_a_key_keeps_its_first_answer_even_if_the_world_changed(ready):
    first = await ready.say("pay 1 USDC to acme/no-app", key="k1")
    assert first.startswith("No split found")
    await ready.say("create acme/no-app")
    assert await ready.say("pay 1 USDC to acme/no-app", key="k1") == first
    assert (await ready.say("pay 1 USDC to acme/no-app", key="k2")).startswith("✅ Distributed")


async def test_rows_that_the_chain_does_not_hold_are_not_reported_as_created(ready, monkeypatch):
    def other_rows(split_id, rows):
        return honest(split_id, [Row("mallory", WHOLE)])

    honest = contract.update_split
    monkeypatch.setattr(contract, "update_split", other_rows)
    text = await ready.say("create demo/fresh")
    assert text.startswith("❌ Failed to create split: the chain does not hold the rows"), text


@pytest.mark.parametrize(("providers", "dead"), [(1, False), (2, True)])
async def test_an_overtaken_transaction_is_dead_only_if_two_providers_agree(
    rails, run_plane, monkeypatch, providers, dead
):
    """It never arrived, and a later transaction of the same key did."""
    monkeypatch.setattr(sender, "SEND_SECONDS", 0.2)
    monkeypatch.setattr(sender, "RESOLVE_SECONDS", 0.3)
    real = Provider.wait_for
    monkeypatch.setattr(
        Provider, "wait_for", lambda self, name, level, most: real(self, name, level, 0.1)
    )
    first = rails.environ["NEAR_NODE_URL"]
    second = rails.world.describe()["planes"]["phala"]["marked_env"]["NEAR_NODE_URL"]
    rails.environ["NEAR_NODE_URL"] = ",".join([first, second] if providers == 2 else [first, first])
    async with run_plane(rails.environ) as plane:
        rails.fault(near(operation="send_tx", kind="wrong", variant="silent_drop"))
        text = await plane.say(PAY, key="k1")
        assert text.startswith("❌ Payment outcome unknown"), text
        key = rails.world.credentials.near.planes["phala"]
        chain = rails.world.chain
        overtaking = Payer(chain, genesis.AGENT, key)
        for _ in range(2):
            overtaking.send(genesis.USDC, [ft_transfer("ada.people.near", 1, "other")])
        await asyncio.wait_for(overtaken(rails, 2), 5)
        rails.heal()
        monkeypatch.setattr(sender, "RESOLVE_SECONDS", 1.0)  # a look takes several questions
        text = await plane.say(PAY, key="k1")
        if dead:  # no node may lag so far that it does not know yet
            assert "proven not before" in text
            chain.produce(skip=absence.MARGIN_BLOCKS)
            monkeypatch.setattr(sender, "RESOLVE_SECONDS", 10)  # for as long as a proof takes
            text = await plane.say(PAY, key="k1")
    if dead:
        assert text.startswith("❌ Payment failed: overtaken: "), text
    else:
        assert text.startswith("❌ Payment outcome unknown: "), text
    assert moved(rails) == 2


async def overtaken(rails, count):
    while sum(t["level"] == "FINAL" for t in rails.transactions(genesis.USDC)) < count:  # noqa: ASYNC110 - the chain has no event for it
        await asyncio.sleep(0.01)


async def test_one_key_is_one_request(ready, rails):
    await ready.say(PAY, key="k1")
    answer = await ready.process("pay 11 USDC to acme/widgets", key="k1")
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_key_reused")
    other_author = await ready.process(PAY, key="k1", author="mallory")
    assert other_author.status_code == 409
    assert moved(rails) == 10_000_000


async def test_payments_side_by_side_use_nonces_of_their_own(ready, rails):
    texts = await asyncio.gather(*(ready.say(PAY, key=f"k{n}") for n in range(3)))
    paid = [text for text in texts if text.startswith("✅")]
    assert paid
    assert moved(rails) == 10_000_000 * len(paid)


async def test_a_dead_chain_stops_create_and_pay_before_anything_is_signed(ready, rails):
    rails.fault(near(kind="status", status=503))
    text = await ready.say(PAY)
    assert text.startswith("❌ Payment failed: near: ")
    assert text.endswith("nothing was sent")
    assert (await ready.say("create demo/alpha")).startswith("❌ Failed to create split: near:")


async def test_without_a_verified_answer_there_is_no_insight_and_no_proof(plane, rails):
    for variant in ("bad_signature", "no_grant", "success_false"):
        rails.fault({"service": "eigenai", "kind": "wrong", "variant": variant})
        text = await plane.say("analyze acme/widgets")
        assert "AI insight: not available (" in text
        assert "🛡️" not in text
        assert "🔗" not in text
        assert "🥇 ada: 60 commits (60%)" in text


async def test_analyze_goes_on_without_near_and_says_so(plane, rails):
    rails.fault(near(kind="reset"))
    text = await plane.say("analyze acme/widgets")
    assert "Verification coverage: not available (near:" in text
    assert "🔗 Proof: " in text


CANARY_FAULTS = [
    ({"service": "github", "kind": "wrong", "variant": "bad_credentials"}, "github", False),
    ({"service": "github", "kind": "wrong", "variant": "not_found"}, "github", False),
    (near(kind="status", status=500), "near", False),
    (near(kind="wrong", variant="html"), "near", False),
    ({"service": "eigenai", "kind": "wrong", "variant": "success_false"}, "eigenai", False),
    ({"service": "eigenai", "kind": "wrong", "variant": "no_grant"}, "eigenai", False),
    ({"service": "ping", "kind": "wrong", "variant": "not_found"}, "pingpay", True),
    ({"service": "hot", "kind": "wrong", "variant": "html"}, "hotpay", True),
    ({"service": "hot", "kind": "half"}, "hotpay", True),
]


async def test_the_canary_judges_each_answer(plane, rails):
    for rule, service, ok in CANARY_FAULTS:
        rails.fault(rule)
        answer = await plane.canary()
        body = answer.json()
        assert body["checks"][service]["ok"] is False, rule
        assert body["ok"] is ok, rule
        assert answer.status_code == (200 if ok else 503)
        health = (await plane.client.get("/health")).json()
        assert health["services"][service] == "unavailable"
        assert all(check["ok"] for name, check in body["checks"].items() if name != service)


async def test_a_canary_log_that_cannot_be_written_does_not_hide_the_result(plane, tmp_path):
    (tmp_path / "logs").write_text("in the way")
    assert (await plane.canary()).json()["ok"] is True


async def test_one_payment_rail_must_be_well(plane, rails):
    rails.fault(
        {"service": "ping", "kind": "wrong", "variant": "not_found"},
        {"service": "hot", "kind": "status", "status": 500},
    )
    assert (await plane.canary()).json()["ok"] is False
