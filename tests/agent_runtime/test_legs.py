"""A payment of several transactions: each leg by itself, everybody paid once, or the truth told."""

import asyncio
import json
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.command import run
from agent_runtime.intents import paylegs
from agent_runtime.intents.payplan import legs_of
from agent_runtime.near.evidence import take
from agent_runtime.near.keys import Key
from agent_runtime.near.ledger import OPEN, Attempt, State
from agent_runtime.near.outcome import Receipt, Report
from agent_runtime.near.token import GAS_TOTAL, Transfer, batch
from agent_runtime.payments import Leg, PaymentState, Plan, Share
from agent_runtime.settlement import ATTEMPTS_MAX, LegState, settle
from sandbox.near import genesis

PAY = "pay 10 USDC to acme/widgets"
NAMES = ("ada", "grace", "linus", "margaret")
LINE = re.compile(r"^🔗 Transaction: (\S+)$", re.MULTILINE)


def plan(people, token):
    paid = tuple(Share(f"p{n}", f"p{n}.near", n + 1) for n in range(people))
    return Plan("github.com/o/r", "split-1-1", token, 6, 10**6, paid, (), ())


@pytest.mark.parametrize(
    ("people", "token", "most", "sizes"),
    [
        (1, "USDC", 30, [1]),
        (30, "USDC", 30, [30]),
        (31, "USDC", 30, [30, 1]),
        (200, "USDC", 30, [30] * 6 + [20]),
        (29, "NEAR", 30, [29]),
        (30, "NEAR", 30, [29, 1]),
        (5, "USDC", 2, [2, 2, 1]),
    ],
)
def test_a_plan_is_cut_into_transactions_whose_gas_suffices(people, token, most, sizes):
    decided = plan(people, token)
    legs = legs_of(decided, "usdc.near", most)
    assert [len(leg.transfers) for leg in legs] == sizes
    assert [leg.number for leg in legs] == list(range(1, len(sizes) + 1))
    told = [transfer for leg in legs for transfer in leg.transfers]
    assert told == [(share.account, share.units) for share in decided.paid]
    for leg in legs:
        transfers = [Transfer(account, units) for account, units in leg.transfers]
        gas = [call.gas for call in batch(transfers, "pay-1", wrap=leg.wrap)]
        assert min(gas) == 10 * 10**12
        assert sum(gas) <= GAS_TOTAL


def evidence(leg, tx_hash, transfers):
    """What a final transaction shows that moved these transfers."""
    logs = tuple(
        "EVENT_JSON:"
        + json.dumps(
            {
                "standard": "nep141",
                "version": "1.0.0",
                "event": "ft_transfer",
                "data": [
                    {"old_owner_id": "us", "new_owner_id": to, "amount": str(n), "memo": "pay-1"}
                ],
            }
        )
        for to, n in transfers
    )
    receipts = (Receipt("r", "B", leg.contract, bool(logs), logs),)
    return take(Report(tx_hash, "us", "K", 1, leg.contract, "B", receipts, "00"), "http://n")


def attempt(leg, nonce, state):
    return Attempt(
        f"H{nonce}", "pay-1", leg, "m", "", nonce, "usdc.near", "B", 1, b"", state, "why", 0.0
    )


def legs(count):
    return [Leg(n, "usdc.near", False, ((f"p{n}", n), (f"q{n}", 7))) for n in range(1, count + 1)]


ENDS = (State.LANDED, State.REVERTED, State.DEAD, State.REFUSED)


@given(st.integers(1, 4), st.lists(st.sampled_from([*ENDS, State.UNKNOWN]), max_size=24))
def test_who_signs_what_is_due_pays_each_leg_once_at_the_most_whatever_happens(count, fates):
    """Nothing is signed while a leg is open, and what is half made has an end that names legs."""
    planned, made, seen = legs(count), [], {}
    fates = iter([*fates, *[State.LANDED] * (count * ATTEMPTS_MAX)])
    while True:
        found = settle("pay-1", planned, made, seen)
        opened = [one for one in made if one.state in OPEN]
        if opened:
            assert found.due is None
            assert found.state is PaymentState.UNKNOWN
            fate = next(fate for fate in fates if fate is not State.UNKNOWN)
            made[-1] = attempt(opened[0].leg, opened[0].nonce, fate)
        elif found.due is None:
            break
        else:
            fate = next(fates)
            made.append(attempt(found.due.number, len(made), fate))
        if made[-1].state in {State.LANDED, State.REVERTED}:
            leg, moved = planned[made[-1].leg - 1], made[-1].state is State.LANDED
            shown = leg.transfers if moved else ()
            seen[made[-1].tx_hash] = evidence(leg, made[-1].tx_hash, shown)
    landed = Counter(one.leg for one in made if one.state is State.LANDED)
    signed = Counter(one.leg for one in made)
    assert max(landed.values(), default=0) <= 1
    assert max(signed.values(), default=0) <= ATTEMPTS_MAX
    if len(landed) == count:
        assert found.state is PaymentState.PAID
        assert len(found.tx_hash.split()) == count
    elif landed:
        assert found.state is PaymentState.REVIEW
        named = {int(number) for number in re.findall(r"leg (\d+)", found.detail)}
        assert named == {leg.number for leg in planned}
    else:
        assert found.state is PaymentState.FAILED


KINDS = ("none", "open", "dead", "reverted", "paid", "short", "unproven")


@given(st.lists(st.lists(st.sampled_from(KINDS), max_size=3), min_size=1, max_size=3))
def test_paid_is_every_leg_to_the_unit_and_failed_is_nothing_at_all(histories):
    planned, made, seen = legs(len(histories)), [], {}
    states = {"open": State.SENT, "dead": State.DEAD, "reverted": State.REVERTED}
    for leg, kinds in zip(planned, histories, strict=True):
        for kind in kinds:
            one = attempt(leg.number, len(made), states.get(kind, State.LANDED))
            if kind == "none":
                continue
            made.append(one)
            shown = {"reverted": (), "paid": leg.transfers, "short": leg.transfers[:1]}
            if kind in shown:
                seen[one.tx_hash] = evidence(leg, one.tx_hash, shown[kind])
    found = settle("pay-1", planned, made, seen)
    told = [[kind for kind in kinds if kind != "none"] for kinds in histories]
    flat = [kind for kinds in told for kind in kinds]
    moved = [[kind for kind in kinds if kind in {"paid", "short"}] for kinds in told]
    paid = all(one == ["paid"] for one in moved) and not {"open", "unproven"} & set(flat)
    assert (found.state is PaymentState.PAID) is paid
    nothing = not any(moved) and not {"open", "unproven"} & set(flat)
    assert (found.state is PaymentState.FAILED) is nothing
    if found.due:
        assert not {"open", "unproven"} & set(flat)
        assert not moved[found.due.number - 1]
        assert len(told[found.due.number - 1]) < ATTEMPTS_MAX
        assert all(one.state in {LegState.IDLE, LegState.PAID} for one in found.legs)
    if found.half_made:
        assert found.state is PaymentState.UNKNOWN


@pytest.fixture
async def small(rails, run_plane):
    """A plane that pays two people by one transaction."""
    rails.environ["AGENT_LEG_RECIPIENTS"] = "2"
    async with run_plane(rails.environ) as plane:
        yield plane


def held(rails):
    return [rails.usdc(f"{name}.people.near") for name in NAMES]


WHOLE = [6_000_000, 2_500_000, 1_000_000, 500_000]


def failing(receiver=genesis.USDC, **more):
    fault = {"kind": "wrong", "variant": "failed_receipt", "match": {"receiver_id": receiver}}
    return {"service": "near", "operation": "send_tx", **fault, **more}


async def document(plane, payment_id):
    key = {"x-agent-api-key": "test-key"}
    return (await plane.client.get(f"/payments/{payment_id}", headers=key)).json()


async def test_a_payment_of_two_legs_names_both_transactions_wherever_it_is_told(small, rails):
    answer = (await small.process(PAY, key="k1")).json()
    text = answer["response"]
    assert text.startswith("✅ Distributed 10 USDC to 4 payout-eligible verified contributors")
    assert "NEP-141 transfers in 2 NEAR transactions" in text
    hashes = LINE.findall(text)
    assert hashes == [one["hash"] for one in rails.transactions(genesis.USDC)]
    assert held(rails) == WHOLE
    shown = await document(small, answer["paymentId"])
    assert (shown["state"], shown["transactions"], shown["transaction"]) == (
        "paid",
        hashes,
        hashes[-1],
    )
    assert [(leg["number"], leg["state"], leg["transaction"]) for leg in shown["legs"]] == [
        (1, "paid", hashes[0]),
        (2, "paid", hashes[1]),
    ]
    path = re.search(r"/receipts/\S+", text)[0]
    receipt = (await small.client.get(path, headers={"accept": "application/json"})).json()
    assert [one["transaction"] for one in receipt["proofs"]] == hashes
    page = (await small.client.get(path)).text
    assert all(f"Transaction of leg {n} of 2" in page for n in (1, 2))
    assert all(page.count(f"txns/{one}") == 1 for one in hashes)


async def test_near_is_wrapped_by_each_leg_for_itself(small, rails):
    text = await small.say("pay 1 NEAR to acme/widgets", key="k1")
    assert text.startswith("✅ Distributed 1 NEAR"), text
    assert len(set(LINE.findall(text))) == len(rails.transactions(genesis.WRAP)) == 2


async def test_a_leg_that_came_to_nothing_is_made_again_at_once_beside_one_that_is_paid(
    small, rails, monkeypatch
):
    real, calls = small.service.sender.submit, []

    async def second_fails(*given):
        calls.append(given[-1])
        rails.fault(*[failing()] * (calls == [1, 2]))
        return await real(*given)

    monkeypatch.setattr(small.service.sender, "submit", second_fails)
    text = await small.say(PAY, key="k1")
    assert text.startswith("✅ Distributed 10 USDC"), text
    assert (calls, held(rails)) == ([1, 2, 2], WHOLE)


async def test_a_leg_that_never_works_leaves_a_payment_to_a_person_and_says_who_is_paid(
    small, rails, monkeypatch
):
    real = small.service.sender.submit

    async def second_fails(*given):
        rails.fault(*[failing()] * (given[-1] == 2))
        return await real(*given)

    monkeypatch.setattr(small.service.sender, "submit", second_fails)
    answer = (await small.process(PAY, key="k1")).json()
    text = answer["response"]
    assert text.startswith("❌ Payment needs a person: paid: leg 1 ("), text
    assert "; not paid: leg 2 (signed 3 times, nothing moved: " in text
    assert not LINE.search(text)
    rails.heal()
    assert await small.say(PAY, key="k1") == text
    await small.service.payer.go_on()
    assert held(rails) == [*WHOLE[:2], 0, 0]
    shown = await document(small, answer["paymentId"])
    assert (shown["state"], shown["needsPerson"]) == ("review", True)
    assert [leg["state"] for leg in shown["legs"]] == ["paid", "idle"]


async def test_a_first_leg_that_comes_to_nothing_fails_the_whole_and_may_be_tried_again(
    small, rails
):
    rails.fault(failing())
    answer = (await small.process(PAY, key="k1")).json()
    assert answer["response"].startswith("❌ Payment failed: ")
    assert len(rails.transactions(genesis.USDC)) == 1
    rails.heal()
    again = await small.service.payer.retry(answer["paymentId"])
    assert again.text.startswith("✅ Distributed 10 USDC")
    assert held(rails) == WHOLE


@pytest.fixture
def one_leg_a_go(monkeypatch):
    """A go ends after a leg, as if the process had died there."""
    monkeypatch.setattr(paylegs, "LEGS_SECONDS", -1.0)


async def half_made(plane, rails):
    answer = (await plane.process(PAY, key="k1")).json()
    assert "outcome unknown: paid: leg 1 (" in answer["response"]
    assert "); still to be paid: leg 2; payment id" in answer["response"]
    assert not LINE.search(answer["response"])
    assert held(rails) == [*WHOLE[:2], 0, 0]
    return answer["paymentId"]


async def test_a_start_goes_on_with_what_is_half_made_and_nobody_has_to_ask(
    rails, run_plane, one_leg_a_go
):
    rails.environ["AGENT_LEG_RECIPIENTS"] = "2"
    async with run_plane(rails.environ) as plane:
        payment_id = await half_made(plane, rails)
    async with run_plane(rails.environ) as plane, asyncio.timeout(5):
        while (await document(plane, payment_id))["state"] != "paid":  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.01)
    assert held(rails) == WHOLE


def register(rails, units):
    """Change one recipient's place at the token, and let that become final."""
    chain = rails.world.chain
    chain.store.set(("contract", genesis.USDC, "balance", "linus.people.near"), units)
    for _ in range(10):
        chain.produce()


async def test_what_is_half_made_waits_for_those_who_cannot_receive_and_costs_no_attempt(
    small, rails, one_leg_a_go
):
    payment_id = await half_made(small, rails)
    register(rails, None)
    text = await small.say(PAY, key="k1")
    assert "outcome unknown: paid: leg 1" in text
    assert "not registered with" in text
    assert len(rails.transactions(genesis.USDC)) == 1
    register(rails, 0)
    await asyncio.gather(*(small.service.payer.go_on() for _ in range(3)), small.say(PAY, key="k1"))
    assert (await document(small, payment_id))["state"] == "paid"
    assert held(rails) == WHOLE
    assert len(rails.transactions(genesis.USDC)) == 2


async def test_what_another_plane_half_made_is_gone_on_with_only_once_its_key_is_fenced(
    small, rails, one_leg_a_go
):
    payment_id = await half_made(small, rails)
    db, bonds = small.service.db, small.service.payer._legs._bonds
    with db:
        told = (payment_id, "ed25519:other", genesis.AGENT, "hetzner")
        db.execute("INSERT INTO bound_payments VALUES (?,?,?,?)", told)
    for _ in range(2):
        text = await small.say(PAY, key="k1")
        assert "outcome unknown: plane hetzner planned it, and its key" in text
        await small.service.payer.go_on()
    assert len(rails.transactions(genesis.USDC)) == 1
    bonds.record("ed25519:other", genesis.AGENT, {"tx_hash": ""}, releases=True)
    await small.service.payer.go_on()
    assert (await document(small, payment_id))["state"] == "paid"
    assert held(rails) == WHOLE


async def command(environ, *argv):
    """Run one command beside the world; it must succeed."""
    assert await asyncio.to_thread(run, [*argv, "--json"], environ) == 0


async def test_a_half_made_payment_is_handed_over_and_ended_once_the_old_key_is_fenced(
    rails, run_plane, tmp_path, one_leg_a_go
):
    told = rails.world.describe()["planes"]
    planes = {}
    for name in ("hetzner", "phala"):
        nodes = [told[name][kind]["NEAR_NODE_URL"] for kind in ("env", "marked_env")]
        planes[name] = {
            **rails.environ,
            **told[name]["env"],
            "PLANE_ID": name,
            "NEAR_NODE_URL": ",".join(nodes),
            "PAYMENTS_DB": str(tmp_path / f"{name}.db"),
            "AGENT_LEG_RECIPIENTS": "2",
        }
    async with run_plane(planes["hetzner"]) as old:
        payment_id = await half_made(old, rails)
    old_key = Key.parse(planes["hetzner"]["NEAR_PRIVATE_KEY"]).text
    await command(planes["hetzner"], "ledger", "export", str(tmp_path / "out"))
    await command(planes["phala"], "ledger", "import", str(tmp_path / "out"))
    async with run_plane(planes["phala"]) as new:
        await new.service.payer.go_on()
        found = await document(new, payment_id)
        assert found["detail"].endswith(f"its key {old_key} is not fenced yet")
        assert [leg["state"] for leg in found["legs"]] == ["paid", "idle"]
    assert held(rails) == [*WHOLE[:2], 0, 0]
    await command(planes["phala"], "key", "fence", "--key", old_key, "--yes")
    async with run_plane(planes["phala"]) as new, asyncio.timeout(5):
        while (await document(new, payment_id))["state"] != "paid":  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.01)
        assert len(LINE.findall(await new.say(PAY, key="k1"))) == 2
    assert held(rails) == WHOLE
