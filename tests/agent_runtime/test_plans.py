"""Plans: proposed, approved once by who asked, cancelled, expired, and judged again."""

import asyncio
import json
import re
import sqlite3
from contextlib import closing
from dataclasses import asdict, replace

import pytest
import pytest_asyncio

from agent_runtime import plans
from agent_runtime.intents import planner
from agent_runtime.modes import Caller
from agent_runtime.near.contract import Row
from agent_runtime.payments import Plan, Share
from agent_runtime.plans import PlanState, PlanStore
from agent_runtime.requests import Reply

PAY = "pay 10 USDC to acme/widgets"

pytestmark = pytest.mark.asyncio(loop_scope="module")
NAMES = ("ada", "grace", "linus", "margaret")


def block(text):
    return json.loads(re.search(r"```json\n(.*?)\n```", text, re.DOTALL)[1])


def balance(rails):
    return sum(rails.usdc(f"{name}.people.near") for name in NAMES)


@pytest.fixture
def rails(rails_shared):
    return rails_shared


@pytest.fixture
def moved(rails):
    """What has reached people since the test began, in USDC's smallest unit."""
    before = balance(rails)
    return lambda: balance(rails) - before


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shipped(rails_of_module, run_plane_of_module, tmp_path_factory):
    """A plane as it is shipped: a payment without a key makes a plan."""
    store = str(tmp_path_factory.mktemp("shipped") / "payments.db")
    environ = {**rails_of_module.environ, "PAYMENTS_DB": store}
    del environ["AGENT_KEYLESS_PAY"]
    async with run_plane_of_module(environ) as plane:
        yield plane


@pytest.fixture
def careful(shipped, request):
    """The same, asked by somebody of the test's own."""
    return replace(shipped, author=request.node.name)


@pytest.fixture
def plane(plane_shared):
    """A plane that pays without a key too."""
    return plane_shared


async def test_a_payment_without_a_key_is_planned_and_paid_once_under_the_plans_id(
    careful, rails, moved
):
    text = await careful.say(PAY)
    plan = block(text)
    assert re.fullmatch(r"plan-[0-9a-f]{10}", plan["id"])
    assert text.endswith(f"Reply `approve {plan['id']}` or `cancel`")
    assert (plan["intent"], plan["confidence"]) == ("pay", 1.0)
    assert plan["params"]["recipients"] == dict(zip(NAMES, ("6", "2.5", "1", "0.5"), strict=True))
    assert plan["dependencies"] == [
        "split_exists",
        "verified_recipients",
        "payment_policy",
        "wallet_or_rails_auth",
    ]
    assert plan["risks"] == ["onchain_value_transfer"]
    assert plan["outputs"] == ["tx_hash_or_intent_ref", "coverage_summary", "pending_claims"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]{12}Z", plan["expiresAt"])
    assert moved() == 0
    texts = await asyncio.gather(*(careful.say(f"approve {plan['id']}") for _ in range(4)))
    assert {text.split("\n")[0] for text in texts} == {
        "✅ Distributed 10 USDC to 4 payout-eligible verified contributors via near!"
    }
    answer = (await careful.process("approve " + plan["id"], key="k")).json()
    assert answer["paymentId"] == plan["id"]
    assert moved() == 10_000_000
    assert plan["id"] in str(rails.books["transactions"][-1]["logs"])


async def test_a_key_names_the_payment_and_needs_no_plan(careful, rails, moved):
    assert (await careful.say(PAY, key="k1")).startswith("✅ Distributed")
    assert moved() == 10_000_000


async def test_only_who_asked_approves_and_a_new_plan_takes_the_place_of_the_old(
    careful, rails, moved
):
    first, second = [block(await careful.say(PAY))["id"] for _ in range(2)]
    for plan, who in ((first, {}), ("plan-0000000000", {}), (second, {"author": "mallory"})):
        text = await careful.say(f"approve {plan}", **who)
        assert text.startswith("Pending plan mismatch"), text
    other_channel = await careful.say(f"approve {second}", type="cast")
    assert other_channel.startswith("Pending plan mismatch")
    assert (await careful.say("approve", author="mallory")).startswith("No pending plan")
    assert moved() == 0
    assert (await careful.say("@gitsplits approve")).startswith("✅ Distributed")


async def test_where_many_share_a_name_only_the_id_leads_to_a_plan(careful, rails):
    who = {"author": "web_user"}
    plan = block(await careful.say(PAY, **who))["id"]
    await careful.say("pay 1 USDC to acme/widgets", **who)
    assert (await careful.say("approve", **who)).startswith("No pending plan")
    assert (await careful.say("cancel", **who)).startswith("Nothing was cancelled")
    assert (await careful.say(f"approve {plan}", **who)).startswith("✅ Distributed 10 USDC")


async def test_a_cancelled_plan_is_gone(careful, rails, moved):
    plan = block(await careful.say(PAY))["id"]
    assert (await careful.say("cancel")).startswith(f"Plan {plan} cancelled")
    assert (await careful.say("cancel")) == "No pending plan to cancel"
    assert (await careful.say(f"approve {plan}")).startswith("Pending plan mismatch")
    assert moved() == 0


async def test_a_plan_ends_by_itself(rails, run_plane, moved):
    told = {**rails.environ, "AGENT_KEYLESS_PAY": "plan", "AGENT_PLAN_TTL_MS": "1"}
    async with run_plane(told) as plane:
        plan = block(await plane.say(PAY))["id"]
        assert (await plane.say(f"approve {plan}")) == f"Plan {plan} has expired; ask for it again"
    assert moved() == 0


async def test_a_plan_outlives_a_restart_and_policy_is_judged_again(rails, run_plane, moved):
    told = {**rails.environ, "AGENT_KEYLESS_PAY": "plan"}
    async with run_plane(told) as plane:
        plan = block(await plane.say(PAY))["id"]
    async with run_plane({**told, "AGENT_MAX_PAYOUT_AMOUNT": "9"}) as plane:
        text = await plane.say(f"approve {plan}")
        assert text == "🛑 Policy blocked pay: amount 10 is above the limit of 9"
    assert moved() == 0
    async with run_plane(told) as plane:
        assert (await plane.say("approve")).startswith("✅ Distributed")


async def test_what_has_changed_since_is_not_paid(careful, rails, moved):
    await careful.say("create split for acme/no-app")
    plan = block(await careful.say("pay 10 USDC to acme/no-app"))["id"]
    await careful.say("create split for acme/no-app 70/30")
    text = await careful.say(f"approve {plan}")
    assert text.startswith("🛑 Nothing was done: what would be done has changed")
    assert (await careful.say(f"approve {plan}")).startswith("Pending plan mismatch")
    assert moved() == 0


async def test_a_refused_payment_makes_no_plan(careful):
    for text, answer in (
        ("pay 251 USDC to acme/widgets", "🛑 Policy blocked pay: amount 251"),
        (
            "pay 1 USDC to acme/Widgets",
            "No split found for github.com/acme/Widgets\nSplits are kept",
        ),
    ):
        assert (await careful.say(text)).startswith(answer)
    assert (await careful.say("approve")).startswith("No pending plan")


async def test_a_payment_that_did_not_move_anything_is_made_again_under_its_plan(
    careful, rails, moved
):
    plan = block(await careful.say(PAY))["id"]
    rails.fault(
        {"service": "near", "operation": "send_tx", "kind": "wrong", "variant": "failed_receipt"}
    )
    assert (await careful.say(f"approve {plan}")).startswith("❌ Payment failed: ")
    rails.heal()
    db = careful.service.db
    ((ends,),) = db.execute("SELECT expires_at FROM plans WHERE id=?", (plan,)).fetchall()
    for until, mode in ((0, "execute"), (ends, "advisor")):
        db.execute("UPDATE plans SET expires_at=? WHERE id=?", (until, plan))
        await careful.say(f"mode {mode}")
        assert (await careful.say(f"approve {plan}")).startswith("❌ Payment failed: ")
    await careful.say("mode execute")
    assert moved() == 0, "neither an advisor nor a plan that has ended pays"
    text = await careful.say(f"approve {plan}")
    assert text.startswith("✅ Distributed 10 USDC"), text
    assert await careful.say(f"approve {plan}") == text
    assert moved() == 10_000_000


async def test_a_command_sent_as_a_plan_is_never_carried_out(rails, plane, moved):
    """Whatever the settings and the key say; and nothing but `create` and `pay` is planned."""

    async def planned(text, **more):
        answer = await plane.process(None, plan=text, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()["response"]

    assert rails.environ["AGENT_KEYLESS_PAY"] == "execute"
    for more in ({}, {"key": "k1"}, {"key": "k1"}):
        text = await planned(f"@gitsplits {PAY}", **more)
        assert text.startswith("📝 Plan for pay; nothing has been done yet"), text
    assert (await planned("create split for acme/widgets 70/30")).startswith("📝 Plan for create")
    assert (await planned(f"approve {block(text)['id']}")).startswith("Only `create` and `pay`")
    assert (await planned("pay ten to acme/widgets")).startswith("I didn't understand")
    assert moved() == 0
    both = await plane.process(PAY, plan=PAY)
    assert (both.status_code, both.json()["code"]) == (400, "invalid_request")
    assert (await plane.process(PAY, key="k1")).status_code == 409, "another request"
    assert (await plane.say(f"approve {block(text)['id']}")).startswith("Pending plan mismatch")
    newest = block(await planned(PAY))["id"]
    assert (await plane.say(f"approve {newest}")).startswith("✅ Distributed 10 USDC")
    assert moved() == 10_000_000


@pytest.fixture
def store():
    """Plans of nobody's in particular."""
    with closing(sqlite3.connect(":memory:")) as db:
        yield PlanStore(db, 600.0)


async def test_a_plan_that_could_not_be_carried_out_waits_only_if_no_newer_one_does(store):
    """Else an `approve` that is said twice would reach the older one after the newer is done."""
    ada, anybody = Caller("web", "ada"), Caller("web", "web_user")
    for caller, left in ((ada, PlanState.REPLACED), (anybody, PlanState.WAITING)):
        older = store.add(caller, "pay", PAY, {})
        store.mark(older, PlanState.BEGUN)
        store.release(older)
        assert store.find(caller, older.id).state is PlanState.WAITING
        store.mark(older, PlanState.BEGUN)
        store.add(caller, "pay", PAY, {})
        store.release(older)
        assert store.find(caller, older.id).state is left
    assert store.waiting(anybody) is None


async def test_a_plan_that_failed_while_a_newer_one_was_made_is_gone(careful, monkeypatch, moved):
    older = block(await careful.say(PAY))["id"]

    async def meanwhile(_):
        await careful.say("pay 1 USDC to acme/widgets")
        return Reply("❌ Payment failed: not now", "pay")

    with monkeypatch.context() as patched:
        patched.setattr(careful.service.processor._crew.chain.planner, "_done", meanwhile)
        await careful.say(f"approve {older}")
    assert (await careful.say(f"approve {older}")).startswith("Pending plan mismatch")
    assert (await careful.say("approve")).startswith("✅ Distributed 1 USDC")
    assert (await careful.say("approve")).startswith("No pending plan")
    assert moved() == 1_000_000


async def test_a_plan_that_nobody_approved_is_forgotten_a_day_after_its_end(store, monkeypatch):
    """Anybody may ask for many; what was begun is known for thirty days."""
    now = plans.time.time()
    ada = Caller("web", "ada")
    left, begun, done = [store.add(ada, "pay", PAY, {}) for _ in range(3)]
    store.mark(begun, PlanState.BEGUN)
    store.mark(done, PlanState.DONE)
    for days, kept in ((1, [left, begun, done]), (1.1, [begun, done]), (30.1, [])):
        monkeypatch.setattr(plans.time, "time", lambda days=days: now + days * 86_400)
        store.add(ada, "pay", PAY, {})
        assert [one for one in (left, begun, done) if store.find(ada, one.id)] == kept


SHOWN = Plan(
    "github.com/o/r", "split-1-1", "USDC", 6, 10,
    (Share("ada", "ada.near", 6, 1),), (Share("ken", "", 4, 2),), (),
)  # fmt: skip


@pytest.mark.parametrize(
    "other",
    [
        {"split_id": "split-1-2"},
        {"units": 11},
        {"paid": (Share("ada", "eve.near", 6, 1),)},
        {"paid": (Share("ada", "ada.near", 7, 1),)},
        {"owed": (Share("ken", "", 4, 3),)},
        {"owed": ()},
    ],
)
async def test_another_split_amount_account_or_person_is_another_payment(other):
    """What was shown was something else, however much it looks the same."""
    stored = json.loads(json.dumps(asdict(SHOWN)))
    assert planner._same(SHOWN, json.loads(json.dumps(stored)))
    assert not planner._same(replace(SHOWN, **other), stored)


async def test_another_share_is_another_split():
    assert planner._same([Row("ada", 60), Row("ken", 40)], [["ada", "60"], ["ken", "40"]])
    assert not planner._same([Row("ada", 60), Row("ken", 40)], [["ada", "40"], ["ken", "60"]])
