"""A payment that moved nothing may be signed anew under its id; one in other words joins it."""

import asyncio

import pytest

from agent_runtime.grammar import Pay, Repo
from agent_runtime.intents.pay import origin_of
from agent_runtime.near import sender
from agent_runtime.near.endings import Sight
from agent_runtime.near.ledger import State
from agent_runtime.payments import PaymentState
from agent_runtime.settlement import ATTEMPTS_MAX
from sandbox.near import genesis

PAY = "pay 10 USDC to acme/widgets"
ASKED = Pay(Repo("acme", "widgets"), "10", "USDC")
NAMES = ("ada", "grace", "linus", "margaret")


def moved(rails):
    return sum(rails.usdc(f"{name}.people.near") for name in NAMES)


def failing():
    return {"service": "near", "operation": "send_tx", "kind": "wrong", "variant": "failed_receipt"}


async def test_what_failed_is_signed_anew_under_its_id_and_shown_with_all_its_attempts(
    plane, rails
):
    rails.fault(failing())
    first = (await plane.process(PAY, key="k1")).json()
    assert first["response"].startswith("❌ Payment failed")
    rails.heal()
    payer = plane.service.payer
    replies = await asyncio.gather(*(payer.retry(first["paymentId"]) for _ in range(3)))
    assert sum(reply.text.startswith("✅ Distributed 10 USDC") for reply in replies) == 1
    again = await payer.retry(first["paymentId"])
    assert again.text.startswith("✅ Distributed 10 USDC")
    assert moved(rails) == 10_000_000
    shown = payer.document(first["paymentId"])
    (leg,) = shown["legs"]
    assert [one["state"] for one in leg["attempts"]] == ["reverted", "landed"]
    assert leg["attempts"][0]["nonce"] < leg["attempts"][1]["nonce"]
    assert (shown["state"], shown["settled"], shown["needsPerson"]) == ("paid", True, False)
    proof = leg["attempts"][1]["evidence"]
    assert shown["transaction"] == proof["transaction"]
    assert proof["explorer"].endswith(f"nearblocks.io/txns/{shown['transaction']}")
    assert {one["memo"] for one in proof["transfers"]} == {first["paymentId"]}
    assert sum(int(one["units"]) for one in proof["transfers"]) == 10_000_000
    assert payer.document("pay-unknown") is None
    assert "no payment pay-unknown is stored" in (await payer.retry("pay-unknown")).text


async def test_it_is_signed_anew_only_so_often(plane, rails):
    rails.fault(failing())
    payment_id = (await plane.process(PAY, key="k1")).json()["paymentId"]
    payer = plane.service.payer
    for _ in range(ATTEMPTS_MAX - 1):
        assert (await payer.retry(payment_id)).text.startswith("❌ Payment failed: Smart")
    rails.heal()
    assert "signed 3 times already" in (await payer.retry(payment_id)).text
    assert moved(rails) == 0


async def test_an_unknown_payment_is_never_signed_anew(plane, rails, monkeypatch):
    monkeypatch.setattr(sender, "SEND_SECONDS", 0.3)
    monkeypatch.setattr(sender, "RESOLVE_SECONDS", 0.3)
    rails.fault(
        {"service": "near", "operation": "tx", "kind": "status"},
        {"service": "near", "operation": "send_tx", "kind": "reset", "after": True},
    )
    first = (await plane.process(PAY, key="k1")).json()
    assert first["response"].startswith("❌ Payment outcome unknown")
    reply = await plane.service.payer.retry(first["paymentId"])
    assert first["response"].startswith(reply.text)
    assert len(rails.transactions(genesis.USDC)) == 1


async def test_a_payment_proven_dead_at_once_is_signed_anew_in_the_same_request(
    plane, rails, monkeypatch
):
    """The first attempt is overtaken before it leaves; nothing of it can ever execute."""
    out, ledger = plane.service.sender, plane.service.payer._transactions
    real, calls = out._send, []

    async def overtaken_once(attempt):
        calls.append(attempt)
        if len(calls) > 1:
            return await real(attempt)
        return Sight(out._resolver.endings.end(attempt, State.DEAD, "overtaken"))

    monkeypatch.setattr(out, "_send", overtaken_once)
    text = await plane.say(PAY, key="k1")
    assert text.startswith("✅ Distributed 10 USDC")
    states = [one.state for one in ledger.of(calls[0].owner)]
    assert states == [State.DEAD, State.LANDED]
    assert moved(rails) == 10_000_000


async def test_the_same_words_without_a_key_join_a_payment_while_it_is_open(plane, rails):
    payer = plane.service.payer
    origin = origin_of("web", "tester", ASKED)
    other = origin_of("cast", "tester", ASKED)
    asked = [("pay-a", origin), ("pay-b", origin), ("pay-c", other)]
    first, joined, apart = await asyncio.gather(
        *(payer.pay(ASKED, name, "tester", of) for name, of in asked)
    )
    assert (first.payment_id, joined.payment_id, apart.payment_id) == ("pay-a", "pay-a", "pay-c")
    assert joined.text == first.text
    assert moved(rails) == 20_000_000
    later = await payer.pay(ASKED, "pay-d", "tester", origin)
    assert later.payment_id == "pay-d"


async def test_the_same_words_join_a_payment_that_is_unknown_also_after_a_restart(
    rails, run_plane, monkeypatch
):
    monkeypatch.setattr(sender, "SEND_SECONDS", 0.3)
    monkeypatch.setattr(sender, "RESOLVE_SECONDS", 0.3)
    origin = origin_of("web", "tester", ASKED)
    rails.fault(
        {"service": "near", "operation": "tx", "kind": "status"},
        {"service": "near", "operation": "send_tx", "kind": "reset", "after": True},
    )
    async with run_plane(rails.environ) as plane:
        first = await plane.service.payer.pay(ASKED, "pay-a", "tester", origin)
        assert first.text.startswith("❌ Payment outcome unknown")
    async with run_plane(rails.environ) as plane:
        payer = plane.service.payer
        assert payer._payments.get("pay-a").state is PaymentState.UNKNOWN
        rails.heal()
        again = await payer.pay(ASKED, "pay-b", "tester", origin)
        assert (again.payment_id, again.text[:1]) == ("pay-a", "✅")
        assert payer._payments.get("pay-b") is None
    assert moved(rails) == 10_000_000


@pytest.mark.parametrize(
    ("amount", "repo", "same"),
    [
        ("10.0", Repo("acme", "widgets"), True),
        ("010", Repo("Acme", "Widgets"), True),
        ("10.01", Repo("acme", "widgets"), False),
        ("1", Repo("acme", "widgets"), False),
        ("100", Repo("acme", "widgets"), False),
        ("10", Repo("acme", "widget"), False),
    ],
)
def test_an_origin_does_not_depend_on_how_a_payment_is_spelled(amount, repo, same):
    assert (
        origin_of("web", "a", Pay(repo, amount, "USDC")) == origin_of("web", "a", ASKED)
    ) is same
