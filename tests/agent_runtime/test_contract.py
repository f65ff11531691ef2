"""The lines that clients read from answers, one test each (contract §2, §5, §6): all are kept."""

import json
import re
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from agent_runtime.near import death, sender

pytestmark = pytest.mark.asyncio(loop_scope="module")

BIG = "near/near-sdk-rs"
ASKED = {
    "analyze": f"analyze {BIG}",
    "analyze nothing": "analyze no/such",
    "create": "create split for acme/unverified",
    "create again": "create split for acme/unverified",
    "create custom": "create split for acme/unverified 70/30",
    "create badly": "create split for acme/unverified 10/10",
    "create big": f"create {BIG}",
    "pay": f"pay 100 USDC to {BIG}",
    "pay nobody": "pay 1 USDC to acme/unverified",
    "pay no split": "pay 1 USDC to acme/no-app",
    "pay against policy": "pay 251 DOGE to acme/widgets",
    "pay too much": "pay 251 USDC to acme/widgets",
    "pay too fine": "pay 0.0000001 USDC to acme/widgets",
    "pending": f"pending {BIG}",
    "pending of one": "pending @tony",
    "pending of nobody": "pending @ada",
    "verify repository": "verify contributors for acme/widgets",
    "verify": "verify @contributor-001",
    "verify linked": "verify @ada",
    "reputation": "reputation @ada",
    "unclear": "make me a sandwich",
    "help": "help",
}
BASE58 = "[1-9A-HJ-NP-Za-km-z]"

# what was asked, the line as clients read it, and a pattern that one whole line must match
LINES = [
    ("analyze", "heading", r"📊 Analysis for github\.com/near/near-sdk-rs"),
    ("analyze", "commits", r"Total commits: \d+"),
    ("analyze", "contributors", r"Contributors: \d+"),
    ("analyze", "section", r"Top contributors:"),
    ("analyze", "contributor", r"🥇 ada: \d+ commits \([\d.]+%\)"),
    ("analyze", "second", r"🥈 grace: \d+ commits \([\d.]+%\)"),
    ("analyze", "third", r"🥉 linus: \d+ commits \([\d.]+%\)"),
    ("analyze", "fourth", r"• \S+: \d+ commits \([\d.]+%\)"),
    ("analyze", "more", r"\.\.\.and \d+ more"),
    ("analyze", "coverage", r"✅ Verification coverage \(top 20\): \d+/20 verified \(2 bot/sys.*"),
    ("analyze", "invitation", r"Invite link: https://\S+/verify\?repo=near%2Fnear-sdk-rs"),
    ("analyze", "insight", r"🛡️ Verifiable AI Insight:"),
    ("analyze", "proof", r"🔗 Proof: https://determinal\.eigenarcade\.com/verify/[0-9a-f]{130}"),
    ("analyze", "hint", r"Create a split: create split for github\.com/near/near-sdk-rs"),
    ("analyze nothing", "failure", r"❌ Analysis failed for github\.com/no/such.*"),
    ("create", "created", r"✅ Split created for github\.com/acme/unverified!"),
    ("create", "id", r"📜 Split ID: split-\d+-\d+"),
    ("create", "share", r"- tony: 80%"),
    ("create", "coverage", r"Verification coverage: 0/2 verified"),
    ("create", "missing", r"Need verification: @tony, @vint"),
    ("create", "invitation", r"Invite link: https://\S+/verify\?repo=acme%2Funverified"),
    ("create again", "already there", r"✅ Split already exists for github\.com/acme/unverified!"),
    ("create custom", "updated", r"✅ Split updated for github\.com/acme/unverified!"),
    ("create badly", "failure", r"❌ Failed to create split: .*sum to 100"),
    ("create big", "many missing", r"Need verification: (@[\w-]+, ){5}\+\d+ more"),
    ("pay", "distributed", r"✅ Distributed [\d.]+ USDC to \d+ payout-eligible .* via near!"),
    ("pay", "coverage", r"Coverage: \d+/\d+ contributors eligible\+verified"),
    ("pay", "mode", r"Payment mode: agent_rails_near"),
    ("pay", "protocol", r"🌐 Protocol: NEP-141 transfers in (one NEAR t|\d+ NEAR t)ransactions?"),
    ("pay", "transaction", rf"🔗 Transaction: {BASE58}{{43,44}}"),
    ("pay", "split", r"📜 Split: split-\d+-\d+"),
    ("pay", "flags", r"⚠️ Safety flags: MISSING_WALLETS"),
    ("pay", "claims", r"⏳ Pending claims for unverified contributors \(\d+\):"),
    ("pay", "claim", r"- tony: [\d.]+ USDC \(claim id: claim-[0-9a-f]{24}-\d+\)"),
    ("pay", "receipt", r"🧾 Receipt: /receipts/phala-[0-9a-f]{32}"),
    ("pay nobody", "failure", r"❌ No payout-eligible .*"),
    ("pay no split", "failure", r"No split found for github\.com/acme/no-app"),
    ("pay against policy", "policy", r"🛑 Policy blocked pay: token DOGE is not allowed .*"),
    ("pay too much", "policy", r"🛑 Policy blocked pay: amount 251 is above the limit of 250"),
    ("pay too fine", "failure", r"❌ Payment failed: .*0\.0000001.*"),
    ("pending", "heading", r"⏳ Pending claims for github\.com/near/near-sdk-rs"),
    ("pending", "total", r"Total: [\d.]+ USDC"),
    ("pending", "claim", r"- tony: 1 claim\(s\), [\d.]+ USDC"),
    ("pending of one", "heading", r"⏳ Pending claims for @tony"),
    ("pending of nobody", "nothing", r"No pending claims for @ada"),
    ("verify repository", "heading", r"🔎 Verification status for github\.com/acme/widgets"),
    ("verify repository", "coverage", r"Verification coverage: 4/4 verified"),
    ("verify repository", "verified", r"✅ @ada -> ada\.people\.near"),
    ("verify", "begun", r"🔐 Verification initiated for @contributor-001"),
    ("verify", "code", r"Code: gitsplits-verify-\w{8,}"),
    ("verify linked", "already", r"✅ @ada is already verified and linked to ada\.people\.near"),
    ("reputation", "heading", r"🏅 Reputation for @ada"),
    ("reputation", "kind", r"Kind: human"),
    ("reputation", "score", r"Score: 70/100 \(silver\)"),
    ("reputation", "registry", r"ERC-8004: (registered|not registered|not configured)"),
    ("reputation", "sources", r"Sources: .+"),
    ("unclear", "examples", r"I didn't understand that\. Try: .*"),
]  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def answers(plane_of_module):
    """What a plane among all its rails answers, each text asked once and in this order."""
    told = {}
    for name, text in ASKED.items():
        account = {"nearAccountId": "new.people.near"} if name == "verify" else {}
        answer = await plane_of_module.process(text, key=name.replace(" ", "-"), **account)
        assert answer.status_code == 200, "a refusal is an answer (contract §1)"
        told[name] = answer.json()["response"].split("\n")
    return told


@pytest.mark.parametrize(
    ("asked", "pattern"), [pytest.param(a, p, id=f"{a}: {name}") for a, name, p in LINES]
)
async def test_the_line_is_kept(answers, asked, pattern):
    """One whole line of the answer reads so."""
    assert [line for line in answers[asked] if re.fullmatch(pattern, line)], answers[asked]


@pytest.mark.parametrize("asked", [name for name in ASKED if name != "help"])
async def test_what_clients_tell_failures_by_comes_first(answers, asked):
    """Every failure begins with a cross, a stop sign, or the two wordings without one."""
    first = answers[asked][0]
    failed = {one for one, name, _ in LINES if name in {"failure", "policy", "examples"}}
    assert first.startswith(("❌", "🛑", "No split found", "I didn't")) == (asked in failed)


async def test_an_answer_holds_no_written_out_line_end(answers):
    """Today's service writes the two characters of an escape there (contract §11.23)."""
    assert not [line for lines in answers.values() for line in lines if "\\n" in line]


async def test_the_split_id_is_one_that_clients_can_cut(answers):
    """Clients read `split-<digits>`; the rest of the id follows (contract §6)."""
    shown = next(line for line in answers["create"] if "Split ID" in line)
    assert re.search(r"split-\d+", shown)


async def test_every_failure_of_a_payment_names_the_payment_and_no_transaction_line(
    plane_of_module, rails_of_module, monkeypatch
):
    """`❌ Payment failed: ...`; the line that clients link to is for final evidence alone."""
    for module, name in ((sender, "SEND"), (sender, "RESOLVE"), (sender, "CLEAR"), (death, "LOOK")):
        monkeypatch.setattr(module, f"{name}_SECONDS", 0.3)
    rails_of_module.fault(
        {"service": "near", "operation": "send_tx", "kind": "wrong", "variant": "failed_receipt"}
    )
    text = await plane_of_module.say("pay 1 USDC to acme/widgets", key="failing")
    rails_of_module.heal()
    assert re.match(r"❌ Payment failed: .*payment id pay-[0-9a-f]{24}", text)
    assert "🔗 Transaction:" not in text


HEALTH = {
    "status": "healthy|unhealthy",
    "timestamp": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
    "uptime": r"\d+",
    "version": r"\d+\.\d+\.\d+\S*",
    "compute": r"Secure TEE \(Phala dstack\)|Standard \(Local\)",
    "services.farcaster": "connected|disconnected|disabled",
    "services.github": "available|unavailable",
    "services.near": "available|unavailable",
    "services.pingpay": "available|unavailable",
    "services.eigenai": "available|unavailable",
    "services.teeWallet": "tee|mock",
    "technologyStack.social": ".+",
    "technologyStack.automation": ".+",
    "technologyStack.blockchain": ".+",
    "technologyStack.settlement": ".+",
    "technologyStack.verifiability": ".+",
    "readiness.ready": "true|false",
    "readiness.reasons": r"\[.*\]",
    "metrics.requests": r"\d+",
    "metrics.errors": r"\d+",
}


@pytest.mark.parametrize("name", HEALTH)
async def test_the_field_of_health_is_kept(bare, name):
    """`/health` is 200 and has the field, with a value that clients know (contract §2)."""
    answer = await bare.client.get("/health")
    assert answer.status_code == 200
    found = answer.json()
    for part in name.split("."):
        found = found[part]
    shown = found if isinstance(found, str) else json.dumps(found)
    assert re.fullmatch(HEALTH[name], shown), shown


async def test_uptime_counts_milliseconds(bare):
    """Not seconds: two looks differ by what lies between them."""
    clock = bare.service.health
    first = (await bare.client.get("/health")).json()["uptime"]
    clock.started -= 2.0
    second = (await bare.client.get("/health")).json()["uptime"]
    clock.started += 2.0
    assert 2_000 <= second - first < 30_000


async def test_the_index_names_every_endpoint_of_the_contract_that_is_served(bare):
    """Clients find their way by these names (contract §1)."""
    found = (await bare.client.get("/")).json()["endpoints"]
    assert {
        "health", "ready", "process", "pingWebhook", "eigenaiGrant", "canary", "runCanary",
    } <= set(found)  # fmt: skip


async def test_the_grant_is_shown_as_the_rail_tells_it(plane_of_module):
    """200 with the grant; the key of the server is asked for now (contract §1, §11.14)."""
    headers = {"x-agent-api-key": "test-key"}
    answer = await plane_of_module.client.get("/eigenai/grant", headers=headers)
    assert answer.status_code == 200
    assert answer.json()["success"] is True


async def test_the_canary_is_told_in_its_form(plane_of_module):
    """`/canary/run` is 200 if ok; `/canary` shows the last one and the log's name (contract §7)."""
    ran = await plane_of_module.canary()
    assert ran.status_code == 200, ran.text
    body = ran.json()
    assert set(body) == {"at", "ok", "checks"}
    assert set(body["checks"]) - {"farcaster"} == {"github", "near", "pingpay", "hotpay", "eigenai"}
    assert all(len(check.get("details") or "") <= 180 for check in body["checks"].values())
    shown = (await plane_of_module.client.get("/canary")).json()
    assert shown["result"] == body
    assert set(shown) == {"result", "logFile"}


PLANS = {
    f"create {BIG}": {
        "intent": "create",
        "dependencies": ["repo_analysis", "near_connectivity", "worker_registration"],
        "risks": ["onchain_state_change"],
        "outputs": ["split_id", "allocation_preview", "verification_coverage"],
    },
    f"pay 1 USDC to {BIG}": {
        "intent": "pay",
        "dependencies": [
            "split_exists", "verified_recipients", "payment_policy", "wallet_or_rails_auth",
        ],
        "risks": ["onchain_value_transfer", "MISSING_WALLETS"],
        "outputs": ["tx_hash_or_intent_ref", "coverage_summary", "pending_claims"],
    },
}  # fmt: skip


@pytest.mark.parametrize("text", PLANS)
async def test_a_plan_is_told_in_its_form(answers, plane_of_module, text):
    """Heading, fenced JSON with the warnings of policy, and how to answer (contract §5)."""
    answer = (await plane_of_module.process(None, plan=text)).json()
    heading, fence, *_, last = answer["response"].split("\n")
    block = json.loads(answer["response"].split("```json\n")[1].split("\n```")[0])
    assert (PLANS[text]["intent"] in heading, fence) == (True, "```json")
    assert set(block) == {"id", "params", "confidence", "expiresAt", *PLANS[text]}
    assert {name: block[name] for name in PLANS[text]} == PLANS[text]
    left = datetime.fromisoformat(block["expiresAt"]) - datetime.now(UTC)
    assert 590 < left.total_seconds() <= 600
    assert last == f"Reply `approve {block['id']}` or `cancel`"
    assert re.fullmatch("plan-[0-9a-f]{10}", block["id"])
    assert re.fullmatch("[0-9a-f]{16}", answer["eventId"])
