"""Orders to Ping: sent once, repeated only while that is safe, paid only by what NEAR shows."""

import asyncio
import contextlib
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_runtime.command import run
from agent_runtime.errors import Refusal
from agent_runtime.near.ledger import NewAttempt, TransactionLedger
from agent_runtime.near.transaction import Signed
from agent_runtime.payments import PaymentLedger, PaymentState, Plan, Share
from agent_runtime.payouts import pingpay, verbs
from agent_runtime.payouts.orders import NewOrder, OrderBook, OrderState
from agent_runtime.rails.ping_answers import Accepted, Unknown, Word
from agent_runtime.store import open_store
from pingplay import HOUR_NS, LEG, LOST, PENDING, PLAN, REFUSED, World, hash_of, said


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(pingpay, "FOLLOW_SECONDS", 0.0)


@pytest.fixture
def make():
    made = []

    def world(*answers, **more):
        made.append(World(*answers, **more))
        return made[-1]

    yield world
    for one in made:
        one.db.close()


async def test_an_order_is_paid_when_near_shows_what_was_ordered(make):
    world = make(said())
    world.near.show()
    found = await world.carry()
    assert (found.state, found.tx_hash) == (PaymentState.PAID, hash_of("h"))
    assert world.rail.standing("pay-1") == found
    ((key, request),) = world.ping.placed
    assert key == "pay-1-1"
    assert json.loads(request) == {
        "action": "distribute",
        "split_id": "split-1-1",
        "token": "USDC",
        "total_amount": "7",
        "recipients": [
            {"address": "ada.near", "amount": "5"},
            {"address": "ken.near", "amount": "2"},
        ],
    }


async def test_before_a_byte_leaves_it_is_on_disk_that_one_may(make):
    world = make(said())

    def look():
        order = world.order()
        assert (order.state, order.sends, world.db.in_transaction) == (OrderState.SENT, 1, False)

    world.ping.before = look
    await world.carry()
    assert len(world.ping.placed) == 1


async def test_what_was_not_answered_is_repeated_later_with_the_same_key_and_bytes(make):
    world = make(LOST, said())
    world.near.show()
    assert (await world.carry()).state is PaymentState.UNKNOWN
    assert (await world.settle()).state is PaymentState.UNKNOWN
    assert len(world.ping.placed) == 1  # not at once: two at a time are told apart by nobody
    world.passes(pingpay.AGAIN_SECONDS + 1)
    assert (await world.settle()).state is PaymentState.PAID
    first, second = world.ping.placed
    assert first == second


async def test_nothing_is_repeated_once_ping_may_have_forgotten_by_our_clock(make):
    world = make(LOST)
    await world.carry()
    world.passes(23 * 3600)
    found = await world.settle()
    assert (found.state, len(world.ping.placed)) == (PaymentState.REVIEW, 1)
    assert "ask Ping" in found.detail


async def test_nothing_is_repeated_once_ping_may_have_forgotten_by_the_chains_clock(make):
    world = make(LOST)
    await world.carry()
    world.passes(pingpay.AGAIN_SECONDS + 1)
    world.near.at_ns += 23 * HOUR_NS
    await world.settle()
    assert len(world.ping.placed) == 1


async def test_the_day_begins_with_the_first_sending_and_not_with_a_later_one(make):
    world = make(LOST)
    await world.carry()
    world.passes(12 * 3600)
    await world.settle()
    world.passes(11 * 3600)
    assert (await world.settle()).state is PaymentState.REVIEW
    assert len(world.ping.placed) == 2


async def test_what_may_have_been_accepted_is_not_ordered_again_by_a_retry(make):
    for answer in (LOST, PENDING):
        world = make(answer)
        await world.carry()
        assert (await world.carry()).state is PaymentState.UNKNOWN
        assert len(world.ping.placed) == 1


async def test_nothing_is_repeated_while_the_chains_time_is_not_known(make):
    world = make(LOST)
    await world.carry()
    world.passes(pingpay.AGAIN_SECONDS + 1)
    world.near.deaf = True
    assert (await world.settle()).state is PaymentState.UNKNOWN
    assert len(world.ping.placed) == 1


async def test_a_ping_that_knows_no_key_again_is_never_sent_an_order_twice(make):
    world = make(LOST, PING_PAY_KEY_HOURS="0")
    await world.carry()
    world.passes(pingpay.AGAIN_SECONDS + 1)
    await world.settle()
    assert len(world.ping.placed) == 1


async def test_a_refusal_of_the_first_sending_ends_it_and_a_retry_sends_the_same_again(make):
    world = make(REFUSED, said())
    world.near.show()
    found = await world.carry()
    assert (found.state, "nothing moved" in found.detail) == (PaymentState.FAILED, True)
    assert (await world.settle()).state is PaymentState.FAILED
    assert (await world.carry()).state is PaymentState.PAID
    first, second = world.ping.placed
    assert first == second


async def test_a_refusal_after_an_unknown_answer_ends_nothing(make):
    world = make(LOST, REFUSED)
    await world.carry()
    world.passes(pingpay.AGAIN_SECONDS + 1)
    found = await world.settle()
    assert (found.state, len(world.ping.placed)) == (PaymentState.UNKNOWN, 2)
    assert "may have the first one" in found.detail


async def test_what_was_refused_a_day_ago_is_not_sent_once_more(make):
    world = make(REFUSED)
    await world.carry()
    world.passes(23 * 3600)
    found = await world.carry()
    assert (found.state, len(world.ping.placed)) == (PaymentState.FAILED, 1)
    assert "ask for a new payment" in found.detail


async def test_what_has_an_id_is_looked_up_and_never_sent_again(make):
    world = make(PENDING, Unknown("HTTP 503"), REFUSED, PENDING, said())
    world.near.show()
    await world.carry()
    world.passes(48 * 3600)
    states = [(await world.settle()).state for _ in range(4)]
    assert states == [PaymentState.UNKNOWN] * 3 + [PaymentState.PAID]
    assert (len(world.ping.placed), world.ping.asked) == (1, ["intent_1"] * 4)


async def test_one_transaction_pays_one_order(make):
    world = make(said())
    world.near.show()
    await world.carry("pay-1")
    world.ping.answers = [said(remote="intent_2")]
    found = await world.carry("pay-2")
    assert (found.state, "it pays pay-1" in found.detail) == (PaymentState.REVIEW, True)


async def test_the_disk_itself_lets_one_transaction_pay_one_order(make, monkeypatch):
    world = make(said())
    world.near.show()
    await world.carry("pay-1")
    monkeypatch.setattr(OrderBook, "holder_of", lambda *_: "")
    world.ping.answers = [said(remote="intent_2")]
    assert (await world.carry("pay-2")).state is PaymentState.REVIEW


async def test_a_transaction_of_our_own_pays_no_order(make):
    world = make(said())
    world.near.show()
    new = NewAttempt("pay-0", "ft_transfer", "us.near", "ed25519:x", 1, "B", 1)
    world.transactions.store(new, Signed(hash_of("h"), b"raw"))
    found = await world.carry()
    assert (found.state, "signed it itself" in found.detail) == (PaymentState.REVIEW, True)


async def test_an_id_that_another_order_has_is_believed_of_neither(make):
    world = make(PENDING)
    await world.carry("pay-1")
    found = await world.carry("pay-2")
    assert (found.state, world.order("pay-2").state) == (PaymentState.UNKNOWN, OrderState.SENT)
    assert "another order" in found.detail


async def test_without_the_chains_time_nothing_is_ordered(make):
    world = make(said())
    world.near.deaf = True
    found = await world.carry()
    assert (found.state, world.ping.placed, world.order()) == (PaymentState.FAILED, [], None)


async def test_stopped_between_storing_and_sending_nothing_moved_and_nothing_is_sent(
    make, monkeypatch
):
    world = make(said())
    with monkeypatch.context() as patched:
        patched.setattr(OrderBook, "leaves", lambda *_: {}["killed"])
        with pytest.raises(KeyError):
            await world.carry()
    world.restart()
    assert await world.rail.settle_due() == []
    assert (world.rail.standing("pay-1").state, world.ping.placed) == (PaymentState.FAILED, [])


async def test_stopped_while_sending_it_is_unknown_until_it_was_repeated(make):
    world = make(said())
    world.near.show()
    world.ping.before = lambda: {}["killed"]
    with pytest.raises(KeyError):
        await world.carry()
    world.restart()
    world.ping.before = None
    assert [one.id for one in await world.rail.settle_due()] == ["pay-1-1"]
    assert world.rail.standing("pay-1").state is PaymentState.UNKNOWN
    world.passes(pingpay.AGAIN_SECONDS + 1)
    assert await world.rail.settle_due() == []
    assert world.rail.standing("pay-1").state is PaymentState.PAID
    assert world.ping.placed[0] == world.ping.placed[1]


async def test_a_clock_that_was_set_back_does_not_stop_the_looking(make):
    world = make(PENDING)
    await world.carry()
    world.passes(-7 * 24 * 3600)
    await world.rail.settle_due()
    assert world.ping.asked == ["intent_1"]


async def test_what_is_not_due_is_left_alone_and_pauses_grow_to_an_end(make):
    world = make(PENDING)
    await world.carry()
    await world.rail.settle_due()
    assert world.ping.asked == []
    await world.rail.settle_due(starting=True)
    assert world.ping.asked == ["intent_1"]
    assert 0 < world.order().due_at - time.time() <= pingpay.LOOK_AGAIN_SECONDS
    world.passes(7200)
    await world.settle()
    assert 590 < world.order().due_at - time.time() <= 600


async def test_what_somebody_works_on_is_left_to_them(make):
    world = make(PENDING)
    await world.carry()
    world.passes(3600)
    async with asyncio.timeout(2), world.rail._busy.alone("pay-1"):
        await world.rail.settle_due()
    assert world.ping.asked == []


async def test_a_person_closes_an_open_order_as_one_for_a_person_and_nothing_else(make):
    world = make(PENDING)
    await world.carry()
    assert verbs.close(world.db, "pay-1-1", "Ping has lost it")["state"] == "review"
    assert world.payments.get("pay-1").state is PaymentState.REVIEW
    assert (await world.settle()).state is PaymentState.REVIEW
    assert world.ping.asked == []
    for order_id, reason in (("pay-1-1", "again"), ("pay-2-1", "x"), ("pay-1-1", "a\nb")):
        with pytest.raises(Refusal):
            verbs.close(world.db, order_id, reason)


def test_the_commands_list_orders_and_close_one(tmp_path, capsys):
    told = {"PAYMENTS_DB": str(tmp_path / "payments.db")}
    assert run(["orders"], told) == 1  # there is no ledger
    with contextlib.closing(open_store(told["PAYMENTS_DB"])) as db:
        payments, _, book = PaymentLedger(db), TransactionLedger(db), OrderBook(db)
        payments.plan("pay-1", "me", PLAN, [LEG], rail="pingpay")
        book.leaves(book.store(NewOrder("o-1", "pay-1", "pingpay", "p.near", b"{}", 1)), 1, 0.0)
    close = ["order", "close", "o-1", "--reason", "lost", "--json"]
    assert run(close, told) == 2
    assert run([*close, "--yes"], told) == 0
    assert run([*close, "--yes"], told) == 1
    capsys.readouterr()
    assert run(["orders", "--json"], told) == 0
    (listed,) = json.loads(capsys.readouterr().out)["orders"]
    assert (listed["state"], listed["detail"]) == ("review", "closed by a person: lost")


async def test_an_order_outlives_the_key_and_says_so(make):
    world = make(PENDING)
    await world.carry()
    world.ping.configured = False
    found = await world.settle()
    assert (found.state, world.ping.asked) == (PaymentState.UNKNOWN, [])
    assert "PING_PAY_API_KEY" in found.detail


@pytest.mark.parametrize("count", [31, 1])
def test_what_cannot_be_held_against_one_transaction_is_refused_before_it_is_stored(make, count):
    account = "ping.near" if count == 1 else "ada.near"
    plan = Plan("r", "s", "USDC", 6, 1, (Share("a", account, 1),) * count, (), ())
    with pytest.raises(Refusal, match="nothing was sent"):
        make(said()).rail.check(plan)


ANSWERS = st.one_of(
    st.sampled_from((LOST, REFUSED, PENDING, Unknown("reset"), said(Word.OTHER, ""))),
    st.builds(said, st.sampled_from(Word), st.sampled_from(("", "made-up", "less", "h2"))),
    st.just(Accepted("intent_1", Word.SUCCESS, (), "0x")),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(ANSWERS, min_size=1, max_size=8))
def test_no_sequence_of_answers_is_paid_without_the_plan_on_chain(answers):
    """`made-up` is unknown to NEAR, `less` pays less, `h2` pays another order."""
    world = World(said(name="h2", remote="intent_0"))
    world.near.show("less", ada=4)
    world.near.show("h2")

    async def play():
        assert (await world.carry("pay-0")).state is PaymentState.PAID
        world.ping.answers, world.ping.placed = [*answers, LOST], []
        await world.carry()
        for _ in range(len(answers)):
            world.passes(pingpay.AGAIN_SECONDS + 601)
            await world.settle()

    try:
        asyncio.run(play())
        assert world.rail.standing("pay-1").state is not PaymentState.PAID
        assert len(set(world.ping.placed)) == 1
    finally:
        world.db.close()
