"""What may leave, by payment, by day and by token; and how a split must look (contract §7)."""

import asyncio

import pytest

from agent_runtime.allocation import WHOLE
from agent_runtime.errors import SettingsError
from agent_runtime.grammar import Pay, Repo
from agent_runtime.intents import payplan
from agent_runtime.intents.payplan import PolicyBlock, SafetyBlock, make_plan, sort_rows
from agent_runtime.limits import Limits
from agent_runtime.near.contract import Row, Split
from agent_runtime.parsing import Token
from agent_runtime.payments import PaymentLedger, PaymentState, Plan
from agent_runtime.settings import Settings
from agent_runtime.store import open_store

pytestmark = pytest.mark.asyncio(loop_scope="module")

USDC = Token("USDC", "usdc.near", 6)
ASKED = Pay(Repo("o", "r"), "10", "USDC")


@pytest.fixture
def rails(rails_shared):
    return rails_shared


def planned(*shares):
    """A plan for ten USDC over (login, percent), where everybody without `?` is verified."""
    rows = tuple(Row(login.rstrip("?"), percent * 10**21) for login, percent in shares)
    wallets = {login: f"{login}.near" for login, _ in shares if not login.endswith("?")}
    split = Split("split-1-1", rows)
    assert sum(row.units for row in rows) == WHOLE
    return make_plan(ASKED, USDC, 10_000_000, split, sort_rows(split, wallets))


async def test_a_split_held_half_by_programs_needs_a_review():
    with pytest.raises(SafetyBlock) as block:
        planned(("renovate[bot]", 30), ("build-bot", 20), ("ada", 50))
    assert block.value.answer.startswith("🛑 Safety review required before payout: BOT_HEAVY: ")
    plan = planned(("renovate[bot]", 49), ("ada", 51))
    assert [share.units for share in plan.paid] == [5_100_000]


async def test_one_who_holds_nearly_all_among_three_is_flagged():
    assert planned(("ada", 95), ("ken", 3), ("jean", 2)).flags == ("OUTLIER_SHARE",)
    assert planned(("ada", 94), ("ken", 4), ("jean", 2)).flags == ()
    assert planned(("ada", 95), ("ken", 5)).flags == ()
    assert planned(("ada", 96), ("ken?", 4)).flags == ("MISSING_WALLETS",)


def settings(**told):
    return Settings.from_environ({"AGENT_SERVER_API_KEY": "k", **told})


async def test_while_only_canaries_are_paid_another_repository_and_a_large_amount_are_refused():
    told = settings(
        AGENT_MODE="production",
        AGENT_CANARY_ONLY_PAY="true",
        TEST_CANARY_REPOS="o/canary",
        TEST_PAY_MAX_AMOUNT="0.5",
    )
    with pytest.raises(PolicyBlock) as block:
        payplan.check_policy(ASKED, told)
    assert block.value.answer == (
        "🛑 Policy blocked pay: only canary repositories may be paid, o/r is none"
        " | amount 10 is above the canary limit of 0.5"
    )
    canary = Pay(Repo("O", "Canary"), "0.5", "USDC")
    assert payplan.check_policy(canary, told)[1] == 500_000
    assert payplan.check_policy(ASKED, settings(AGENT_CANARY_ONLY_PAY="true"))[1] == 10_000_000


async def test_each_token_may_have_limits_of_its_own():
    told = settings(AGENT_TOKEN_LIMITS="near=2.5/3, USDC=9/100")
    for token, amount, most in (("NEAR", "2.6", "2.5"), ("USDC", "9.000001", "9")):
        with pytest.raises(PolicyBlock, match=f"amount {amount} is above the limit of {most}"):
            payplan.check_policy(Pay(ASKED.repo, amount, token), told)
    assert payplan.check_policy(Pay(ASKED.repo, "2.5", "NEAR"), told)[1] == 25 * 10**23
    for wrong in ("USDC", "USDC=1", "USDC=1/0", "USDC=-1/2"):
        with pytest.raises(SettingsError, match="AGENT_TOKEN_LIMITS"):
            settings(AGENT_TOKEN_LIMITS=wrong)


async def test_a_day_has_a_limit_that_two_at_once_cannot_both_reach(rails, run_plane):
    told = {**rails.environ, "AGENT_TOKEN_LIMITS": "USDC=10/15.5"}
    async with run_plane(told) as plane:
        texts = await asyncio.gather(
            *(plane.say("pay 10 USDC to acme/widgets", key=f"k{n}") for n in range(3))
        )
        paid = [text for text in texts if text.startswith("✅")]
        blocked = [text for text in texts if text.startswith("🛑 Policy blocked pay: daily limit")]
        assert (len(paid), len(blocked)) == (1, 2), texts
        assert blocked[0].endswith("daily limit of 15.5 USDC: 5.5 is left for now")
        near = await plane.say("pay 0.1 NEAR to acme/widgets", key="other-token")
        assert near.startswith("✅ Distributed 0.1 NEAR")
        assert (await plane.say("pay 5.5 USDC to acme/widgets", key="rest")).startswith("✅")


async def test_strictness_pays_nobody_while_somebody_is_not_verified(rails, run_plane):
    async with run_plane({**rails.environ, "AGENT_STRICT_PAY": "true"}) as plane:
        await plane.say("create near/near-sdk-rs")
        text = await plane.say("pay 10 USDC to near/near-sdk-rs", key="k1")
        assert text.startswith("❌ Strict mode enabled: @"), text
        assert text.endswith("must verify first; nothing was sent")
        assert (await plane.say("pay 10 USDC to acme/widgets", key="k2")).startswith("✅")


async def test_a_day_is_summed_exactly_however_large_and_only_what_left_or_may_have(tmp_path):
    db = open_store(str(tmp_path / "payments.db"))
    ledger = PaymentLedger(db)
    day = Limits(db, settings())
    assert day.spent("NEAR") == 0
    sizes = [10**27, 10**27, 10**27 - 1, 10**15, 10**15 - 1, 7, 123456789012345678901]
    ends = [
        PaymentState.FAILED, PaymentState.DECLINED, PaymentState.PAID, PaymentState.UNKNOWN,
        PaymentState.REVIEW,
    ]  # fmt: skip
    for n, units in enumerate(sizes):
        plan = Plan("github.com/o/r", "split-1-1", "NEAR", 24, units, (), (), ())
        payment = ledger.plan(f"pay-{n}", "a", plan)
        if n < len(ends):
            ledger.end(payment, ends[n], "", "")
    assert day.spent("NEAR") == sum(sizes[2:])
    assert day.spent("USDC") == 0
    db.execute("UPDATE payments SET created_at = created_at - 86390")
    assert day.spent("NEAR") == sum(sizes[2:])
    db.execute("UPDATE payments SET created_at = created_at - 11 WHERE id='pay-2'")
    assert day.spent("NEAR") == sum(sizes[3:])
    db.close()
