"""Receipts: what they tell in every state, to whom, and what they never tell."""

import re
from html.parser import HTMLParser

import pytest

from agent_runtime.near import death, sender
from agent_runtime.payment_document import payment_document
from agent_runtime.payments import Payment, PaymentState, Plan, Share
from agent_runtime.receipts.book import Stamp
from agent_runtime.receipts.model import SAID, receipt
from agent_runtime.receipts.page import page
from agent_runtime.tee import Guest

PAY = "pay 10 USDC to acme/widgets"
LINE = re.compile(r"^🧾 Receipt: (/receipts/phala-[0-9a-f]{32})$", re.MULTILINE)
JSON = {"accept": "application/json"}
NASTY = '<img src=x onerror="alert(1)">&\''


class Reader(HTMLParser):
    """Collects what a browser would load, run or follow."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.said = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags.append(tag)
        self.links += [found[name] for name in ("href", "src") if name in found]
        assert not [name for name in found if name.startswith("on") or name == "style"]

    def handle_data(self, data):
        self.said.append(data)

    @property
    def text(self):
        return " ".join(self.said)


def stamp(guest=None):
    return Stamp("phala-" + "0" * 32, "pay-1", "phala", "r1", guest, 0.0)


def made(state, *, detail="", repo="github.com/o/r", login="ada"):
    plan = Plan(
        repo,
        "split-1-1",
        "USDC",
        6,
        1_500_000,
        (Share(login, "a.near", 1_000_001),),
        (Share("bob", "", 499_999),),
        ("MISSING_WALLETS",),
    )
    payment = Payment("pay-1", plan, state, "", detail, 1.0, 2.0)
    return payment_document(payment, [], [], {}, "testnet")


async def test_a_paid_payment_has_a_receipt_with_its_evidence(plane, rails):
    """The answer names it; page and JSON tell amounts, transaction, finality and plane."""
    answer = (await plane.process(PAY, key="k1")).json()
    path = LINE.search(answer["response"])[1]
    told = (await plane.client.get(path, headers=JSON)).json()
    assert (told["state"], told["settled"], told["plane"]["name"]) == ("paid", True, "phala")
    assert told["payment"] == answer["paymentId"]
    assert told["transaction"] == told["proof"]["transaction"]
    assert told["proof"]["finality"] == "FINAL"
    assert told["proof"]["providers"] == 1
    assert sum(int(share["units"]) for share in told["paid"]) == 10_000_000
    assert {share["account"]: int(share["units"]) for share in told["paid"]} == {
        moved["to"]: int(moved["units"]) for moved in told["proof"]["transfers"]
    }
    assert told["attestation"] == {
        "teeWallet": "mock",
        "appId": "",
        "instanceId": "",
        "verified": False,
        "said": "The plane showed no TEE when this receipt was written.",
    }
    shown = await plane.client.get(path)
    reader = Reader(shown.text)
    for name, amount in (("ada", "6 USDC"), ("grace", "2.5 USDC"), ("margaret", "0.5 USDC")):
        assert f"{name}.people.near" in reader.text
        assert amount in reader.text
    assert f"txns/{told['transaction']}" in " ".join(reader.links)
    assert "FINAL" in reader.text
    again = (await plane.process(PAY, key="k1")).json()
    assert again["response"] == answer["response"], "one payment has one receipt"
    await _tells_no_secret(plane, rails, path, shown)


async def _tells_no_secret(plane, rails, path, shown):
    """Neither a key nor who asked; nothing runs, and no other site learns the address."""
    told = shown.text + (await plane.client.get(path, headers=JSON)).text
    secrets = [v for n, v in rails.environ.items() if re.search("KEY|SECRET|JWT|MNEMONIC", n) and v]
    assert secrets
    node = rails.environ["NEAR_NODE_URL"].partition("://")[2]
    assert not [secret for secret in [*secrets, node, "tester"] if secret in told]
    reader = Reader(shown.text)
    assert "script" not in reader.tags
    assert [one for one in reader.links if "nearblocks" not in one] == ["data:,", "/app/style.css"]
    policy = shown.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert shown.headers["referrer-policy"] == "no-referrer"
    assert shown.headers["cache-control"] == "no-store"


async def test_an_address_is_drawn_and_any_other_is_unknown(plane):
    """It does not follow from the payment's id, which follows from the caller's key."""
    answer = (await plane.process(PAY, key="k1")).json()
    path = LINE.search(answer["response"])[1]
    assert answer["paymentId"].removeprefix("pay-") not in path
    last = "0" if path[-1] != "0" else "1"
    for other in (path[:-1] + last, path[:-1], f"/receipts/{answer['paymentId']}", "/receipts/"):
        found = await plane.client.get(other)
        assert found.status_code == 404, other


async def test_an_answer_that_is_read_elsewhere_names_the_whole_address(rails, run_plane):
    """A cast or a message is not shown beside the gateway."""
    rails.environ["RECEIPT_BASE_URL"] = "https://splits.example/"
    async with run_plane(rails.environ) as plane:
        text = await plane.say(PAY, key="k1")
    address = text.rpartition("🧾 Receipt: ")[2]
    assert re.fullmatch(r"https://splits\.example/receipts/phala-[0-9a-f]{32}", address)


async def test_an_open_payment_says_so_and_its_page_asks_again(plane, rails, monkeypatch):
    """Without final evidence there is no transaction line and no link, and no second payment."""
    for module, name in ((sender, "SEND"), (sender, "RESOLVE"), (sender, "CLEAR"), (death, "LOOK")):
        monkeypatch.setattr(module, f"{name}_SECONDS", 0.3)
    rails.fault(
        {"service": "near", "operation": "send_tx", "kind": "status", "status": 504, "after": True},
        {"service": "near", "operation": "tx", "kind": "status", "status": 503},
    )
    text = await plane.say(PAY, key="k1")
    assert "outcome unknown" in text
    path = LINE.search(text)[1]
    told = (await plane.client.get(path, headers=JSON)).json()
    assert (told["state"], told["settled"], told["transaction"]) == ("unknown", False, None)
    assert told["proof"] is None
    html = (await plane.client.get(path)).text
    assert 'http-equiv="refresh"' in html
    assert not [link for link in Reader(html).links if "nearblocks" in link]
    rails.heal()
    await plane.say(PAY, key="k1")
    assert "http-equiv" not in (await plane.client.get(path)).text
    assert "Paid" in (await plane.client.get(path)).text


@pytest.mark.parametrize("state", PaymentState)
def test_every_state_has_words(state):
    """No state reads like another, but for the two that are open."""
    found = receipt(stamp(), made(state, detail="because"))
    text = Reader(page(found)).text
    assert ". ".join(SAID[state]) in text.replace("  ", " ")
    assert "because" in text
    assert ("none with final evidence") in text
    assert len(set(SAID.values())) == len(PaymentState) - 1


def test_amounts_are_exact_and_name_the_smallest_unit():
    found = receipt(stamp(), made(PaymentState.PAID))
    text = Reader(page(found)).text
    for amount in ("1.000001 USDC", "0.499999 USDC", "1.5 USDC"):
        assert amount in text
    assert "1000001 units" in text
    assert "claim-1-1" in text


def test_whatever_stands_in_a_name_stays_text():
    """Names and details come from elsewhere; none becomes markup."""
    document = made(PaymentState.FAILED, detail=NASTY, repo=NASTY, login=NASTY)
    html = page(receipt(stamp(Guest(NASTY, NASTY)), document))
    assert "<img" not in html
    assert "img" not in Reader(html).tags
    assert Reader(html).text.count(NASTY) >= 4


def test_a_claim_of_a_tee_is_shown_as_unverified():
    found = receipt(stamp(Guest("app-1", "instance-1")), made(PaymentState.PAID))
    assert found["attestation"]["teeWallet"] == "tee"
    assert found["attestation"]["verified"] is False
    text = Reader(page(found)).text
    assert "teeWallet tee, unverified" in text
    assert "app-1" in text
    assert "did not verify that quote" in text
