"""The clients' judge accepts right answers and none of the known false greens."""

import json

import base58
import pytest

from sandbox.traffic.check import Asked, Ledger, judge
from sandbox.traffic.texts import Conversations, Mix

SIGNATURE = "5b" * 65
HASH = base58.b58encode(bytes(range(32))).decode()
ANALYSIS = f"""📊 Analysis for github.com/acme/widgets
Total commits: 100
Contributors: 4

Top contributors:
🥇 ada: 60 commits (60%)
• ken: 1 commits (0.5%)

🔗 Proof: https://determinal.eigenarcade.com/verify/{SIGNATURE}
Create a split: create split for github.com/acme/widgets"""
SPLIT = "✅ Split created for github.com/acme/widgets!\n📜 Split ID: split-180000131-0\n- ada: 60%"
PAID = (
    f"✅ Distributed 0.5 USDC to 4 via near!\n🔗 Transaction: {HASH}\n📜 Split: split-180000131-0"
)
TEXTS = {"analyze": ANALYSIS, "create": SPLIT, "pay": PAID}


def verdict(intent, text, *, status=200, body=None, route="process", ledger=None, planes=()):
    asked = Asked(intent, "acme/widgets", route)
    value = {"response": text} if body is None else body
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return judge(asked, status, {}, raw, ledger=ledger or Ledger(), known_planes=frozenset(planes))


@pytest.mark.parametrize("intent", TEXTS)
def test_a_right_answer_is_ok(intent):
    assert verdict(intent, TEXTS[intent]).result == "ok"


def test_a_payment_of_several_legs_names_a_transaction_for_each():
    other = base58.b58encode(bytes(range(1, 33))).decode()
    assert verdict("pay", PAID + f"\n🔗 Transaction: {other}").result == "ok"


@pytest.mark.parametrize("verb", ["created", "updated", "already exists"])
def test_a_split_may_be_there_already(verb):
    assert verdict("create", SPLIT.replace("created", verb)).result == "ok"


@pytest.mark.parametrize(
    ("intent", "text"),
    [
        ("analyze", ANALYSIS.replace("🔗 Proof: https", "Proof: https")),
        ("analyze", ANALYSIS.replace(SIGNATURE, "0xmocksignature")),
        ("analyze", ANALYSIS.replace(SIGNATURE, "00" * 65)),
        ("analyze", ANALYSIS.replace(SIGNATURE, "5b" * 64)),
        ("analyze", ANALYSIS.replace("Contributors: 4", "Contributors: 0")),
        ("analyze", ANALYSIS.replace("commits (", "things (")),
        ("analyze", ANALYSIS.replace("acme/widgets", "acme/other")),
        ("analyze", ANALYSIS + "\nThis is a mock EigenAI response"),
        ("analyze", "❌ Analysis failed for github.com/acme/widgets: timed out"),
        ("analyze", SPLIT),
        ("create", SPLIT.replace("split-180000131-0", "split-mock-1")),
        ("create", SPLIT.replace("split-180000131-0", "split-1795499643859")),
        ("create", SPLIT.replace("📜 Split ID: split-180000131-0", "")),
        ("create", SPLIT.replace("acme/widgets", "acme/other")),
        ("create", "❌ Failed to create split: no"),
        ("create", ANALYSIS),
        ("pay", PAID.replace(HASH, "0x")),
        ("pay", PAID.replace(HASH, "")),
        ("pay", PAID.replace(HASH, "0xk3j4h5g6f7d")),
        ("pay", PAID.replace(HASH, "intent-a1b2c3d4")),
        ("pay", PAID.replace(HASH, "ab" * 32)),
        ("pay", PAID.replace(HASH, HASH[:-2])),
        ("pay", PAID.replace(HASH, "1" * 32)),
        ("pay", PAID + f"\n🔗 Transaction: {HASH}"),
        ("pay", PAID + "\n🔗 Transaction: intent-a1b2c3d4"),
        ("pay", "❌ Payment failed: " + HASH),
        ("pay", "❌ Payment failed after all\n" + PAID),
        ("pay", "🛑 Policy blocked pay: amount"),
        ("pay", "Planned. Reply approve plan-0123456789"),
    ],
)
def test_a_false_green_is_failed(intent, text):
    seen = verdict(intent, text)
    assert seen.result == "failed"
    assert seen.reason


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>502</html>",
        b'{"response": "cut of',
        [],
        {},
        {"response": ""},
        {"response": 5},
        {"response": PAID, "error": "but"},
    ],
)
def test_a_wrong_shape_is_failed(body):
    assert verdict("pay", "", body=body).result == "failed"


def test_the_agent_route_must_say_which_plane_answered():
    good = {"success": True, "response": ANALYSIS, "execution": {"plane": "phala"}}
    seen = verdict("analyze", "", body=good, route="agent", planes={"phala", "hetzner"})
    assert (seen.result, seen.plane) == ("ok", "phala")
    for changed in (
        {**good, "execution": {}},
        {**good, "execution": {"plane": ""}},
        {**good, "execution": {"plane": "mars"}},
        {**good, "success": False},
        {"success": True, "response": ANALYSIS},
    ):
        seen = verdict("analyze", "", body=changed, route="agent", planes={"phala", "hetzner"})
        assert seen.result == "failed"


@pytest.mark.parametrize("header", ["x-cutover-plane", "x-plane"])
def test_the_plane_of_a_process_answer_is_read_from_its_header(header):
    asked, body = Asked("pay", "acme/widgets", "process"), json.dumps({"response": PAID}).encode()
    seen = judge(asked, 200, {header: "phala"}, body, ledger=Ledger())
    assert (seen.result, seen.plane) == ("ok", "phala")


def test_one_transaction_may_answer_one_payment_only():
    ledger = Ledger()
    assert verdict("pay", PAID, ledger=ledger).result == "ok"
    second = verdict("pay", PAID, ledger=ledger)
    assert second.result == "failed"
    assert "earlier payment" in second.reason


@pytest.mark.parametrize(
    "body",
    [
        {"error": "payments are paused", "code": "payments_paused"},
        {"error": {"code": "payments_paused", "message": "payments are paused"}},
    ],
)
def test_a_clear_refusal_is_refused_and_neither_ok_nor_failed(body):
    seen = verdict("pay", "", status=503, body=body)
    assert (seen.result, seen.reason) == ("refused", "payments_paused")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (503, {"error": "Service Unavailable"}),
        (503, {"code": "payments_paused"}),
        (503, {"error": "", "code": "payments_paused"}),
        (503, b"Service Unavailable"),
        (502, {"error": "down", "code": "upstream_unreachable"}),
        (500, {"error": "oops", "code": "payments_paused"}),
        (401, {"error": "Unauthorized", "code": "unauthorized"}),
        (204, {"response": PAID}),
    ],
)
def test_an_unclear_no_is_failed(status, body):
    assert verdict("pay", "", status=status, body=body).result == "failed"


def stream(seed, count=400):
    talk = Conversations(seed, Mix.parse("analyze=70,create=20,pay=10"), ["a/b", "c/d"], ["p/q"])
    return [talk.next() for _ in range(count)]


def test_the_same_seed_says_the_same_things():
    assert stream(1) == stream(1)
    assert stream(1) != stream(2)


def test_the_mix_is_kept_and_pay_never_takes_the_agent_route():
    messages = stream(3, 2000)
    counts = {i: sum(m.asked.intent == i for m in messages) for i in ("analyze", "create", "pay")}
    assert 1300 < counts["analyze"] < 1500
    assert 150 < counts["pay"] < 250
    assert all(m.asked.route == "process" for m in messages if m.asked.intent == "pay")
    assert {m.asked.route for m in messages} == {"process", "agent"}
    assert len({m.conversation for m in messages}) > 1000


def test_a_repository_with_an_open_payment_is_not_paid():
    talk = Conversations(1, Mix.parse("pay=1"), ["a/b"], ["p/q", "r/s"])
    assert {talk.next({"p/q"}).asked.repository for _ in range(20)} == {"r/s"}
    assert talk.next({"p/q", "r/s"}) is None


@pytest.mark.parametrize("text", ["", "analyze", "steal=5", "analyze=-1", "analyze=0"])
def test_a_mix_that_means_nothing_is_refused(text):
    with pytest.raises(ValueError, match=r"\S"):
        Mix.parse(text)
