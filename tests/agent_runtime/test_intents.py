"""The three intents against stand-ins over real sockets, when all is well."""

import re

import base58
import pytest

from agent_runtime.errors import Refusal
from agent_runtime.grammar import Repo
from agent_runtime.intents import create
from agent_runtime.near.contract import Row
from agent_runtime.rails.github import Contributor, Contributors

WIDGETS = "github.com/acme/widgets"


async def test_analyze_names_people_leaves_programs_out_and_proves_its_insight(plane):
    answer = await plane.process("@gitsplits analyze acme/widgets")
    text = answer.json()["response"]
    assert text.startswith(f"📊 Analysis for {WIDGETS}\nTotal commits: 100\nContributors: 4\n")
    assert "🥇 ada: 60 commits (60%)" in text
    assert "• Margaret: 5 commits (5%)" in text
    assert "renovate" not in text
    assert "Left out: 1 bots, 1 anonymous commit authors" in text
    assert "✅ Verification coverage (top 4): 4/4 verified (1 bot/system skipped)" in text
    assert "🛡️ Verifiable AI Insight:\nContribution looks" in text
    assert re.search(r"🔗 Proof: https://determinal\.eigenarcade\.com/verify/[0-9a-f]{130}\n", text)
    assert "🔒" not in text


async def test_every_answer_is_stamped_with_its_plane_and_build(plane):
    answer = await plane.process("help")
    assert answer.json()["plane"] == "phala"
    assert answer.json()["build"] == "r1"
    assert answer.headers["x-plane"] == "phala"
    assert (await plane.client.get("/nowhere")).headers["x-plane"] == "phala"


async def test_a_long_list_is_read_over_all_its_pages(plane):
    text = await plane.say("analyze near/near-sdk-rs")
    assert "Contributors: 130\n" in text
    assert "...and 125 more" in text


async def test_analyze_of_nothing_fails_in_words(plane):
    assert (await plane.say("analyze no/such")).startswith(
        "❌ Analysis failed for github.com/no/such"
    )


async def test_nobody_to_name_is_said_and_cannot_be_split(plane, rails):
    text = await plane.say("analyze acme/bots")
    assert "Contributors: 0\n" in text
    assert "Left out: 2 bots, 0 anonymous commit authors" in text
    assert "Nobody who can be named" in text
    assert "🔗" not in text
    text = await plane.say("create acme/bots")
    assert text.startswith("❌ Failed to create split: github.com/acme/bots has no contributors")


async def test_create_puts_exact_rows_on_chain_and_says_what_it_read_back(plane, rails):
    text = await plane.say("create split for acme/no-app")
    assert text.startswith("✅ Split created for github.com/acme/no-app!\n📜 Split ID: split-")
    assert re.search(r"Split ID: split-\d+-\d+\n", text)
    assert "- ada: 80%\n- ken: 20%\n" in text
    assert "Verification coverage: 2/2 verified" in text
    split = next(s for s in rails.books["splits"] if s["repo_url"] == "github.com/acme/no-app")
    assert [int(row["percentage"]) for row in split["contributors"]] == [8 * 10**22, 2 * 10**22]


async def test_create_again_changes_nothing_and_custom_shares_update(plane, rails):
    await plane.say("create acme/widgets")
    before = len(rails.transactions())
    assert (await plane.say("create acme/widgets")).startswith("✅ Split already exists for")
    assert len(rails.transactions()) == before
    text = await plane.say("create split for acme/widgets with 70/30")
    assert text.startswith(f"✅ Split updated for {WIDGETS}!")
    assert "- ada: 70%\n- grace: 30%\n" in text


async def test_custom_shares_that_do_not_sum_to_100_touch_nothing(plane, rails):
    text = await plane.say("create split for acme/widgets 10/10")
    assert text.startswith("❌ Failed to create split: custom percentages 10/10")
    assert rails.transactions() == []


async def test_pay_moves_the_amount_once_in_one_transaction_that_is_found_on_chain(plane, rails):
    await plane.say("create acme/widgets")
    text = await plane.say("pay 10.000001 USDC to acme/widgets")
    assert text.startswith("✅ Distributed 10.000001 USDC to 4 payout-eligible verified")
    assert "via near!\nCoverage: 4/4 contributors eligible+verified\n" in text
    tx = re.search(r"🔗 Transaction: (\S+)\n", text)[1]
    assert len(base58.b58decode(tx)) == 32
    paid = [rails.usdc(f"{name}.people.near") for name in ("ada", "grace", "linus", "margaret")]
    assert paid == [6_000_001, 2_500_000, 1_000_000, 500_000]
    assert [t["hash"] for t in rails.transactions(rails.world.describe()["near"]["usdc"])] == [tx]
    memo = re.search(r"🧾 Payment: (pay-\w+)", text)[1]
    assert memo in str(rails.books["transactions"][-1]["logs"])


async def test_pay_in_near_wraps_and_pays_in_one_transaction(plane, rails):
    await plane.say("create acme/widgets")
    text = await plane.say("pay 0.5 NEAR to acme/widgets")
    assert text.startswith("✅ Distributed 0.5 NEAR to 4"), text
    balances = rails.books["tokens"]["wrap.near"]["balances"]
    assert int(balances["ada.people.near"]) == 3 * 10**23


async def test_pay_reaches_many_people_in_one_transaction(plane):
    await plane.say("create near/near-sdk-rs")
    text = await plane.say("pay 100 USDC to near/near-sdk-rs")
    assert text.startswith("✅ Distributed "), text
    assert "⚠️ Safety flags: MISSING_WALLETS" in text
    assert "⏳ Pending claims for unverified contributors (" in text
    claims = await plane.say("pending near/near-sdk-rs")
    assert claims.startswith("⏳ Pending claims for github.com/near/near-sdk-rs")
    assert re.search(r"- tony: 1 claim\(s\), [\d.]+ USDC", claims)
    assert (await plane.say("pending @tony")).startswith("⏳ Pending claims for @tony")


async def test_pay_refuses_before_anything_is_sent(plane, rails):
    for repo in ("acme/unverified", "acme/unregistered"):
        await plane.say(f"create {repo}")
    before = len(rails.transactions())
    for text, answer in (
        ("pay 1 USDC to acme/no-app", "No split found for github.com/acme/no-app"),
        ("pay 1 USDC to acme/unverified", "❌ No payout-eligible"),
        ("pay 1 USDC to acme/unregistered", "❌ Payment failed: not registered with"),
        ("pay 251 USDC to acme/widgets", "🛑 Policy blocked pay: amount 251 is above"),
        ("pay 0 USDC to acme/widgets", "🛑 Policy blocked pay: the amount must be above"),
        ("pay 1 DOGE to acme/widgets", "🛑 Policy blocked pay: token DOGE is not allowed"),
        ("pay 0.0000001 USDC to acme/widgets", "❌ Payment failed: amount 0.0000001 has more"),
        ("pay 0.000003 USDC to acme/widgets", "❌ Payment failed: 0.000003 USDC is too little"),
    ):
        assert (await plane.say(text)).startswith(answer), text
    assert len(rails.transactions()) == before


async def test_what_is_not_understood_is_answered_with_examples(plane):
    assert (await plane.say("repay 10 USDC to acme/widgets")).startswith(
        "I didn't understand that. Try: "
    )


async def test_the_canary_of_a_healthy_world_is_ok(plane):
    answer = await plane.canary()
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["ok"] is True
    assert all(check["ok"] for check in body["checks"].values())
    rails = {"github", "near", "pingpay", "hotpay", "eigenai", "farcaster"}
    assert set(body["checks"]) == rails
    assert (await plane.client.get("/canary")).json()["result"] == body


async def test_a_plane_with_all_rails_is_ready_and_healthy_once_a_canary_has_found_it_so(plane):
    answer = await plane.client.get("/ready")
    assert answer.json()["reasons"] == ["no canary has run since the start"]
    assert set((answer.json())["services"].values()) == {"unavailable", "disconnected", "mock"}
    assert (await plane.canary()).status_code == 200
    answer = await plane.client.get("/ready")
    assert (answer.status_code, answer.json()["ready"]) == (200, True)
    health = (await plane.client.get("/health")).json()
    assert health["status"] == "healthy"
    assert (health["plane"], health["build"]) == ("phala", "r1")


async def test_pings_deliveries_are_judged_rightly(plane, rails):
    url = str(plane.client.base_url).rstrip("/") + "/webhook/pingpay"
    token = {"authorization": f"Bearer {rails.world.credentials.control_token}"}
    control = rails.world.urls["control"] + "/ping/deliver"
    for kind, status in (("good", 200), ("wrong", 401), ("stale", 401), ("replay", 401)):
        answer = await plane.client.post(control, json={"url": url, "kind": kind}, headers=token)
        assert answer.json()["status"] == status, (kind, answer.text)


@pytest.mark.parametrize(
    ("percents", "said"),
    [
        ((100, 0), "must be above zero and sum to 100"),
        ((50, 49), "must be above zero and sum to 100"),
        ((50, 51), "must be above zero and sum to 100"),
        ((50, 30, 20), "3 percentages for 2 contributors"),
    ],
)
def test_custom_shares_that_do_not_fit_are_refused(percents, said):
    people = (Contributor(1, "ada", 9), Contributor(2, "ken", 1))
    found = Contributors(Repo("o", "r"), people, 0, 0, False)
    with pytest.raises(Refusal, match=said):
        create.allocate(found, percents)
    assert [row.units for row in create.allocate(found, (100,))] == [10**23]
    assert [row.units for row in create.allocate(found, (60, 40))] == [6 * 10**22, 4 * 10**22]


def test_rows_are_the_same_if_everybody_is_there_once_with_the_same_share():
    """The contract may hold somebody twice (contract §11.6)."""
    ada, ken = Row("ada", 60), Row("Ken", 40)
    assert create.same_rows((ada, ken), [Row("ken", 40), ada])
    assert not create.same_rows((ada, ken), [Row("ken", 41), ada])
    assert not create.same_rows((ada, ada, ken), [ada, ken])
