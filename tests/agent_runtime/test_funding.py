"""Money is collected, once for each request, and nothing that HOT says makes it arrive."""

import asyncio
import json
import time

import pytest
import pytest_asyncio

from agent_runtime.command import run
from agent_runtime.errors import SettingsError
from agent_runtime.funding import book as book_module
from agent_runtime.funding import desk as desk_module
from agent_runtime.funding import judge as judge_module
from agent_runtime.funding.book import FundingBook
from agent_runtime.funding.desk import FundingDesk, wish_of
from agent_runtime.funding.model import FundingState
from agent_runtime.funding.witness import Witness
from agent_runtime.near.rpc import Rpc
from agent_runtime.rails.hot import Hot
from agent_runtime.settings import Settings
from agent_runtime.store import open_store
from agent_runtime.webhooks import hot as webhook_module
from sandbox.near import genesis

pytestmark = pytest.mark.asyncio(loop_scope="module")
KEY = {"x-agent-api-key": "test-key"}
SIGNER = {"NEAR_ACCOUNT_ID": "a.near", "NEAR_PRIVATE_KEY": "ed25519:" + "1" * 32}
PACE = {
    (book_module, "FIRST_SECONDS"): 0.02,
    (book_module, "MOST_SECONDS"): 0.05,
    (book_module, "HINT_GAP_SECONDS"): 0.02,
    (desk_module, "ROUND_SECONDS"): 0.01,
    (judge_module, "NOWHERE_SECONDS"): 0.1,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plane(rails_of_module, run_plane_of_module):
    """A plane that looks as often as a test wants to wait."""
    with pytest.MonkeyPatch.context() as patch:
        for (module, name), value in PACE.items():
            patch.setattr(module, name, value)
        async with run_plane_of_module(rails_of_module.environ) as found:
            yield found


@pytest.fixture
def rails(rails_of_module):
    yield rails_of_module
    rails_of_module.heal()


@pytest.fixture
def key(request):
    return request.node.name


def hot_rule(operation="processed_payments", **rule):
    return {"service": "hot", "operation": operation, **rule}


def calls(rails, operation):
    return rails.world.calls[f"hot.{operation}"]


async def ask(plane, key, amount="2.5"):
    sent = {"amount": amount, "token": "USDC"}
    answer = await plane.client.post(
        "/fundings", json=sent, headers={**KEY, "idempotency-key": key}
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


async def seen(plane, funding_id, *states):
    """The funding, once it stands in one of these states."""
    async with asyncio.timeout(8):
        while True:
            found = (await plane.client.get(f"/fundings/{funding_id}", headers=KEY)).json()
            if found["state"] in states:
                return found
            await asyncio.sleep(0.02)


async def test_it_is_asked_for_paid_and_proved_by_the_chain(plane, rails, key):
    before, orders = rails.usdc(genesis.AGENT), calls(rails, "merchant_item")
    asked, *same = await asyncio.gather(*(ask(plane, key) for _ in range(5)))
    assert {one["item"] for one in same} == {asked["item"]}
    assert (asked["state"], asked["asked"]["units"]) == ("open", "2500000")
    assert asked["page"].endswith(f"?item_id={asked['item']}&amount=2.5&memo={asked['id']}")
    assert (await ask(plane, key, "2.50"))["page"] == asked["page"]
    assert calls(rails, "merchant_item") == orders + 1
    paid = rails.world.hot.pay({"item_id": asked["item"]})["near_trx"]
    found = await seen(plane, asked["id"], "arrived")
    assert (found["arrival"]["transaction"], found["settled"]) == (paid, True)
    assert found["arrival"]["credited"] == {"units": "2500000", "amount": "2.5"}
    assert rails.usdc(genesis.AGENT) == before + 2_500_000
    shown = (await plane.client.get("/metrics", headers=KEY)).text
    assert 'agent_fundings{state="arrived"} 1.0' in shown
    book = plane.service.fundings._book
    book.change(book.get(asked["id"]), FundingState.CLOSED, "as a late look would have it")
    assert (await ask(plane, key))["arrival"] == found["arrival"]


async def test_a_key_is_one_request_and_a_request_without_one_is_new_each_time(plane, key):
    first = await ask(plane, key)
    sent = {"amount": "3", "token": "USDC"}
    again = await plane.client.post("/fundings", json=sent, headers={**KEY, "idempotency-key": key})
    assert (again.status_code, again.json()["code"]) == (409, "idempotency_key_reused")
    others = [await ask(plane, "") for _ in range(2)]
    assert len({first["id"], *(one["id"] for one in others)}) == 3
    for body, code in (
        ({"amount": "0", "token": "USDC"}, "invalid_request"),
        ({"amount": "0.0000001", "token": "USDC"}, "invalid_request"),
        ({"amount": "1", "token": "DOGE"}, "unknown_token"),
    ):
        refused = await plane.client.post("/fundings", json=body, headers=KEY)
        assert (refused.status_code, refused.json()["code"]) == (400, code)
    assert (await plane.client.post("/fundings", json=sent)).status_code == 401
    gone = await plane.client.get("/fundings/fund-none", headers=KEY)
    assert (gone.status_code, gone.json()["code"]) == (404, "no_such_funding")


async def test_so_many_may_be_unsettled_and_a_repetition_is_no_new_one(plane, key, monkeypatch):
    asked = await ask(plane, key)
    monkeypatch.setattr(desk_module, "UNSETTLED_MAX", 0)
    sent = {"amount": "1", "token": "USDC"}
    refused = await plane.client.post("/fundings", json=sent, headers=KEY)
    assert (refused.status_code, refused.json()["code"]) == (503, "too_many_fundings")
    assert (await ask(plane, key))["id"] == asked["id"]


@pytest.mark.parametrize(
    ("order", "variant", "said"),
    [
        ({}, "made_up_hash", "no provider knows"),
        ({}, "item_as_hash", "which is no transaction's hash"),
        ({"units": 2_499_999, "status": "SUCCESS"}, None, "2.499999 of 2.5 USDC"),
        ({"receiver": "ada.people.near"}, None, "gave gitsplits-agent.near 0 of 2.5 USDC"),
        ({"receiver": "nobody.near", "status": "SUCCESS"}, None, "failed on chain"),
        ({"units": 0, "status": "SUCCESS"}, None, "names no transaction"),
        ({}, "no_hash", "names no transaction"),
    ],
)
async def test_a_lie_of_hot_never_arrives(plane, rails, key, order, variant, said):
    asked = await ask(plane, key)
    if variant:
        rails.fault(hot_rule(kind="wrong", variant=variant))
    rails.world.hot.pay({"item_id": asked["item"], **order})
    found = await seen(plane, asked["id"], *(("unknown",) if "names no" in said else ("review",)))
    assert said in found["detail"]
    assert (found["arrival"], found["settled"]) == (None, False)
    assert found["needsPerson"] == (found["state"] == "review")


async def test_one_transaction_is_one_fundings_alone(plane, rails, key):
    first, second = await ask(plane, key + "1"), await ask(plane, key + "2")
    rails.world.hot.pay({"item_id": first["item"]})
    paid = (await seen(plane, first["id"], "arrived"))["arrival"]["transaction"]
    foreign = [one for one in rails.world.hot._paid if one.tx_hash == paid]
    earlier, rails.world.hot._paid[:] = list(rails.world.hot._paid), foreign
    rails.fault(hot_rule(kind="wrong", variant="foreign_hash"))
    rails.world.hot.pay({"item_id": second["item"], "units": 0, "status": "SUCCESS"})
    found = await seen(plane, second["id"], "review")
    rails.world.hot._paid[:] = earlier
    assert f"{paid} is what {first['id']} arrived by" in found["detail"]


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "status", "status": 504, "after": True},
        {"kind": "torn"},
        {"kind": "wrong", "variant": "no_item"},
    ],
    ids=["504", "torn", "no item"],
)
async def test_an_order_that_nobody_confirmed_is_never_repeated(plane, rails, key, rule):
    orders, items = calls(rails, "merchant_item"), set(rails.world.hot._items)
    rails.fault(hot_rule("merchant_item", **rule))
    asked = await ask(plane, key)
    rails.heal()
    assert (asked["state"], asked["page"]) == ("unknown", None)
    assert "nobody has confirmed it" in asked["detail"]
    assert (await ask(plane, key))["state"] == "unknown"
    (item,) = set(rails.world.hot._items) - items
    rails.world.hot.pay({"item_id": item})
    found = await seen(plane, asked["id"], "arrived")
    assert found["item"] == item
    assert calls(rails, "merchant_item") == orders + 1


async def test_where_hot_cannot_be_searched_nothing_is_ordered_until_it_can(plane, rails, key):
    orders = calls(rails, "merchant_item")
    rails.fault(hot_rule(kind="wrong", variant="html"))
    asked = await ask(plane, key)
    assert (asked["state"], asked["page"]) == ("asked", None)
    assert calls(rails, "merchant_item") == orders
    rails.heal()
    assert (await seen(plane, asked["id"], "open"))["page"]
    assert calls(rails, "merchant_item") == orders + 1


async def test_a_refused_order_is_closed_and_a_refund_too_until_somebody_pays(plane, rails, key):
    rails.fault(hot_rule("merchant_item", kind="wrong", variant="unauthorized"))
    refused = await ask(plane, key + "1")
    assert (refused["state"], refused["settled"]) == ("closed", True)
    rails.heal()
    asked = await ask(plane, key + "2")
    rails.world.hot.pay({"item_id": asked["item"], "units": 0, "status": "REFUNDED"})
    await seen(plane, asked["id"], "closed")
    rails.world.hot.pay({"item_id": asked["item"]})
    assert (await seen(plane, asked["id"], "arrived"))["settled"]


@pytest.fixture
def looked(plane, monkeypatch):
    """Nothing is looked at by itself; the memos that HOT is asked about all the same."""
    for name in ("MOST_SECONDS", "FIRST_SECONDS"):
        monkeypatch.setattr(book_module, name, 3_600.0)
    monkeypatch.setattr(webhook_module, "RATE_PER_SECOND", 1_000.0)
    memos, hot = asyncio.Queue(), plane.service.fundings._hot
    plain = hot.deposits

    async def deposits(memo):
        memos.put_nowait(memo)
        return await plain(memo)

    monkeypatch.setattr(hot, "deposits", deposits)
    return memos


async def deliver(plane, rails, copies=1, **event):
    url = str(plane.client.base_url) + "/webhook/hotpay"
    return await rails.world._senders()["hot"].deliver(url, "good", copies, event)


async def test_a_flood_of_deliveries_makes_no_flood_of_calls(
    plane, rails, key, monkeypatch, looked
):
    """Not with what nobody knows, nor with what a payer could know, however often it is said."""
    monkeypatch.setattr(book_module, "HINT_GAP_SECONDS", 0.2)
    monkeypatch.setattr(webhook_module, "RATE_PER_SECOND", 1.0)
    asked, begun = await ask(plane, key), time.monotonic()
    known = {"memo": asked["id"], "item_id": asked["item"], "status": "SUCCESS"}
    answers = []
    for n in range(3):
        answers += await deliver(plane, rails, 8, **known, near_trx=f"x{n}")
        answers += await deliver(plane, rails, 8, **{**known, "item_id": "00"}, near_trx=f"y{n}")
        answers += await deliver(plane, rails, 8, memo=f"fund-{n}", item_id="x", status="FAILED")
        for _ in range(5):
            await plane.client.get(f"/fundings/{asked['id']}", headers=KEY)
    assert {answer["status"] for answer in answers} == {200, 429}
    assert {a["body"] for a in answers if a["status"] == 200} == {'{"ok":true}'}
    await asyncio.sleep(0.3)  # so that what must not follow has the time to
    most = (time.monotonic() - begun) / 0.2 + 1
    memos = [looked.get_nowait() for _ in range(looked.qsize())]
    assert 2 <= memos.count(asked["id"]) <= most
    assert not {f"fund-{n}" for n in range(3)} & {*memos}
    hints = "SELECT COUNT(*) FROM funding_hints WHERE funding_id=?"
    (kept,) = plane.service.db.execute(hints, (asked["id"],)).fetchone()
    assert 1 <= kept <= 3


async def test_a_delivery_says_which_funding_to_look_at_and_is_believed_in_nothing(
    plane, rails, key, looked
):
    asked = await ask(plane, key)
    bodies = (b"[]", b"{", b'{"memo": 1}', json.dumps({"memo": "x" * 201}).encode())
    for body in bodies:
        bad = await plane.client.post("/webhook/hotpay", content=body)
        assert (bad.status_code, "error" in bad.json()) == (400, True)
    large = await plane.client.post("/webhook/hotpay", content=b" " * 16_385)
    assert large.status_code == 413
    lie = {"memo": asked["id"], "item_id": asked["item"], "status": "SUCCESS", "near_trx": "z"}
    assert (await deliver(plane, rails, 2, **lie))[0]["status"] == 200
    async with asyncio.timeout(5):
        for _ in range(2):  # before the order, and for the delivery
            while await looked.get() != asked["id"]:
                pass
    assert plane.service.fundings._book.get(asked["id"]).state is FundingState.OPEN


async def test_a_book_takes_so_many_different_hints_and_no_more(tmp_path):
    db = open_store(str(tmp_path / "p.db"))
    book = FundingBook(db)
    settings = Settings.from_environ({})
    found = book.ask("fund-1", wish_of(settings, "1", "USDC"))
    taken = [book.hint(found, str(n)) for n in range(book_module.HINTS_MAX + 5)]
    assert taken == [True] * book_module.HINTS_MAX + [False] * 5
    assert not book.hint(found, "0")
    db.close()


@pytest.mark.parametrize(
    ("name", "value"), [("HOT_PAY_NEAR_ACCOUNT", "mine.near"), ("HOT_PAY_AUTH_PREFIX", "a b")]
)
async def test_settings_that_would_collect_for_somebody_else_are_refused(name, value):
    assert Settings.from_environ({**SIGNER, "HOT_PAY_NEAR_ACCOUNT": "a.near"}).hot_account
    with pytest.raises(SettingsError, match=name):
        Settings.from_environ({**SIGNER, name: value})


async def command(capsys, *argv, **environ):
    """Run one command; its exit code and what it printed."""
    code = await asyncio.to_thread(run, argv, environ)
    return code, capsys.readouterr()


def last(told):
    """The object that a command printed; the plane of this test logs to the same place."""
    return json.loads(told.out.splitlines()[-1])


async def test_an_operator_asks_for_money_and_lists_what_came(plane, rails, capsys):
    environ, base = rails.environ, str(plane.client.base_url)
    order = ("fund", "1.5", "NEAR", "--url", base, "--json")
    code, told = await command(capsys, *order, "--dry-run", **environ)
    assert (code, last(told)["units"]) == (0, "15" + "0" * 23)
    code, told = await command(capsys, *order, **environ)
    found = last(told)
    assert (code, found["state"], "&amount=1.5&" in found["page"]) == (0, "open", True)
    code, told = await command(capsys, *order, "--key", found["key"], **environ)
    assert last(told)["id"] == found["id"]
    paid = rails.world.hot.pay({"item_id": found["item"]})["near_trx"]
    await seen(plane, found["id"], "arrived")
    code, told = await command(capsys, "fundings", **environ)
    assert f"{found['id']}: arrived: 1.5 NEAR by {paid}\n" in told.out
    code, told = await command(capsys, "fundings", "--json", **environ)
    listed = {one["id"]: one for one in last(told)["fundings"]}
    assert listed[found["id"]]["arrival"]["transaction"] == paid


async def test_an_operator_learns_what_did_not_come_to_a_page(plane, rails, capsys, tmp_path):
    environ, base = rails.environ, ("--url", str(plane.client.base_url))
    rails.fault(hot_rule("merchant_item", kind="status", status=504, after=True))
    code, told = await command(capsys, "fund", "1", "USDC", *base, "--key", "k-504", **environ)
    assert (code, "is unknown: an invoice was ordered" in told.err) == (1, True)
    assert "--key k-504" in told.err
    nobody = ("--url", "http://127.0.0.1:1")
    code, told = await command(capsys, "fund", "1", "USDC", *nobody, **environ)
    assert (code, "is not known: go on with --key" in told.err) == (1, True)
    wrong = {**environ, "AGENT_SERVER_API_KEY": "another"}
    code, told = await command(capsys, "fund", "1", "USDC", *base, **wrong)
    assert (code, "401" in told.err) == (1, True)
    for argv, more, said in (
        (("fund", "0", "USDC"), {}, "amount is zero"),
        (("fund", "1", "USDC"), {}, "PORT is 0"),
        (("fund", "1", "USDC"), {"AGENT_TLS": "attested"}, "attested key"),
        (("fundings",), {"PAYMENTS_DB": str(tmp_path / "none.db")}, "there is no ledger"),
    ):
        code, told = await command(capsys, *argv, **{**environ, **more})
        assert (code, said in told.err) == (2, True)


async def test_where_somebody_has_paid_already_nothing_is_ordered(plane, rails, key, tmp_path):
    """A ledger that was lost asks under the same memo; its item is found by the deposit."""
    asked = await ask(plane, key)
    rails.world.hot.pay({"item_id": asked["item"]})
    paid = (await seen(plane, asked["id"], "arrived"))["arrival"]["transaction"]
    orders = calls(rails, "merchant_item")
    service, db = plane.service, open_store(str(tmp_path / "p.db"))
    witness = Witness(Rpc(service.client, service.settings.near_nodes))
    desk = FundingDesk(
        service.settings, Hot(service.client, service.settings), witness, FundingBook(db)
    )
    found = await desk.ask(desk.wish("2.5", "USDC"), key)
    assert (found.state, found.tx_hash) == (FundingState.ARRIVED, paid)
    assert (found.item_id, calls(rails, "merchant_item")) == (asked["item"], orders)
    db.close()
