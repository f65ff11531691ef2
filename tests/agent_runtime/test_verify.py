"""A login is linked by proof and never by claim; what was owed is paid once after an approval."""

import re

import httpx

from sandbox import people

MINE = "tony-new.near"
VERIFY = "@gitsplits verify my github @Tony"


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


async def claimed(plane, login="tony", wallet=MINE, **who):
    return await plane.say(f"verify {login}", nearAccountId=wallet, **who)


async def linked(plane, rails):
    await publish(rails, "tony", code_in(await claimed(plane)))
    return await claimed(plane)


async def test_a_code_in_a_gist_of_the_account_links_it_to_the_wallet(plane, rails):
    text = await plane.say(VERIFY, nearAccountId=MINE)
    assert text.startswith("🔐 Verification initiated for @tony\nCode: gitsplits-verify-")
    assert MINE in text
    code = code_in(text)
    assert code_in(await claimed(plane)) == code  # not published yet: the same one again
    assert wallet_on_chain(rails, "tony") is None
    await publish(rails, "tony", f"yes:\n{code}\n")
    assert await claimed(plane) == f"✅ @tony verified and linked to {MINE}"
    assert wallet_on_chain(rails, "tony") == MINE
    text = await plane.say("verify tony")
    assert text == f"✅ @tony is already verified and linked to {MINE}"


async def test_a_code_serves_nobody_else_and_no_other_wallet(plane, rails):
    await publish(rails, "tony", code_in(await claimed(plane)))
    for who in ({"author": "mallory"}, {"type": "cast"}, {"wallet": "evil.near"}):
        for _ in range(2):
            assert (await claimed(plane, **who)).startswith("🔐 Verification initiated")
    assert wallet_on_chain(rails, "tony") is None


async def test_another_accounts_gist_a_secret_one_and_half_a_code_prove_nothing(plane, rails):
    code = code_in(await claimed(plane))
    await publish(rails, "grace", code)
    await publish(rails, "tony", code, public=False)
    await publish(rails, "tony", code + "0", description=code[:-1])
    assert (await claimed(plane)).startswith("🔐 Verification initiated")
    assert wallet_on_chain(rails, "tony") is None


async def test_a_code_ends(rails, run_plane):
    async with run_plane({**rails.environ, "AGENT_VERIFY_TTL_MS": "1"}) as plane:
        code = code_in(await claimed(plane))
        await publish(rails, "tony", code)
        assert code_in(await claimed(plane)) != code


async def test_what_cannot_be_linked_is_refused_with_the_reason(plane, rails):
    for text, more, answer in (
        ("verify tony", {}, "to link a login, ask as yourself"),
        ("verify tony", {"nearAccountId": MINE, "author": "web_user"}, "to link a login, ask as"),
        ("verify tony", {"nearAccountId": "Not An Account"}, "to link a login, ask as yourself"),
        ("verify nobody-here", {"nearAccountId": MINE}, "GitHub has no account @nobody-here"),
        ("verify tony", {"nearAccountId": "ada.people.near"}, "ada.people.near is linked to @ada"),
    ):
        assert (await plane.say(text, **more)).startswith(f"❌ Verification failed: {answer}"), text
    assert rails.transactions() == []


async def test_without_githubs_answer_nothing_is_linked(plane, rails):
    await publish(rails, "tony", code_in(await claimed(plane)))
    for operation in ("user", "gists", "gist"):
        rails.fault({"service": "github", "operation": operation, "kind": "half"})
        assert (await claimed(plane)).startswith("❌ Verification failed: github: ")
    assert wallet_on_chain(rails, "tony") is None


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


def register(rails):
    """Let the new account hold the tokens, as a `storage_deposit` there would."""
    for token in (rails.world.describe()["near"]["usdc"], "wrap.near"):
        rails.world.chain.store.set(("contract", token, "balance", MINE), 0)
    for _ in range(4):  # until it is final
        rails.world.chain.produce()


async def owe(plane):
    await plane.say("create near/near-sdk-rs")
    assert (await plane.say("pay 100 USDC to near/near-sdk-rs", key="k1")).startswith("✅")
    assert (await plane.say("pay 10 NEAR to near/near-sdk-rs", key="k2")).startswith("✅")


async def test_claims_are_offered_to_who_verifies_and_paid_once_each(plane, rails):
    await owe(plane)
    before = await plane.say("pending tony")
    usdc, near = re.findall(r"Total: (\S+) (?:USDC|NEAR)", before)
    assert f"- tony: 1 claim(s), {usdc} USDC\n- tony: 1 claim(s), {near} NEAR" in before
    text = await linked(plane, rails)
    assert text.startswith(
        f"✅ @tony verified and linked to {MINE}\n⏳ {usdc} USDC is owed to @tony"
    )
    assert "not registered with" in text  # the new account cannot hold the token yet
    register(rails)
    before = len(rails.transactions())
    for amount, token in ((usdc, "USDC"), (near, "NEAR")):
        text = await plane.say("verify tony")
        assert f"⏳ {amount} {token} is owed to @tony\n📝 Plan for pay" in text, text
        assert len(rails.transactions()) == before  # verifying moves nothing
        plan = re.search(r"plan-[0-9a-f]{10}", text)[0]
        for _ in range(2):
            paid = await plane.say(f"approve {plan}")
            assert paid.startswith(f"✅ Distributed {amount} {token} to 1 payout-eligible"), paid
        before += 1
    assert len(rails.transactions()) == before
    assert await plane.say("pending tony") == "No pending claims for @tony"
    assert "owed" not in await plane.say("verify tony")


async def test_two_plans_for_one_claim_pay_it_once(plane, rails):
    await owe(plane)
    await linked(plane, rails)
    register(rails)
    texts = [await plane.say("verify tony", author=author) for author in ("a", "b")]
    plans = [re.search(r"plan-[0-9a-f]{10}", text)[0] for text in texts]
    assert (await plane.say(f"approve {plans[0]}", author="a")).startswith("✅ Distributed")
    second = await plane.say(f"approve {plans[1]}", author="b")
    assert second.startswith("🛑 A claim of this plan is redeemed already"), second


async def test_a_login_that_changed_hands_gets_neither_the_payment_nor_the_claims(plane, rails):
    """Somebody else proved `tony` since: rows and claims of the first one are not theirs."""
    await owe(plane)
    mallory = people.number_of("mallory")
    store = plane.service.processor._crew.chain.verifier._people
    await linked(plane, rails)
    store.remember_proof("tony", mallory, MINE)
    text = await plane.say("pay 5 USDC to near/near-sdk-rs", key="k3")
    assert "⚠️ Counted as unverified: @tony: the wallet was linked by another GitHub account" in text
    assert f"-> {MINE}" not in text
    status = await plane.say("verify contributors for near/near-sdk-rs")
    assert "✅ @tony" not in status
    store.remember_split("github.com/near/near-sdk-rs", [("tony", mallory)])
    for row in store._db.execute("SELECT id, plan FROM payments").fetchall():
        changed = row[1].replace(str(people.number_of("tony")), str(mallory))
        store._db.execute("UPDATE payments SET plan=? WHERE id=?", (changed, row[0]))
    await publish(rails, "tony", code_in(await claimed(plane)))
    text = await claimed(plane)
    assert "⚠️ 3 claim(s) under this login belong to another GitHub account" in text, text


async def test_a_claim_given_to_another_payment_is_not_paid_by_the_first_one_again(plane, rails):
    """The first redemption failed with nothing moved; the claim went to a second plan, paid."""
    await owe(plane)
    await linked(plane, rails)
    register(rails)
    plans = []
    for author in ("a", "b"):
        text = await plane.say("verify tony", author=author)
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
