"""The 26 weaknesses of today's service (contract §11), each by number: ours has none of them.

Most have more tests elsewhere; here each is tried once, as its description reads.
"""

import asyncio
import hashlib
import hmac
import re
import time

import pytest

from agent_runtime import amounts
from agent_runtime.allocation import divide, percent_text
from agent_runtime.errors import Refusal, SettingsError
from agent_runtime.intents import pay
from agent_runtime.near import death, sender
from agent_runtime.settings import Settings

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAY = "pay 10 USDC to acme/widgets"
BIG = "near/near-sdk-rs"
KEY = {"x-agent-api-key": "test-key"}


@pytest.fixture
def rails(rails_shared):
    return rails_shared


@pytest.fixture
def plane(plane_shared):
    return plane_shared


@pytest.fixture
def hurried(monkeypatch):
    """What waits for a chain that says nothing does not wait long."""
    for module, name in ((sender, "SEND"), (sender, "RESOLVE"), (sender, "CLEAR"), (death, "LOOK")):
        monkeypatch.setattr(module, f"{name}_SECONDS", 0.3)


def near(operation, **rule):
    return {"service": "near", "operation": operation, **rule}


UNSAID = (
    near("send_tx", kind="wrong", variant="accept_then_timeout"),
    near("tx", kind="status", status=503),
)


def paid(rails):
    return sum(rails.usdc(f"{name}.people.near") for name in ("ada", "grace", "linus", "margaret"))


def collected(rails):
    """How often the collecting rails were asked for anything but a probe."""
    return {
        name: n
        for name, n in rails.world.calls.items()
        if name.startswith(("ping.", "hot.")) and "probe" not in name and "processed" not in name
    }


def plan_in(text):
    return re.search(r"plan-[0-9a-f]{10}", text)[0]


# money


async def test_01_an_unknown_outcome_is_no_failure_and_goes_to_no_other_rail(plane, rails, hurried):
    before = paid(rails)
    rails.fault(*UNSAID)
    assert (await plane.say(PAY, key="w1")).startswith("❌ Payment outcome unknown")
    rails.heal()
    assert (await plane.say(PAY, key="w1")).startswith("✅ Distributed")
    assert paid(rails) == before + 10_000_000
    assert collected(rails) == {}


async def test_02_the_same_request_five_times_at_once_and_its_replay_pay_once(plane, rails):
    before = paid(rails)
    answers = await asyncio.gather(*(plane.process(PAY, key="w2") for _ in range(5)))
    answers.append(await plane.process(PAY, key="w2"))  # the others have ended by now
    (event,) = {answer.json()["eventId"] for answer in answers}
    assert (await plane.say(f"replay {event}")).startswith("🔁")
    assert not (await plane.say(f"replay {event}", author="mallory")).startswith("🔁")
    assert paid(rails) == before + 10_000_000


async def test_03_no_collecting_rail_is_asked_to_pay_out(plane, rails):
    text = await plane.say("pay 0.1 NEAR to acme/widgets", key="w3")
    assert "via near!" in text
    assert collected(rails) == {}


async def test_04_a_transaction_is_named_only_when_it_is_final(plane, rails, hurried):
    for n, variant in enumerate(("failed_receipt", "silent_drop", "unknown")):
        rails.fault(near("send_tx", kind="wrong", variant=variant), UNSAID[1])
        text = await plane.say("pay 0.01 USDC to acme/widgets", key=f"w4-{n}")
        assert text.startswith("❌ Payment"), text
        assert "🔗 Transaction:" not in text
        rails.heal()
        text = await plane.say("pay 0.01 USDC to acme/widgets", key=f"w4-{n}")  # nothing is open
        assert ("🔗 Transaction:" in text) == text.startswith("✅"), text


async def test_05_money_is_whole_units_and_what_is_too_fine_is_refused(plane):
    assert percent_text(5 * 10**22) == "50"
    assert amounts.to_text(10**24 - 1, 24) == "0." + "9" * 24
    with pytest.raises(Refusal):
        amounts.to_units("0.0000001", 6)
    assert sum(divide(10, [1, 1, 1])) == 10, "shares sum to the whole"
    text = await plane.say("pay 0.0000001 USDC to acme/widgets", key="w5")
    assert text.startswith("❌ Payment failed")


async def test_06_a_contributor_under_half_a_percent_is_in_the_split(plane, rails):
    """On chain, each once, and the whole is a whole."""
    assert (await plane.say(f"create split for {BIG}")).startswith("✅ Split ")
    (split,) = [one for one in rails.books["splits"] if one["repo_url"].endswith(BIG)]
    units = [row["percentage"] for row in split["contributors"]]
    assert len(units) > 90
    assert sum(units) == 10**23
    assert 0 < min(units) < 10**23 // 200
    assert len({row["github_username"].lower() for row in split["contributors"]}) == len(units)


async def test_07_custom_shares_that_do_not_sum_to_100_are_refused(plane):
    text = await plane.say("create split for demo/w7 10/10")
    assert text.startswith("❌ Failed to create split: custom percentages 10/10")
    assert "No split" in await plane.say("show splits for demo/w7")


async def test_08_claims_arise_with_the_payment_once_and_in_units_of_each_token(
    plane, rails, hurried
):
    await plane.say(f"create split for {BIG}")
    rails.fault(near("send_tx", kind="wrong", variant="failed_receipt"))
    assert (await plane.say(f"pay 100 USDC to {BIG}", key="w8")).startswith("❌ Payment failed")
    rails.heal()
    assert await plane.say("pending tony") == "No pending claims for @tony"
    for amount, key in (("100 USDC", "w8-a"), ("10 NEAR", "w8-b")):
        texts = [await plane.say(f"pay {amount} to {BIG}", key=key) for _ in range(2)]
        assert texts[0] == texts[1]
    told = await plane.say("pending tony")
    assert "Claims: 2" in told
    assert len(re.findall(r"^Total: [\d.]+ (?:USDC|NEAR)$", told, re.MULTILINE)) == 2
    for claim in re.findall(r"- tony: .*\(claim id: (\S+)\)", texts[0]):
        assert re.fullmatch(r"claim-[0-9a-f]{24}-\d+", claim)


async def test_09_limits_are_of_a_token_and_of_a_day_and_judged_again_at_approval(
    rails, run_plane, told_limits
):
    async with run_plane({**rails.environ, **told_limits}) as plane:
        asked = "pay 10 USDC to acme/widgets"
        plan = plan_in(await plane.say(asked))
        assert (await plane.say("pay 10.1 USDC to acme/widgets", key="a")).startswith("🛑 Policy")
        assert (await plane.say(asked, key="b")).startswith("✅")
        text = await plane.say(f"approve {plan}")
        assert text.startswith("🛑 Policy blocked pay: daily limit of 15 USDC"), text
        assert (await plane.say("pay 1 NEAR to acme/widgets", key="c")).startswith("✅")


@pytest.fixture
def told_limits():
    return {"AGENT_TOKEN_LIMITS": "USDC=10/15,NEAR=1/1", "AGENT_KEYLESS_PAY": "plan"}


async def test_10_nobody_without_an_account_is_paid_and_all_pages_are_read(plane):
    text = await plane.say(f"analyze {BIG}")
    assert "Contributors: 130" in text
    assert "Left out: 2 bots, 2 anonymous commit authors" in text
    assert "alice" not in text


# identity and access


async def test_11_saying_a_login_is_no_proof_of_it(plane, rails):
    """However often it is said, nothing is written on chain without the code in a gist."""
    before = len(rails.transactions())
    for _ in range(2):
        text = await plane.say("verify @contributor-001", nearAccountId="mallory.near")
        assert text.startswith("🔐 Verification initiated")
    assert len(rails.transactions()) == before


async def test_12_nobody_pays_through_the_webhook_of_casts_unsigned(plane, rails):
    before = len(rails.transactions())
    cast = {"data": {"hash": "0x1", "text": f"@gitsplits {PAY}", "author": {"fid": 1}}}
    for headers in ({}, {"x-webhook-signature": ""}, {"x-neynar-signature": "0" * 128}):
        answer = await plane.client.post("/webhook/farcaster", json=cast, headers=headers)
        assert answer.status_code in {401, 404, 503}, answer.text
    assert len(rails.transactions()) == before


async def test_13_the_same_name_in_another_channel_is_somebody_else(plane, rails):
    await plane.say("mode draft", type="cast", author="1234")
    plan = plan_in(await plane.say(PAY, key="w13", type="cast", author="1234"))
    before = len(rails.transactions())
    for text in (f"approve {plan}", "approve"):
        assert not (await plane.say(text, type="web", author="1234")).startswith("✅")
    assert await plane.say("cancel", type="web", author="1234") == "No pending plan to cancel"
    assert len(rails.transactions()) == before
    assert "belongs to one author" in await plane.say("mode draft", author="web_user")


async def test_14_keys_are_demanded_in_production_and_no_stranger_s_page_may_call(bare, told):
    with pytest.raises(SettingsError, match="AGENT_SERVER_API_KEY"):
        Settings.from_environ({"AGENT_MODE": "production"})
    for path in ("/canary/run", "/process"):
        assert (await bare.client.post(path, json={"text": "help"})).status_code == 401
    assert (await bare.client.get("/eigenai/grant")).status_code == 401
    answer = await bare.client.options("/process", headers={"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in answer.headers


async def test_15_an_old_or_repeated_delivery_of_ping_is_refused(bare):
    def signed(age, body):
        stamp = str(int(time.time()) - age)
        mac = hmac.new(b"hook", stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        return {"x-ping-timestamp": stamp, "x-ping-signature": mac}

    body = b'{"id": "w15", "type": "payment.success"}'
    for age, status in ((24 * 365 * 24 * 3600, 401), (0, 200), (0, 401)):
        headers = signed(age, body)
        answer = await bare.client.post("/webhook/pingpay", content=body, headers=headers)
        assert answer.status_code == status


async def test_16_bodies_are_bounded_and_no_answer_names_a_path(bare):
    for body, status in ((b"x" * 70_000, 413), (b"{", 400)):
        answer = await bare.client.post("/process", content=body, headers=KEY)
        assert answer.status_code == status
    assert (await bare.client.get("/process")).status_code == 405
    assert "/" not in (await bare.client.get("/canary")).json()["logFile"]


# truthfulness


async def test_17_a_wallet_phrase_claims_no_tee(tmp_path, told, run_plane):
    async with run_plane(told(tmp_path, MNEMONIC="test " * 11 + "junk")) as plane:
        found = (await plane.client.get("/health")).json()
    assert found["services"]["teeWallet"] == "mock"
    assert found["compute"] == "Standard (Local)"


async def test_18_no_proof_is_shown_that_was_not_checked(plane, rails):
    rails.fault({"service": "eigenai", "kind": "wrong", "variant": "bad_signature"})
    text = await plane.say("analyze acme/widgets")
    assert "AI insight: not available (" in text
    assert "🔗 Proof" not in text
    assert "🛡️" not in text


async def test_19_configured_is_not_available_and_unready_is_a_503(rails, run_plane):
    async with run_plane({**rails.environ, "AGENT_CANARY_MONITOR": "false"}) as plane:
        services = (await plane.client.get("/health")).json()["services"]
        assert (services["github"], services["near"]) == ("unavailable", "unavailable")
        answer = await plane.client.get("/ready")
        assert (answer.status_code, answer.json()["ready"]) == (503, False)
        assert (await plane.canary()).json()["ok"] is True
        assert (await plane.client.get("/ready")).status_code == 200


async def test_20_a_fault_of_near_is_a_fault_until_near_is_well_and_nothing_is_made_up(
    plane, rails
):
    rails.fault({"service": "near", "kind": "status", "status": 503})
    text = await plane.say("create split for demo/w20")
    assert text.startswith("❌ Failed to create split: near:")
    rails.heal()
    assert re.search(r"Split ID: split-\d+-\d+$", await plane.say("create demo/w20"), re.MULTILINE)
    assert Settings.from_environ({}).worker_quote == "", "no attestation but a quote or the truth"


# robustness


async def test_21_an_answer_comes_before_the_client_goes_and_a_repetition_pays_once(
    plane, rails, monkeypatch
):
    monkeypatch.setattr(pay, "DECIDE_SECONDS", 0.3)
    rails.fault({"service": "near", "operation": "call_function", "kind": "hang"})
    text = await plane.say("pay 1 USDC to acme/widgets", key="w21-a")
    assert text.startswith("❌ Payment failed: near: timed out; nothing was sent")
    rails.heal()
    monkeypatch.setattr(pay, "DECIDE_SECONDS", 8.0)
    before = paid(rails)
    gone = asyncio.create_task(plane.process(PAY, key="w21"))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    assert (await plane.say(PAY, key="w21")).startswith("✅ Distributed")
    assert paid(rails) == before + 10_000_000


async def test_22_modes_plans_events_and_canary_outlive_the_process(rails, run_plane):
    async with run_plane(rails.environ) as plane:
        await plane.say("mode draft")
        plan = plan_in(await plane.say(PAY, key="w22"))
        event = (await plane.process("pending ada")).json()["eventId"]
        ran = (await plane.canary()).json()
    async with run_plane(rails.environ) as plane:
        assert (await plane.client.get("/canary")).json()["result"] == ran
        assert (await plane.say(f"replay {event}")).startswith("🔁")
        assert (await plane.say(f"approve {plan}")).startswith("✅ Distributed")
        assert (await plane.say(PAY, key="w22-b")).startswith("📝 Plan for pay")


async def test_23_everything_works_behind_the_mention_that_the_web_puts_first(rails, run_plane):
    rails.environ["AGENT_DEFAULT_EXEC_MODE"] = "draft"
    async with run_plane(rails.environ) as plane:
        text = await plane.say(f"@gitsplits @gitsplits {PAY}", key="w23")
        assert text.startswith("📝 Plan for pay")
        assert "\\n" not in text
        assert (await plane.say("@gitsplits cancel")).startswith("Plan plan-")
        assert "execute" in await plane.say("@gitsplits mode execute")
        assert (await plane.say(f"@gitsplits {PAY}", key="w23-b")).startswith("✅")
        event = (await plane.process("@gitsplits pending ada")).json()["eventId"]
        assert (await plane.say(f"@gitsplits replay {event}")).startswith("🔁")


@pytest.mark.parametrize(
    "text",
    [
        "repay 10 USDC to acme/widgets",
        "make me a sandwich",
        "please pay 10 USDC to acme/widgets",
        "pay 10 USDC to acme/widgets and pay 1 USDC to acme/widgets",
    ],
)
async def test_24_words_inside_other_words_are_no_commands(plane, rails, text):
    before = len(rails.transactions())
    assert (await plane.say(text, key=f"w24-{text}")).startswith("I didn't understand")
    assert len(rails.transactions()) == before


async def test_24_a_token_is_not_read_out_of_a_preposition_nor_git_into_a_name(plane):
    text = await plane.say("distribute $0.01 to https://github.com/acme/widgets.git", key="w24-t")
    assert text.startswith("✅ Distributed 0.01 USDC"), text
    assert "github.com/acme/widgets\n" in await plane.say("show splits for acme/widgets.git") + "\n"


async def test_25_no_model_is_asked_what_a_text_means(plane, rails):
    await plane.say("experience hands_off")
    before = {n: c for n, c in rails.world.calls.items() if n.startswith("eigenai.")}
    transactions = len(rails.transactions())
    text = await plane.say("could you kindly give the widgets people ten dollars", key="w25")
    assert text.startswith("I didn't understand")
    after = {n: c for n, c in rails.world.calls.items() if n.startswith("eigenai.")}
    assert after == before
    assert len(rails.transactions()) == transactions


async def test_26_a_wrong_nonce_is_no_leave_to_sign_anew_and_the_grant_is_asked_afresh(
    plane, rails, hurried
):
    """After such an answer the chain is asked; only a proof that it never lands allows another."""
    before = paid(rails)
    rails.fault(near("send_tx", kind="wrong", variant="invalid_nonce", after=True), UNSAID[1])
    assert (await plane.say("pay 1 USDC to acme/widgets", key="w26")).startswith(
        "❌ Payment outcome"
    )
    rails.heal()
    assert (await plane.say("pay 1 USDC to acme/widgets", key="w26")).startswith("✅")
    assert paid(rails) == before + 1_000_000
    asked = [rails.world.calls["eigenai.checkGrant"]]
    for _ in range(2):
        await plane.client.get("/eigenai/grant", headers=KEY)
        asked.append(rails.world.calls["eigenai.checkGrant"])
    assert asked == [asked[0], asked[0] + 1, asked[0] + 2]
