"""The clients send each request once, over kept connections, and count every answer."""

import asyncio
import itertools
import json

import base58
import pytest

from listening import Listening
from sandbox.traffic.load import Load, Plan
from sandbox.traffic.texts import Conversations, Mix
from sandbox.web import Server, cut, json_answer, read_request, send_answer

KEY = "client-key"


class Gateway:
    """Answers `pay` rightly by default; `behave` may do something else instead."""

    def __init__(self, behave=None):
        self.behave, self.requests, self.numbers = behave, [], itertools.count()
        self.connections = set()

    async def __call__(self, scope, receive, send):
        request = await read_request(scope, receive)
        self.requests.append(request)
        self.connections.add(scope["client"])
        if self.behave is not None:
            await self.behave(scope, send)
            return
        number = next(self.numbers)
        reference = base58.b58encode(number.to_bytes(31, "big") + b"\1").decode()
        await send_answer(
            send, json_answer({"response": f"✅ Distributed\n🔗 Transaction: {reference}"})
        )


async def drive(gateway, *, count=10, rate=400.0, seconds=None, repositories=None):
    server = Server(gateway)
    await server.start()
    try:
        plan = Plan(server.url, KEY, rate, seconds, total_max=count)
        names = repositories or [f"r/{n}" for n in range(20)]
        load = Load(plan, Conversations(1, Mix.parse("pay=1"), names, names))
        await load.run(asyncio.Event())
        return load.tally.summary(done=True)
    finally:
        await server.stop()


async def test_every_answer_is_counted_once_and_connections_are_kept():
    gateway = Gateway()
    summary = await drive(gateway, count=30)
    assert (summary["sent"], summary["total"], summary["ok"]) == (30, 30, 30)
    assert summary["distinct_transactions"] == 30
    assert len(gateway.connections) < 15
    assert gateway.requests[0].headers["x-agent-api-key"] == KEY
    assert set(gateway.requests[0].json()) == {"text", "author", "type"}


async def test_a_cut_connection_is_one_failure_and_is_never_retried():
    async def reset(scope, send):
        cut(scope, hard=True)
        await asyncio.sleep(0)

    gateway = Gateway(reset)
    summary = await drive(gateway, count=5)
    assert len(gateway.requests) == 5
    assert (summary["failed"], summary["ok"]) == (5, 0)
    assert "connection lost" in summary["failures"][0]["reason"]


async def test_a_clear_refusal_is_not_a_failure():
    async def pause(scope, send):
        await send_answer(send, json_answer({"error": "paused", "code": "payments_paused"}, 503))

    summary = await drive(Gateway(pause), count=5)
    assert (summary["failed"], summary["refused"]) == (0, 5)
    assert summary["refusals"] == {"payments_paused": 5}


async def test_the_same_transaction_for_two_payments_fails_from_the_second_on():
    reference = base58.b58encode(bytes(range(32))).decode()

    async def same(scope, send):
        await send_answer(send, json_answer({"response": f"ok\n🔗 Transaction: {reference}"}))

    summary = await drive(Gateway(same), count=5)
    assert (summary["ok"], summary["failed"]) == (1, 4)


async def test_a_second_answer_to_one_request_is_noticed():
    """A raw server that writes its answer twice."""
    reference = base58.b58encode(bytes(range(32))).decode()
    body = json.dumps({"response": f"ok\n🔗 Transaction: {reference}"}).encode()
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)

    async def twice(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer + answer)
        await writer.drain()
        await reader.read()

    async with Listening(twice) as server:
        plan = Plan(server.url, KEY, 100.0, None, total_max=1)
        load = Load(plan, Conversations(1, Mix.parse("pay=1"), ["a/b"], ["a/b"]))
        await load.run(asyncio.Event())
    summary = load.tally.summary(done=True)
    assert (summary["ok"], summary["second_answers"], summary["failed"]) == (1, 1, 1)


async def test_nobody_listening_is_a_failure():
    server = Server(Gateway())
    await server.start()
    await server.stop()
    load = Load(
        Plan(server.url, KEY, 100.0, None, total_max=3),
        Conversations(1, Mix.parse("pay=1"), ["a/b", "c/d", "e/f"], []),
    )
    await load.run(asyncio.Event())
    assert load.tally.summary(done=True)["failed"] == 3


async def test_a_busy_repository_makes_the_turn_skipped_and_not_queued():
    gate = asyncio.Event()

    async def slow(scope, send):
        await gate.wait()
        await send_answer(send, json_answer({"error": "paused", "code": "payments_paused"}, 503))

    asyncio.get_running_loop().call_later(0.3, gate.set)
    summary = await drive(Gateway(slow), count=50, seconds=0.2, repositories=["a/b"])
    assert summary["sent"] == 1
    assert summary["skipped"] > 10


async def test_only_the_first_twenty_failures_are_kept_in_full():
    async def broken(scope, send):
        await send_answer(send, json_answer({"error": "x"}, 500))

    summary = await drive(Gateway(broken), count=30)
    assert summary["failed"] == 30
    assert len(summary["failures"]) == 20


async def test_stopping_waits_for_open_answers():
    gateway, stop = Gateway(), asyncio.Event()
    server = Server(gateway)
    await server.start()
    names = [f"r/{n}" for n in range(20)]
    load = Load(Plan(server.url, KEY, 200.0, None), Conversations(1, Mix.parse("pay=1"), names, []))
    task = asyncio.create_task(load.run(stop))
    async with asyncio.timeout(5):
        while load.tally.sent < 5:  # noqa: ASYNC110 - a plain counter of the load
            await asyncio.sleep(0.005)
        stop.set()
        await task
    await server.stop()
    assert load.tally.summary(done=True)["in_flight"] == 0


def test_a_url_that_is_none_is_refused():
    plan = Plan("gateway", KEY, 1.0, 1.0)
    load = Load(plan, Conversations(1, Mix.parse("pay=1"), ["a/b"], []))
    with pytest.raises(ValueError, match="http URL"):
        asyncio.run(load.run(asyncio.Event()))
