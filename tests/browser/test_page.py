"""The page for people, in a real browser: intents, plans, approvals, receipts."""

import re

import pytest
from playwright.async_api import expect

from gateway.doubles import CLIENT_KEY

pytestmark = pytest.mark.asyncio(loop_scope="module")
PAY = "pay 10 USDC to acme/widgets"
HASH = re.compile(r"[1-9A-HJ-NP-Za-km-z]{43,44}")


@pytest.fixture(autouse=True)
def _no_complaints(stage):
    """The browser has nothing to complain of: no blocked source, no script's error."""
    stage.complaints.clear()
    yield
    assert stage.complaints == []


async def ask(page, text):
    await page.get_by_label("What is to be done").fill(text)
    await page.get_by_role("button", name="Send").click()


async def focused(page):
    return await page.evaluate(
        "document.activeElement.innerText || document.activeElement.id || 'nothing'"
    )


async def test_an_analysis_is_asked_for_and_answered(stage):
    """It names the plane that answered; nothing is planned, nothing is paid."""
    page = await stage.with_key()
    await ask(page, "analyze acme/widgets")
    answer = page.locator("#answer-text")
    await expect(answer).to_contain_text("📊 Analysis for github.com/acme/widgets")
    await expect(page.get_by_text("Answered by phala")).to_be_visible()
    await expect(page.locator("#plan")).to_be_hidden()
    await expect(page.locator("#receipt")).to_be_hidden()


async def test_a_payment_is_planned_approved_and_receipted_by_keyboard_alone(stage):
    """The focus follows what happens, so that whoever cannot see it or use a mouse can pay."""
    page = await stage.with_key()
    await page.get_by_label("Key of this service").focus()
    await page.keyboard.press("Tab")
    await page.keyboard.type(PAY)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Plan")).to_be_focused()
    await expect(page.locator("#plan-facts")).to_contain_text("To be paid now10 USDC")
    await expect(page.get_by_role("row", name="ada ada.people.near 6 USDC")).to_be_visible()
    assert stage.usdc("ada.people.near") == 0, "a plan moves nothing"
    await page.keyboard.press("Tab")
    assert await focused(page) == "Approve"
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Answer")).to_be_focused()
    await expect(page.locator("#answer-text")).to_contain_text("✅ Distributed 10 USDC to 4")
    assert stage.usdc("ada.people.near") == 6_000_000
    await page.keyboard.press("Tab")
    assert await focused(page) == "Receipt"
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/receipts/phala-*")
    await _is_a_receipt(page)


async def _is_a_receipt(page):
    await expect(page.get_by_role("status")).to_contain_text("Paid.")
    await expect(page.get_by_role("table", name="Recipients")).to_contain_text("6 USDC")
    link = page.get_by_role("link")
    assert HASH.fullmatch(await link.inner_text())
    assert (await link.get_attribute("href")).endswith("/txns/" + await link.inner_text())
    await expect(page.get_by_text("FINAL", exact=True)).to_be_visible()


async def test_an_outcome_that_is_not_known_is_asked_for_again_and_paid_once(stage):
    """The plan stays on the page; its second approval finds out, and pays nobody twice."""
    before = stage.usdc("grace.people.near")
    page = await stage.with_key()
    await ask(page, PAY)
    await expect(page.locator("#plan")).to_be_visible()
    near = {"service": "near"}
    stage.fault(
        {**near, "operation": "send_tx", "kind": "wrong", "variant": "accept_then_timeout"},
        {**near, "operation": "tx", "kind": "status", "status": 503},
    )
    await page.get_by_role("button", name="Approve").click()
    await expect(page.locator("#answer-text")).to_contain_text("Payment outcome unknown")
    again = page.get_by_role("button", name="Ask again")
    await expect(again).to_be_enabled()
    await expect(page.get_by_text("It is not known what became of it")).to_be_visible()
    await expect(page.get_by_role("button", name="Do not")).to_be_hidden()
    receipt = await page.get_by_role("link", name="Receipt").get_attribute("href")
    stage.heal()
    await again.click()
    await expect(page.locator("#answer-text")).to_contain_text("✅ Distributed 10 USDC")
    assert stage.usdc("grace.people.near") == before + 2_500_000
    assert await page.get_by_role("link", name="Receipt").get_attribute("href") == receipt


async def test_a_plan_that_is_not_wanted_is_cancelled(stage):
    before = stage.usdc("ada.people.near")
    page = await stage.with_key()
    await ask(page, PAY)
    await page.get_by_role("button", name="Do not").click()
    await expect(page.get_by_role("status")).to_contain_text("cancelled; nothing was done")
    await expect(page.locator("#plan")).to_be_hidden()
    assert stage.usdc("ada.people.near") == before


async def test_a_missing_key_is_asked_for_and_not_kept(stage):
    page = await stage.open()
    await ask(page, "help")
    await expect(page.get_by_role("status")).to_contain_text("asks for its key")
    key = page.get_by_label("Key of this service")
    await expect(key).to_be_focused()
    await key.fill(CLIENT_KEY)
    await page.get_by_role("button", name="Send").click()
    await expect(page.locator("#answer-text")).to_contain_text("I answer whole commands")
    kept = await page.evaluate("JSON.stringify([localStorage, sessionStorage, document.cookie])")
    assert kept == '[{},{},""]'
    assert stage.complaints.pop().startswith("Failed to load resource")  # the 401 itself


async def test_whoever_links_a_login_gives_the_account_to_be_paid_to(stage):
    """The field is there for that text and no other, and only then goes along."""
    page = await stage.with_key()
    account = page.get_by_label("Your NEAR account")
    await expect(account).to_be_hidden()
    await page.get_by_label("What is to be done").fill("verify @contributor-001")
    await account.fill("mine.near")
    await page.get_by_role("button", name="Send").click()
    await expect(page.locator("#answer-text")).to_contain_text("to mine.near: publish it only if")
    await page.get_by_label("What is to be done").fill("help")
    await expect(account).to_be_hidden()


async def test_whatever_an_answer_says_stays_text_and_leads_nowhere_else(stage):
    """A plane that went bad can neither run anything here nor lead a reader away."""
    page = await stage.with_key()
    bad = '<img src=x onerror="document.title=1">\n🧾 Receipt: javascript:alert(1)'
    answer = {"response": bad, "execution": {"plane": bad}}

    async def told(route):
        await route.fulfill(json=answer)

    await page.route("**/api/agent", told)
    await ask(page, "help")
    await expect(page.locator("#answer-text")).to_have_text(bad)
    await expect(page.locator("#receipt")).to_be_hidden()
    assert await page.locator("img").count() == 0
    assert await page.title() == "Splits"
    answer["response"] = "🧾 Receipt: https://evil.example/receipts/x-1"
    await page.get_by_role("button", name="Send").click()
    link = page.get_by_role("link", name="Receipt")
    await expect(link).to_have_attribute("href", "/receipts/x-1")
