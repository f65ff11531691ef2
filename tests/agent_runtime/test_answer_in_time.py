"""`/process` answers in time and carries its work to the end, whoever still waits (contract §9)."""

import asyncio
import json
import sqlite3
from typing import get_args

import pytest
from structlog.testing import capture_logs

from agent_runtime import carrying, underway
from agent_runtime.grammar import Request
from agent_runtime.near import death, sender
from cutover.evidence.outcome import Outcome
from cutover.gateway.outcomes import outcome_of
from cutover.runbook.intent import Intent

PAY = "pay 10 USDC to acme/widgets"
KEY = {"x-agent-api-key": "test-key"}
NAMES = ("ada", "grace", "linus", "margaret")

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def rails(rails_shared):
    return rails_shared


@pytest.fixture
def hurried(plane_shared, monkeypatch):
    """A plane whose time is over almost at once."""
    monkeypatch.setitem(plane_shared.service.settings.__dict__, "answer_seconds", 0.15)
    return plane_shared


def moved(rails):
    return sum(rails.usdc(f"{name}.people.near") for name in NAMES)


def slow(milliseconds=600, operation="send_tx", **more):
    rule = {"service": "near", "operation": operation, "after": True}
    return {**rule, "kind": "latency_ms", "latency_ms": milliseconds, **more}


async def until(condition):
    async with asyncio.timeout(8):
        while not condition():  # noqa: ASYNC110 - nothing to wait on from outside
            await asyncio.sleep(0.01)


def stored_answer(plane, key):
    row = plane.service.db.execute("SELECT answer FROM requests WHERE key=?", (key,)).fetchone()
    return row and row[0]


def is_open(answer, matter):
    """An answer that clients take for neither success nor failure."""
    body = answer.json()
    assert answer.status_code == 200
    head = body["response"].partition("\n")[0]
    assert head.startswith(f"❌ {matter} outcome unknown: it is still being carried out"), body
    assert body["final"] is False
    assert not [sign for sign in ("✅", "🔗", "PAID", "Distributed") if sign in body["response"]]
    return body


async def test_a_payment_that_takes_longer_is_answered_in_time_and_its_key_gives_the_end(
    hurried, rails
):
    before = moved(rails)
    rails.fault(slow())
    first = await hurried.process(PAY, key="t1")
    body = is_open(first, "Payment")
    payment_id = body["paymentId"]
    assert body["response"].endswith(
        f"payment id {payment_id}; do not retry\nThe work goes on without this answer. For its end:"
        f" ask again with the same Idempotency-Key, or GET /payments/{payment_id}."
        f"\n🧾 Receipt: {body['response'].rpartition(' ')[2]}"
    )
    assert (await hurried.client.get(body["response"].rpartition(" ")[2])).status_code == 200
    assert outcome_of(Intent.PAY, 200, first.content) is Outcome.TIMEOUT_UNKNOWN
    assert stored_answer(hurried, "t1") is None
    shown = await hurried.client.get(f"/payments/{payment_id}", headers=KEY)
    assert shown.json()["settled"] is False
    other = await hurried.process("pay 11 USDC to acme/widgets", key="t1")
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
    hurried.service.settings.__dict__["answer_seconds"] = 20
    end = (await hurried.process(PAY, key="t1")).json()
    assert end["response"].startswith("✅ Distributed 10 USDC")
    assert (end["paymentId"], "final" in end) == (payment_id, False)
    assert moved(rails) - before == 10_000_000


async def test_who_asks_again_under_a_key_waits_for_the_work_that_is_under_way(hurried, rails):
    rails.fault(slow(350))
    before, calls = moved(rails), rails.world.calls["near.send_tx"]
    for _ in range(2):
        is_open(await hurried.process(PAY, key="t2"), "Payment")
    assert len(hurried.service.carrier) == 1
    await until(lambda: not len(hurried.service.carrier))
    assert (await hurried.say(PAY, key="t2")).startswith("✅ Distributed")
    assert (moved(rails) - before, rails.world.calls["near.send_tx"] - calls) == (10_000_000, 1)


async def test_a_client_that_hangs_up_ends_no_payment(plane_shared, rails):
    before = moved(rails)
    rails.fault(slow(200, "view_access_key", after=False), slow(200))
    base = plane_shared.client.base_url
    _, writer = await asyncio.open_connection(base.host, base.port)
    body = json.dumps({"text": PAY, "author": plane_shared.author, "type": "web"}).encode()
    headers = (b"host: a", b"x-agent-api-key: test-key", b"idempotency-key: t3")
    head = (b"POST /process HTTP/1.1", *headers, b"content-length: %d" % len(body), b"", body)
    writer.write(b"\r\n".join(head))
    await until(plane_shared.service.payments.open)
    writer.transport.abort()  # after the payment is stored, before it is sent
    assert moved(rails) == before
    await until(lambda: not plane_shared.service.payments.open())
    rails.heal()
    assert (await plane_shared.say(PAY, key="t3")).startswith("✅ Distributed 10 USDC")
    assert moved(rails) - before == 10_000_000


async def test_a_read_without_a_key_is_answered_in_time_too(hurried, rails):
    rails.fault({"service": "github", "kind": "latency_ms", "latency_ms": 250, "count": 2})
    answer = await hurried.process("analyze acme/widgets")
    body = is_open(answer, "Analysis")
    assert body["response"].endswith("For its end: ask again in a moment.")
    assert outcome_of(Intent.ANALYZE, 200, answer.content) is Outcome.TIMEOUT_UNKNOWN
    await until(lambda: not len(hurried.service.carrier))


async def test_an_approval_that_takes_longer_names_the_payment_of_its_plan(hurried, rails):
    caller = {"author": "approver", "headers": KEY}
    await hurried.process("mode draft", **caller)
    hurried.service.settings.__dict__["answer_seconds"] = 20
    plan = (await hurried.process(PAY, key="t4", **caller)).json()["response"]
    hurried.service.settings.__dict__["answer_seconds"] = 0.15
    rails.fault(slow(350))
    body = is_open(await hurried.process("approve", **caller), "Command")
    assert body["paymentId"] in plan
    assert outcome_of(Intent.PLAN, 200, json.dumps(body).encode()) is Outcome.TIMEOUT_UNKNOWN
    await until(lambda: not len(hurried.service.carrier))
    done = (await hurried.process("approve " + body["paymentId"], **caller)).json()["response"]
    assert done.startswith("✅ Distributed")


async def test_work_that_breaks_after_its_client_was_answered_is_in_the_log(hurried, monkeypatch):
    async def breaks(_):
        await asyncio.sleep(0.2)
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(hurried.service.processor, "answer", breaks)
    with capture_logs() as logged:
        is_open(await hurried.process("help"), "Help")
        await until(lambda: not len(hurried.service.carrier))
    assert [line["event"] for line in logged] == ["answered_before_the_end", "work_broke"]


async def test_every_request_has_a_name_while_it_is_under_way():
    assert set(get_args(Request)) == set(underway._NAMED)


async def test_only_so_many_requests_are_carried_out_at_a_time(hurried, rails, monkeypatch):
    monkeypatch.setattr(carrying, "RUNNING_MAX", 1)
    rails.fault({"service": "github", "kind": "latency_ms", "latency_ms": 250, "count": 2})
    is_open(await hurried.process("analyze acme/gadgets"), "Analysis")
    refused = await hurried.process("help")
    assert (refused.status_code, refused.json()["code"]) == (503, "busy")
    await until(lambda: not len(hurried.service.carrier))
    assert (await hurried.process("help")).status_code == 200


async def test_a_stop_answers_who_waits_and_the_next_start_finds_what_was_cut_off(
    rails, run_plane, monkeypatch
):
    monkeypatch.setattr(carrying, "LAST_CALL_SECONDS", 0.1)
    monkeypatch.setattr(carrying, "END_SECONDS", 0.3)
    for module, name in ((sender, "RESOLVE"), (death, "LOOK")):
        monkeypatch.setattr(module, f"{name}_SECONDS", 0.3)
    before = moved(rails)
    rails.fault({"service": "near", "operation": "send_tx", "kind": "hang", "after": True})
    with capture_logs() as logged:
        async with run_plane(rails.environ) as plane:
            asked = asyncio.create_task(plane.process(PAY, key="t5"))
            await until(lambda: moved(rails) > before)
            plane.server.should_exit = True
            body = is_open(await asked, "Payment")
    assert "work_cut_off" in [line["event"] for line in logged]
    rails.heal()
    with capture_logs() as logged:
        async with run_plane(rails.environ) as plane:
            assert plane.service.payments.get(body["paymentId"]).state == "paid"
            assert (await plane.say(PAY, key="t5")).startswith("✅ Distributed 10 USDC")
    assert [one["state"] for one in logged if one["event"] == "transaction_ended"] == ["landed"]
    assert moved(rails) - before == 10_000_000
