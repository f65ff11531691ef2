"""A login is linked by proof and never by claim; what was owed is paid once after an approval."""

import re
from dataclasses import replace
from types import SimpleNamespace

import httpx
import pytest
import pytest_asyncio

from agent_runtime.claims import Origin
from agent_runtime.errors import Refusal
from agent_runtime.intents import redeem
from agent_runtime.near.ledger import State
from agent_runtime.parsing import Limit
from agent_runtime.payments import Claim
from agent_runtime.rails.gists import is_published
from agent_runtime.rails.github import Account, Gist
from sandbox import people

pytestmark = pytest.mark.asyncio(loop_scope="module")
LOGINS = iter([f"contributor-{n:03d}" for n in range(1, 99, 2)])  # nobody of them is verified
BIG = "near/near-sdk-rs"


@pytest.fixture
def rails(rails_shared):
    return rails_shared


@pytest.fixture
def plane(plane_shared):
    return plane_shared


@pytest.fixture
def login():
    """Somebody whom no other test has linked."""
    return next(LOGINS)


def mine(login):
    return f"{login}.mine.near"


async def publish(rails, login, content, *, description="", public=True):
    body = {"description": description, "public": public, "files": {"p.txt": {"content": content}}}
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(
            rails.world.urls["github"] + "/gists",
            json=body,
            headers={"authorization": f"Bearer {people.token_of(login)}"},
        )
    assert answer.status_code == 201


def code_in(text):
    return re.search(r"Code: (gitsplits-verify-[0-9a-f]{8})\n", text)[1]


def wallet_on_chain(rails, login):
    return rails.world.chain.store.get(("contract", "gitsplits.near", "wallet", login))


async def claimed(plane, login, *, wallet="", **who):
    return await plane.say(f"verify {login}", nearAccountId=wallet or mine(login), **who)


async def linked(plane, rails, login):
    await publish(rails, login, "see above", description=code_in(await claimed(plane, login)))
    return await claimed(plane, login)


async def test_a_code_in_a_gist_of_the_account_links_it_to_the_wallet(plane, rails, login):
    text = await plane.say(
        f"@gitsplits verify my github @{login.title()}", nearAccountId=mine(login)
    )
    assert text.startswith(f"🔐 Verification initiated for @{login}\nCode: gitsplits-verify-")
    assert mine(login) in text
    code = code_in(text)
    assert code_in(await claimed(plane, login)) == code  # not published yet: the same one again
    assert wallet_on_chain(rails, login) is None
    await publish(rails, login, f"yes:\n{code}\n")
    text = await claimed(plane, login)
    assert text.startswith(f"✅ @{login} verified and linked to {mine(login)}\n")
    assert wallet_on_chain(rails, login) == mine(login)
    register(rails, login)
    text = await plane.say(f"verify {login}")
    assert text.startswith(f"✅ @{login} is already verified and linked to {mine(login)}\n")


async def test_a_code_serves_nobody_else_and_no_other_wallet(plane, rails, login):
    await publish(rails, login, code_in(await claimed(plane, login)))
    for who in ({"author": "mallory"}, {"type": "cast"}, {"wallet": "evil.near"}):
        for _ in range(2):
            assert (await claimed(plane, login, **who)).startswith("🔐 Verification initiated")
    assert wallet_on_chain(rails, login) is None


async def test_another_accounts_gist_a_secret_one_and_half_a_code_prove_nothing(
    plane, rails, login
):
    code = code_in(await claimed(plane, login))
    await publish(rails, "grace", code)
    await publish(rails, login, code, public=False)
    await publish(rails, login, code + "0", description=code[:-1])
    assert (await claimed(plane, login)).startswith("🔐 Verification initiated")
    assert wallet_on_chain(rails, login) is None


async def test_a_code_ends(rails, run_plane, login):
    async with run_plane({**rails.environ, "AGENT_VERIFY_TTL_MS": "1"}) as plane:
        code = code_in(await claimed(plane, login))
        await publish(rails, login, code)
        assert code_in(await claimed(plane, login)) != code


async def test_what_cannot_be_linked_is_refused_with_the_reason(plane, rails, login):
    before = rails.transactions()
    for text, more, answer in (
        (f"verify {login}", {}, "to link a login, ask as yourself"),
        (
            f"verify {login}",
            {"nearAccountId": mine(login), "author": "web_user"},
            "to link a login, ask as",
        ),
        (
            f"verify {login}",
            {"nearAccountId": "Not An Account"},
            "to link a login, ask as yourself",
        ),
        (
            "verify nobody-here",
            {"nearAccountId": mine(login)},
            "GitHub has no account @nobody-here",
        ),
        (
            f"verify {login}",
            {"nearAccountId": "ada.people.near"},
            "ada.people.near is linked to @ada",
        ),
    ):
        assert (await plane.say(text, **more)).startswith(f"❌ Verification failed: {answer}"), text
    assert rails.transactions() == before


async def test_whoever_is_linked_and_gives_another_account_proves_it_anew(plane, rails, login):
    """What is linked stays until then."""
    await linked(plane, rails, login)
    register(rails, login)
    text = await claimed(plane, login, wallet=f"other.{login}.near")
    assert text.startswith("🔐 Verification initiated"), text
    assert wallet_on_chain(rails, login) == mine(login)


async def test_no_organisation_is_linked_nor_what_the_chain_does_not_hold_afterwards(
    plane, login, monkeypatch
):
    verifier = plane.service.processor._crew.chain.verifier

    async def account(_):
        return Account(7, login, "Organization")

    async def submit(owner, call):
        return SimpleNamespace(state=State.LANDED, detail="", tx_hash="x")

    with monkeypatch.context() as patched:
        patched.setattr(verifier._github, "account", account)
        assert "is no person's account, its kind is Organization" in await claimed(plane, login)
    monkeypatch.setattr(verifier._worker, "submit", submit)
    with pytest.raises(Refusal, match="the chain does not hold the link"):
        await verifier._link(Account(7, login, "User"), mine(login))
    assert not verifier._people.proved(login, mine(login))


async def test_without_githubs_answer_nothing_is_linked(plane, rails, login):
    await publish(rails, login, code_in(await claimed(plane, login)))
    for operation in ("user", "gists", "gist"):
        rails.fault({"service": "github", "operation": operation, "kind": "half"})
        assert (await claimed(plane, login)).startswith("❌ Verification failed: github: ")
    assert wallet_on_chain(rails, login) is None


async def test_the_status_of_a_repository_names_everybody(plane):
    text = await plane.say("verify contributors for acme/unverified")
    assert text.split("\n") == [
        "🔎 Verification status for github.com/acme/unverified",
        "Verification coverage: 0/2 verified",
        "• @tony: https://gitsplits.vercel.app/verify?repo=acme%2Funverified",
        "• @vint: https://gitsplits.vercel.app/verify?repo=acme%2Funverified",
    ]
    text = await plane.say("verify contributor of acme/widgets")
    assert "Verification coverage: 4/4 verified\n✅ @ada -> ada.people.near\n" in text


def register(rails, login):
    """Let the new account hold the tokens, as a `storage_deposit` there would."""
    for token in (rails.world.describe()["near"]["usdc"], "wrap.near"):
        rails.world.chain.store.set(("contract", token, "balance", mine(login)), 0)
    await_final(rails)


def await_final(rails):
    """Let what was set on chain become final."""
    for _ in range(4):
        rails.world.chain.produce()


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def owed(plane_of_module):
    """Every login of this file is owed USDC and NEAR."""
    await plane_of_module.say(f"create {BIG}")
    for n, amount in enumerate(("100 USDC", "10 NEAR")):
        paid = await plane_of_module.say(f"pay {amount} to {BIG}", key=f"owed{n}")
        assert paid.startswith("✅ Distributed"), paid


async def test_claims_are_offered_to_who_verifies_and_paid_once_each(plane, rails, login):
    before = await plane.say(f"pending {login}")
    usdc, near = re.findall(r"Total: (\S+) (?:USDC|NEAR)", before)
    assert f"- {login}: 1 claim(s), {usdc} USDC\n- {login}: 1 claim(s), {near} NEAR" in before
    text = await linked(plane, rails, login)
    assert text.startswith(
        f"✅ @{login} verified and linked to {mine(login)}\n⏳ {usdc} USDC is owed"
    )
    assert "not registered with" in text  # the new account cannot hold the token yet
    register(rails, login)
    before = len(rails.transactions())
    for amount, token in ((usdc, "USDC"), (near, "NEAR")):
        text = await plane.say(f"verify {login}")
        assert f"⏳ {amount} {token} is owed to @{login}\n📝 Plan for pay" in text, text
        assert len(rails.transactions()) == before  # verifying moves nothing
        plan = re.search(r"plan-[0-9a-f]{10}", text)[0]
        for _ in range(2):
            paid = await plane.say(f"approve {plan}")
            assert paid.startswith(f"✅ Distributed {amount} {token} to 1 payout-eligible"), paid
        before += 1
    assert len(rails.transactions()) == before
    assert await plane.say(f"pending {login}") == f"No pending claims for @{login}"
    assert "owed" not in await plane.say(f"verify {login}")


def redeemer_of(plane):
    return plane.service.processor._crew.chain.verifier._redeemer


RULES = {
    "token USDC is not allowed": {"allowed_tokens": ("NEAR",)},
    "is above the limit of 0.1": {"token_limits": {"USDC": Limit("0.1", "2500")}},
    "only canary repositories may be paid": {
        "canary_only_pay": True,
        "mode": "production",
        "canary_repos": ("o/r",),
    },
    "has a score of 70, below 71": {"reputation_min": 71},
}


async def test_a_redemption_keeps_to_the_rules_for_payments_and_they_are_asked_at_the_approval_too(
    plane, rails, login, monkeypatch
):
    """Neither a rule nor another wallet on chain since is got round by having waited."""
    await linked(plane, rails, login)
    register(rails, login)
    plan = re.search(r"plan-[0-9a-f]{10}", await plane.say(f"verify {login}"))[0]
    before = len(rails.transactions())
    settings = plane.service.settings
    for said, told in RULES.items():
        monkeypatch.setattr(redeemer_of(plane), "_settings", replace(settings, **told))
        assert said in await plane.say(f"approve {plan}")
        offered = await plane.say(f"verify {login}", author="another")
        assert said in offered
        assert "📝" not in offered
    monkeypatch.undo()
    name = ("contract", "gitsplits.near", "wallet", login)
    rails.world.chain.store.set(name, "other.near")
    await_final(rails)
    text = await plane.say(f"approve {plan}")
    assert f"@{login} is not linked to {mine(login)} any more" in text
    assert len(rails.transactions()) == before
    rails.world.chain.store.set(name, mine(login))
    await_final(rails)
    known = plane.service.processor._crew.chain.verifier._people
    for number, begins in ((7, "❌ Payment failed"), (people.number_of(login), "✅ Distributed")):
        known.remember_proof(login, number, mine(login))
        least = replace(settings, reputation_min=70)
        monkeypatch.setattr(redeemer_of(plane), "_settings", least)
        assert (await plane.say(f"approve {plan}")).startswith(begins)


async def test_a_payment_redeems_claims_of_one_token_and_one_split():
    """Another's units would be counted as none, and the claim be gone."""
    kinds = [("USDC", "s1"), ("NEAR", "s1"), ("USDC", "s2"), ("USDC", "s1")]
    owed = [Claim(f"c{n}", "ada", token, 1) for n, (token, _) in enumerate(kinds)]
    origins = {f"c{n}": Origin("github.com/o/r", split, 1) for n, (_, split) in enumerate(kinds)}
    assert redeem.alike(owed, origins) == [owed[0], owed[3]]


async def test_a_claim_without_a_number_is_whose_github_lists_as_contributor(plane):
    origin = Origin("github.com/acme/widgets", "s1", 0)
    for name, owns in (("ada", True), ("mallory", False)):
        account = Account(people.number_of(name), "ada", "User")
        assert await redeemer_of(plane)._owns(account, origin) is owns


async def test_claims_are_redeemed_as_many_as_one_payment_may_be(plane):
    """250 USDC are, a unit more is not; the first claim is judged by policy, whatever it is."""
    owed = [Claim(f"c{n}", "ada", "USDC", units * 10**6) for n, units in enumerate((150, 100, 1))]
    fitting = redeemer_of(plane)._fitting
    assert [claim.id for claim in fitting(owed)] == ["c0", "c1"]
    assert fitting([replace(owed[0], units=10**9)]) == [replace(owed[0], units=10**9)]


async def test_two_plans_for_one_claim_pay_it_once(plane, rails, login):
    await linked(plane, rails, login)
    register(rails, login)
    texts = [await plane.say(f"verify {login}", author=author) for author in ("a", "b")]
    plans = [re.search(r"plan-[0-9a-f]{10}", text)[0] for text in texts]
    assert (await plane.say(f"approve {plans[0]}", author="a")).startswith("✅ Distributed")
    second = await plane.say(f"approve {plans[1]}", author="b")
    assert second.startswith("🛑 A claim of this plan is redeemed already"), second


async def test_a_login_that_changed_hands_gets_neither_the_payment_nor_the_claims(
    plane, rails, login, owed
):
    """Somebody else proved the login since: rows and claims of the first one are not theirs."""
    mallory = people.number_of("mallory")
    store = plane.service.processor._crew.chain.verifier._people
    await linked(plane, rails, login)
    store.remember_proof(login, mallory, mine(login))
    text = await plane.say(f"pay 5 USDC to {BIG}", key="k3")
    assert (
        f"⚠️ Counted as unverified: @{login}: the wallet was linked by another GitHub account"
        in text
    )
    assert f"-> {mine(login)}" not in text
    status = await plane.say(f"verify contributors for {BIG}")
    assert f"✅ @{login} ->" not in status
    store._db.execute("UPDATE split_people SET github_id=? WHERE login=?", (mallory, login))
    for row in store._db.execute("SELECT id, plan FROM payments").fetchall():
        changed = row[1].replace(str(people.number_of(login)), str(mallory))
        store._db.execute("UPDATE payments SET plan=? WHERE id=?", (changed, row[0]))
    await publish(rails, login, code_in(await claimed(plane, login)))
    text = await claimed(plane, login)
    assert "⚠️ 3 claim(s) under this login belong to another GitHub account" in text, text


async def test_a_claim_given_to_another_payment_is_not_paid_by_the_first_one_again(
    plane, rails, login, owed
):
    """The first redemption failed with nothing moved; the claim went to a second plan, paid."""
    await linked(plane, rails, login)
    register(rails, login)
    plans = []
    for author in ("a", "b"):
        text = await plane.say(f"verify {login}", author=author)
        plans.append(re.search(r"plan-[0-9a-f]{10}", text)[0])
    rails.fault(
        {"service": "near", "operation": "send_tx", "kind": "wrong", "variant": "failed_receipt"}
    )
    assert (await plane.say(f"approve {plans[0]}", author="a")).startswith("❌ Payment failed: ")
    rails.heal()
    assert (await plane.say(f"approve {plans[1]}", author="b")).startswith("✅ Distributed")
    before = len(rails.transactions())
    again = await plane.say(f"approve {plans[0]}", author="a")
    assert "was given to another payment; nothing was sent" in again, again
    assert len(rails.transactions()) == before


async def test_a_gist_under_the_login_that_another_account_published_proves_nothing():
    """GitHub may list under a name that was given to somebody else meanwhile."""
    code = "gitsplits-verify-0123abcd"

    class Renamed:
        async def gists(self, login):
            return [Gist("a", 2, code), Gist("b", 2, "")]

        async def gist_text(self, gist):
            return code

    assert not await is_published(Renamed(), Account(1, "tony", "User"), code)
    assert await is_published(Renamed(), Account(2, "tony", "User"), code)
