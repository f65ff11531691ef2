"""What clients can ask, and what they are refused: contract §1 and §9, limits, smuggling."""

import asyncio
import json
import re

import pytest

from cutover.evidence.outcome import Outcome
from cutover.gateway.config import Limits
from cutover.runbook.intent import Intent
from gateway.doubles import CLIENT_KEY, PLANE_KEYS, process, request, table, text, until, whole

SMALL = Limits(
    body_bytes=2048, head_bytes=2048, headers=10, in_flight=2, connections=6, read_seconds=0.4,
    client_idle_seconds=0.4,
)  # fmt: skip
HEAD = b"POST /process HTTP/1.1\r\nhost: x\r\nx-agent-api-key: client-key\r\n"
BODY = b'{"text":"analyze o/r","author":"u1"}'


def error_of(answer):
    """The one shape: exactly `error` and `code`, both telling."""
    assert answer.headers["content-type"] == "application/json"
    found = answer.json()
    assert set(found) == {"error", "code"}
    assert len(found["error"]) > 5
    return answer.status, found["code"]


async def test_process_passes_the_answer_through_and_says_who_gave_it(world):
    _, client = await world.serving()
    world.hetzner.answer = whole(b'{"response":"hi","more":1}', "200 OK", "x-secret: 1\r\n")
    answer = await client.ask("analyze o/r", "u1", walletAddress="w")
    assert (answer.status, answer.body) == (200, b'{"response":"hi","more":1}')
    assert answer.headers["x-cutover-plane"] == "hetzner"
    assert answer.headers["x-cutover-generation"] == "1"
    assert re.fullmatch(r"[0-9a-f]{12}-[0-9a-f]{8}", answer.headers["x-request-id"])
    assert "x-secret" not in answer.headers
    (seen,) = world.hetzner.seen
    assert json.loads(seen.body)["walletAddress"] == "w"
    assert seen.header("x-request-id") == [answer.headers["x-request-id"]]


async def test_a_plane_gets_its_own_key_and_only_the_headers_of_the_allow_list(world):
    _, client = await world.serving()
    sent = {
        "accept": "text/plain", "idempotency-key": "pay-1", "x-request-id": "request-0001",
        "traceparent": "00-1-2-01",
    }  # fmt: skip
    more = {"cookie": "c=1", "x-forwarded-for": "1.2.3.4", "x-cutover-plane": "phala"}
    await client.send(process(headers=[*sent.items(), *more.items()]))
    assert (await client.answer()).headers["x-request-id"] == "request-0001"
    (seen,) = world.hetzner.seen
    assert seen.header("x-agent-api-key") == [PLANE_KEYS["hetzner"]]
    assert {name for name, _ in seen.headers} == {
        "host", "x-agent-api-key", "content-type", "content-length", *sent,
    }  # fmt: skip
    assert CLIENT_KEY.encode() not in seen.body
    assert all(seen.header(name) == [value] for name, value in sent.items())


async def test_an_unfit_request_id_is_replaced(world):
    _, client = await world.serving()
    for unfit in ("short", "x" * 65, "with space in it", "semi;colon;s"):
        await client.send(process(headers=[("x-request-id", unfit)]))
        assert (await client.answer()).headers["x-request-id"] != unfit


async def test_nobody_gets_in_without_a_clients_key(world):
    _, client = await world.serving()
    for path in ("/process", "/api/agent"):
        for key in (None, "", "client-ke", "client-key2", "key-of-hetzner"):
            await client.send(request("POST", path, BODY, key=key))
            assert error_of(await client.answer()) == (401, "unauthorized"), (path, key)
    assert world.hetzner.seen == []


async def test_any_of_several_client_keys_admits(world):
    _, client = await world.serving(client_keys=("one", "two"))
    for key, status in (("one", 200), ("two", 200), ("three", 401)):
        await client.send(process(key=key))
        assert (await client.answer()).status == status


NOT_SERVED = [
    (request("GET", "/process"), 405, "method_not_allowed"),
    (request("DELETE", "/api/agent"), 405, "method_not_allowed"),
    (request("POST", "/ready", b"x"), 405, "method_not_allowed"),
    (request("POST", "/", b"x"), 404, "not_found"),
    (request("GET", "/processx"), 404, "not_found"),
    (request("POST", "/webhook/../process", BODY), 404, "not_found"),
    (request("POST", "/webhook/%2e%2e/process", BODY), 404, "not_found"),
    (request("POST", "/webhook//process", BODY), 404, "not_found"),
    (request("POST", "/process", b"{"), 400, "malformed"),
    (request("POST", "/process", b'{"author":"x"}'), 400, "malformed"),
    (request("POST", "/process", b'{"text":"a","text":"b"}'), 400, "malformed"),
    (request("POST", "/api/agent", b'{"text":" "}'), 400, "malformed"),
    (HEAD + b"\r\n", 411, "length_required"),
    (HEAD + b"content-length: 70000\r\n\r\n", 413, "body_too_large"),
    (HEAD + b"content-length: 99999999999999999999\r\n\r\n", 400, "malformed"),
    (HEAD + b"content-encoding: gzip\r\ncontent-length: 2\r\n\r\nab", 415, "unsupported_encoding"),
    (HEAD + b"expect: magic\r\ncontent-length: 2\r\n\r\n", 417, "malformed"),
    (HEAD + b"x: y\r\n" * 80 + b"\r\n", 431, "head_too_large"),
    (HEAD + b"x: " + b"y" * 40_000, 431, "head_too_large"),
    (b"GET /" + b"y" * 40_000, 431, "head_too_large"),
    (HEAD + b"x: " + b"y" * 20_000 + b"\r\ncontent-length: 0\r\n\r\n", 431, "head_too_large"),
    (b"GET /" + b"y" * 20_000 + b" HTTP/1.1\r\nhost: g\r\n\r\n", 431, "head_too_large"),
    (HEAD + b"idempotency-key: " + b"k" * 600 + b"\r\ncontent-length: 0\r\n\r\n", 400, "malformed"),
    (b"GET /ready HTTP/1.1\r\n\r\n", 400, "malformed"),
    (HEAD.replace(b"host: x\r\n", b"") + b"content-length: 0\r\n\r\n", 400, "malformed"),
    (HEAD.replace(b"host:", b"host: y\r\nhost:") + b"content-length: 0\r\n\r\n", 400, "malformed"),
    (HEAD.replace(b"1.1", b"2.0") + b"content-length: 0\r\n\r\n", 505, "unsupported_version"),
    (HEAD.replace(b"1.1", b"0.9") + b"content-length: 0\r\n\r\n", 505, "unsupported_version"),
    (HEAD.replace(b"1.1", b"1.2") + b"content-length: 0\r\n\r\n", 400, "malformed"),
    (HEAD.replace(b"1.1", b"3.0") + b"content-length: 0\r\n\r\n", 400, "malformed"),
    (b"nonsense\r\n\r\n", 400, "malformed"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "malformed"),
]  # fmt: skip


async def test_an_old_client_that_names_no_host_is_served(world):
    """HTTP/1.0 has no such header; the connection ends with the answer."""
    node, _ = await world.serving()
    client = await world.client(node)
    await client.send(process().replace(b"HTTP/1.1\r\nhost: gateway\r\n", b"HTTP/1.0\r\n"))
    assert (await client.answer()).status == 200
    assert await client.ended()


async def test_what_is_not_served_is_refused_in_the_one_shape(world):
    node, _ = await world.serving()
    for raw, status, code in NOT_SERVED:
        client = await world.client(node)
        await client.send(raw)
        answer = await client.answer()
        assert error_of(answer) == (status, code), raw
        assert status != 405 or answer.headers["allow"]
    assert world.hetzner.seen == []


LENGTH = b"content-length: %d\r\n" % len(BODY)
HIDDEN = b"POST /process HTTP/1.1\r\nhost: evil\r\ncontent-length: 0\r\n\r\n"


AMBIGUOUS = [
    HEAD + LENGTH + b"content-length: 3\r\n\r\n" + BODY,
    HEAD + LENGTH + LENGTH + b"\r\n" + BODY,
    HEAD + LENGTH + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    HEAD + b"transfer-encoding: chunked\r\n" + LENGTH + b"\r\n0\r\n\r\n" + HIDDEN,
    HEAD + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    HEAD + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    HEAD + b"transfer-encoding : chunked\r\n\r\n0\r\n\r\n",
    HEAD + b"transfer-encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    HEAD + b"content-length: +36\r\n\r\n" + BODY,
    HEAD + b"content-length: 0x24\r\n\r\n" + BODY,
    HEAD + b"content-length: 3 6\r\n\r\n" + BODY,
    HEAD + b" folded: x\r\n" + LENGTH + b"\r\n" + BODY,
    HEAD + b"x: a\nevil: b\r\n" + LENGTH + b"\r\n" + BODY,
    HEAD + b"x: a\x00b\r\n" + LENGTH + b"\r\n" + BODY,
    HEAD + b"x-agent-api-key: client-key\r\n" + LENGTH + b"\r\n" + BODY,
    HEAD + b"host: y\r\n" + LENGTH + b"\r\n" + BODY,
    HEAD + b"idempotency-key: a\r\nidempotency-key: b\r\n" + LENGTH + b"\r\n" + BODY,
    HEAD.replace(b"\r\n", b"\n") + b"\n",
    HEAD + b"transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    HEAD + b"transfer-encoding: chunked\r\n\r\n-1\r\n",
    HEAD + b"upgrade: h2c\r\nconnection: upgrade\r\n" + LENGTH + b"\r\n" + BODY,
    b"CONNECT process:80 HTTP/1.1\r\nhost: x\r\n\r\n",
]


async def test_an_ambiguous_message_is_refused_and_ends_the_connection(world):
    """Nothing of it, and nothing behind it, reaches a plane."""
    node, _ = await world.serving()
    for raw in AMBIGUOUS:
        client = await world.client(node)
        await client.send(raw)
        answer = await client.answer()
        assert error_of(answer)[0] in {400, 404, 501}, raw
        assert answer.headers.get("connection") == "close", raw
        assert await client.ended(), raw
    assert world.hetzner.seen == []


async def test_a_key_in_a_trailer_admits_nobody(world):
    _, client = await world.serving()
    chunks = b"%x\r\n%b\r\n0\r\nx-agent-api-key: client-key\r\n\r\n" % (len(BODY), BODY)
    await client.send(
        b"POST /process HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" + chunks
    )
    assert error_of(await client.answer()) == (401, "unauthorized")


async def test_a_chunked_request_reaches_the_plane_as_one_plain_message(world):
    _, client = await world.serving()
    pieces = b"".join(b"%x;e=1\r\n%b\r\n" % (len(p), p) for p in (BODY[:5], BODY[5:9], BODY[9:]))
    await client.send(HEAD + b"transfer-encoding: chunked\r\n\r\n" + pieces + b"0\r\n\r\n")
    assert (await client.answer()).status == 200
    (seen,) = world.hetzner.seen
    assert (seen.body, seen.header("transfer-encoding")) == (BODY, [])


async def test_a_chunked_body_beyond_the_limit_is_refused(world):
    _, client = await world.serving(limits=SMALL)
    await client.send(
        HEAD + b"transfer-encoding: chunked\r\n\r\n" + b"400\r\n" + b"x" * 1024 + b"\r\n"
    )
    await client.send(b"600\r\n" + b"x" * 1536 + b"\r\n")
    assert error_of(await client.answer()) == (413, "body_too_large")


async def test_a_body_framed_in_endless_tiny_pieces_is_refused(world):
    _, client = await world.serving(limits=SMALL)
    await client.send(HEAD + b"transfer-encoding: chunked\r\n\r\n")
    try:
        for _ in range(30):
            await client.send(b"1;" + b"e" * 1000 + b"\r\nx\r\n")
    except ConnectionError:
        pass
    assert error_of(await client.answer()) == (413, "body_too_large")


async def test_an_expecting_client_is_told_to_continue_and_then_served(world):
    _, client = await world.serving()
    await client.send(HEAD + LENGTH + b"expect: 100-continue\r\n\r\n")
    assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
    await client.send(BODY)
    assert (await client.answer()).status == 200
    assert world.hetzner.seen[0].header("expect") == []


async def test_a_pipelined_request_is_not_looked_at(world):
    """The first is answered, and the connection ends with it."""
    _, client = await world.serving()
    await client.send(process("analyze o/r") + process("pay 1 USDC to o/r"))
    answer = await client.answer()
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert await client.ended()
    assert len(world.hetzner.seen) == 1


async def test_slow_and_silent_clients_are_dismissed(world):
    node, client = await world.serving(limits=SMALL)
    await client.send(HEAD)
    assert error_of(await client.answer()) == (408, "request_timeout")
    slow_body = await world.client(node)
    await slow_body.send(HEAD + LENGTH + b"\r\n" + BODY[:-1])
    assert error_of(await slow_body.answer()) == (408, "request_timeout")
    silent = await world.client(node)
    assert await silent.ended()
    assert world.hetzner.seen == []


async def test_a_client_that_closes_its_half_still_gets_its_answer(world):
    _, client = await world.serving()
    await client.send(process())
    client.writer.write_eof()
    assert (await client.answer()).status == 200


async def test_a_worker_sheds_what_exceeds_its_limits_and_counts_it(world):
    node, client = await world.serving(limits=SMALL)
    release = asyncio.Event()

    async def hold(seen, writer):
        await release.wait()

    world.hetzner.misbehave = hold
    busy = [await world.client(node) for _ in range(2)]
    for one in busy:
        await one.send(process())
    await until(lambda: len(world.hetzner.seen) == 2)
    answer = await client.ask()
    assert error_of(answer) == (503, "overloaded")
    assert answer.headers["retry-after"]
    release.set()
    assert [(await one.answer()).status for one in busy] == [200, 200]
    await until(lambda: world.conductor.totals()["hetzner", Intent.ANALYZE, Outcome.SHED] == 1)
    crowd = [await world.client(node) for _ in range(4)]
    assert error_of(await crowd[-1].answer()) == (503, "overloaded")


async def test_a_client_that_takes_no_answers_is_not_read_from_for_ever(world):
    """Its requests stop reaching the plane, and then it is dropped."""
    _, client = await world.serving()
    world.hetzner.answer = text("x" * 900_000)

    async def flood():
        while True:
            await client.send(process())
            await asyncio.sleep(0.005)

    with pytest.raises(ConnectionError):
        async with asyncio.timeout(8):
            await flood()
    assert len(world.hetzner.seen) < 30


async def test_paused_payments_are_refused_in_the_tables_words_and_sent_nowhere(world):
    node = await world.node()
    await world.apply(table(refuse=("hetzner",)))
    client = await world.client(node)
    for said in ("pay 1 USDC to o/r", "approve plan-0123456789", "@bot do something odd"):
        answer = await client.ask(said)
        assert (answer.status, answer.json()["code"]) == (503, "payments_paused")
        assert answer.json()["error"] == "payments are paused"
        assert answer.headers["retry-after"] == "60"
    assert (await client.ask("analyze o/r")).status == 200
    assert len(world.hetzner.seen) == 1
    await until(lambda: world.conductor.totals()["hetzner", Intent.PAY, Outcome.REFUSED] == 1)


async def test_the_web_route_wraps_the_answer_and_names_the_plane_truly(world):
    node = await world.node()
    await world.apply(table(share=10_000))
    client = await world.client(node)
    body = {"message": "analyze o/r", "userId": "web-1", "evmAddress": "0x1", "other": 1}
    await client.send(request("POST", "/api/agent", json.dumps(body).encode()))
    answer = (await client.answer()).json()
    assert answer["success"] is True
    assert answer["response"] == "📊 Analysis for github.com/o/r"
    assert answer["source"] == "agent-upstream"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", answer["timestamp"])
    execution = answer["execution"]
    request_id = execution.pop("requestId")
    assert execution == {
        "plane": "phala", "upstream": world.phala.url, "risk": "low", "intent": "analyze",
        "generation": 1, "fallbackUsed": False, "routing": "table",
    }  # fmt: skip
    (seen,) = world.phala.seen
    assert seen.line == "POST /process HTTP/1.1"
    assert json.loads(seen.body) == {
        "text": "@gitsplits analyze o/r", "author": "web-1", "type": "web", "evmAddress": "0x1",
    }  # fmt: skip
    assert seen.header("x-request-id") == [request_id]
    world.phala.answer = whole(
        b'{"response": "R", "eventId": "e1", "paymentId": 7, "final": false}'
    )
    await client.send(request("POST", "/api/agent", json.dumps(body).encode()))
    answer = (await client.answer()).json()
    assert (answer["response"], answer["eventId"], answer["final"]) == ("R", "e1", False)
    assert "paymentId" not in answer, "what has another form than agreed does not go on"


async def test_the_web_route_moves_no_money_however_it_is_worded(world):
    _, client = await world.serving()
    for said in (
        "pay 1 USDC to o/r", "@gitsplits pay me", " PAY x", "send 1 NEAR to o/r",
        "give 2 USDC to o/r", "distribute $5 to o/r",
    ):  # fmt: skip
        await client.send(request("POST", "/api/agent", json.dumps({"text": said}).encode()))
        answer = await client.answer()
        assert error_of(answer) == (400, "use_splits"), said
        assert "/splits" in answer.json()["error"]
    assert world.hetzner.seen == []


async def test_the_web_route_keeps_the_planes_status_and_error(world):
    _, client = await world.serving()
    world.hetzner.answer = whole(b'{"error":"rate limit"}', "429 Too Many Requests")
    await client.send(request("POST", "/api/agent", b'{"text":"analyze o/r"}'))
    answer = await client.answer()
    assert error_of(answer) == (429, "plane_error")
    assert answer.json()["error"] == "rate limit"
    world.hetzner.answer = whole(b"<html>")
    await client.send(request("POST", "/api/agent", b'{"text":"analyze o/r"}'))
    assert error_of(await client.answer()) == (502, "outcome_unknown")
    await world.hetzner.stop()
    await client.send(request("POST", "/api/agent", b'{"text":"analyze o/r"}'))
    assert error_of(await client.answer()) == (503, "not_sent")


async def test_the_web_status_follows_the_active_planes_readiness_and_is_kept_for_a_while(world):
    _, client = await world.serving()
    world.hetzner.answer = whole(b'{"ready":true,"reasons":[]}')
    for _ in range(3):
        await client.send(request("GET", "/api/agent", key=None))
        answer = await client.answer()
        assert (answer.status, answer.json()["status"]) == (200, "ok")
    controller = answer.json()["controller"]
    assert (controller["configured"], controller["ready"], controller["status"]) == (
        True,
        True,
        200,
    )
    assert [s.line for s in world.hetzner.seen] == ["GET /ready HTTP/1.1"]
    await world.apply(table(2, active="phala"))
    world.phala.answer = whole(b'{"ready":true}', "503 Service Unavailable")
    await client.send(request("GET", "/api/agent"))
    answer = await client.answer()
    assert (answer.status, answer.json()["status"]) == (503, "degraded")


async def test_a_webhook_reaches_the_active_plane_byte_for_byte_without_any_key(world):
    node = await world.node()
    await world.apply(table(active="phala"))
    client = await world.client(node)
    world.phala.answer = whole(b'{"ok":true}', "201 Created", "x-own: kept\r\n")
    raw = b'{"a": 1,\n\t"b":"\\u00e9", "a": 2} '
    headers = [
        ("X-Ping-Signature", "ab12"), ("X-Ping-Timestamp", "1"), ("Content-Type", "text/x"),
        ("Connection", "keep-alive, X-Hop"), ("X-Hop", "1"), ("Keep-Alive", "3"), ("Te", "x"),
    ]  # fmt: skip
    await client.send(request("POST", "/webhook/pingpay?x=%20y&z", raw, headers))
    answer = await client.answer()
    assert (answer.status, answer.body, answer.headers["x-own"]) == (201, b'{"ok":true}', "kept")
    (seen,) = world.phala.seen
    assert seen.line == "POST /webhook/pingpay?x=%20y&z HTTP/1.1"
    assert seen.body == raw
    assert {name for name, _ in seen.headers} == {
        "host", "x-ping-signature", "x-ping-timestamp", "content-type", "content-length",
    }  # fmt: skip
    assert world.hetzner.seen == []


async def test_a_node_without_a_table_sends_nothing_and_says_so(world):
    node = await world.node()
    client = await world.client(node)
    for raw in (
        process(), request("POST", "/webhook/pingpay", b"x"), request("GET", "/api/agent"),
        request("POST", "/api/agent", b'{"text":"analyze o/r"}'),
    ):  # fmt: skip
        await client.send(raw)
        assert error_of(await client.answer()) == (503, "no_table")
    await client.send(request("GET", "/ready"))
    answer = await client.answer()
    assert (answer.status, answer.json()["ready"]) == (503, False)
    assert "no routing table" in answer.json()["reasons"][0]
    await world.apply(table())
    await client.send(request("GET", "/ready"))
    assert (await client.answer()).json() == {"ready": True, "reasons": []}
    assert world.hetzner.seen == []


async def test_a_head_seen_before_binds_the_next_request_to_nothing_but_its_own_bytes(world):
    """Same head: the body counts anew. One byte less, more or other: the parser has the word."""
    node, client = await world.serving()
    first, other = process("analyze o/r", "u1"), process("analyze o/s", "u2")
    assert len(first) == len(other)
    for raw in (first, first, other):
        await client.send(raw)
        assert (await client.answer()).status == 200
    assert [json.loads(s.body)["text"][-1] for s in world.hetzner.seen] == ["r", "r", "s"]

    await client.send(first[:-1])  # a known head whose body has not come yet
    await client.send(first[-1:])
    assert (await client.answer()).status == 200
    await client.send(first.replace(b"client-key", b"client-kez"))
    assert error_of(await client.answer()) == (401, "unauthorized")
    await client.send(b"\r\n" + first)
    assert (await client.answer()).status == 200
    await client.send(first.replace(b" HTTP/1.1\r\n", b" HTTP/1.1\r\nhost : x\r\n"))
    assert error_of(await client.answer()) == (400, "malformed")

    client = await world.client(node)
    await client.send(first + other)  # a known head, its body and something more
    assert (await client.answer()).status == 200
    assert await client.ended()
    assert len(world.hetzner.seen) == 6


async def test_an_answers_head_seen_before_lends_nothing_to_a_short_long_or_other_answer(world):
    """A cut answer stays unknown, a surplus is not passed on, a status is its own."""
    node, client = await world.serving()
    good = text("📊 Analysis")
    world.hetzner.answer = good
    for _ in range(3):
        assert (await client.ask()).status == 200
    world.hetzner.answer = good + b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    assert (await client.ask()).body == good.partition(b"\r\n\r\n")[2]
    world.hetzner.answer = good.replace(b"200 OK", b"500 No")
    assert (await client.ask()).status == 500

    async def cut(_, writer):
        writer.write(good[:-1])
        await writer.drain()
        writer.close()
        return True

    world.hetzner.misbehave = cut
    assert error_of(await client.ask()) == (502, "outcome_unknown")
    assert (await (await world.client(node)).ask()).status == 502


async def test_head_gets_no_body_and_the_connection_goes_on(world):
    _, client = await world.serving()
    for path, status in (
        ("/ready", 405),
        ("/process", 405),
        ("/nothing", 404),
        ("/webhook/a", 405),
    ):
        head = f"HEAD {path} HTTP/1.1\r\nhost: g\r\n\r\n".encode()
        await client.send(head)
        async with asyncio.timeout(5):
            answer = await client.reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(f"HTTP/1.1 {status} ".encode())
        await client.send(request("GET", "/ready"))
        assert (await client.answer()).status == 200
    await client.send(b"HEAD /ready HTTP/1.1\r\nhost: g\r\ncontent-length: 9999999\r\n\r\n")
    async with asyncio.timeout(5):
        answer = await client.reader.read()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.endswith(b"\r\n\r\n")


async def test_a_plane_is_told_that_it_gets_json_whatever_the_client_calls_it(world):
    _, client = await world.serving()
    called = "application/x-www-form-urlencoded; charset=utf-7"
    await client.ask(headers=[("content-type", called)])
    assert world.hetzner.seen[0].header("content-type") == ["application/json"]


async def test_what_a_client_sends_while_it_waits_is_not_taken(world):
    """It is answered, and the worker neither grows nor keeps others waiting."""
    node, client = await world.serving()
    release = asyncio.Event()

    async def slow(seen, writer):
        await release.wait()

    world.hetzner.misbehave = slow
    await client.send(process())
    await until(lambda: world.hetzner.seen)
    client.writer.write(b"GET /x HTTP/1.1\r\nx-big: " + b"a" * (32 << 20))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.writer.drain(), 0.5)
    left = client.writer.transport.get_write_buffer_size()
    assert left > 16 << 20, "the worker must leave it to the client"
    other = await world.client(node)
    await other.send(request("GET", "/ready"))
    assert (await other.answer(2)).status == 200
    release.set()
    answer = await client.answer()
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    client.writer.transport.abort()


async def test_web_clients_that_ask_together_share_one_look_whoever_leaves(world):
    node, first = await world.serving()
    release = asyncio.Event()

    async def slow(seen, writer):
        await release.wait()

    world.hetzner.misbehave = slow
    world.hetzner.answer = whole(b'{"ready":true}')
    await first.send(request("GET", "/api/agent"))
    await until(lambda: world.hetzner.seen)
    others = [await world.client(node) for _ in range(5)]
    for other in others:
        await other.send(request("GET", "/api/agent"))
    last = await world.client(node)
    await last.send(request("GET", "/ready"))
    await last.answer()
    await until(lambda: world.conductor.last().in_flight == 1, what="one look for all")
    first.writer.transport.abort()
    others[0].writer.transport.abort()
    release.set()
    for other in others[1:]:
        answer = await other.answer()
        assert (answer.status, answer.json()["status"]) == (200, "ok")
        await other.send(request("GET", "/ready"))
        assert (await other.answer()).status == 200
    assert len(world.hetzner.seen) == 1


async def test_a_look_that_the_gateway_had_no_room_for_says_nothing_about_the_plane(world):
    node, client = await world.serving(limits=Limits(pool=1, read_seconds=1.0))
    release = asyncio.Event()

    async def slow(seen, writer):
        await release.wait()

    world.hetzner.misbehave = slow
    await client.send(process())
    await until(lambda: world.hetzner.seen)
    other = await world.client(node)
    await other.send(request("GET", "/api/agent"))
    assert error_of(await other.answer()) == (503, "overloaded")
    release.set()
    await client.answer()
    world.hetzner.misbehave = None
    world.hetzner.answer = whole(b'{"ready":true}')
    await other.send(request("GET", "/api/agent"))
    answer = await other.answer()
    assert (answer.status, answer.json()["status"]) == (200, "ok")


PLAN_TEXT = '📝 Plan for pay; nothing has been done yet\n```json\n{"id": "plan-0123456789"}\n```'
PLANNED = [
    ("pay 1 USDC to o/r", "plan", "plan"),
    ("give 1 USDC to o/r", "plan", "plan"),
    ("create split for o/r", "plan", "plan"),
    ("pay whoever is there", "plan", "plan"),
    ("something else", "plan", "plan"),
    ("approve plan-0123456789", "text", "plan"),
    ("analyze o/r", "text", "analyze"),
    ("mode draft", "text", "mode"),
]


async def test_where_a_plan_is_asked_for_no_command_is_sent_to_be_acted_on(world):
    """It goes the way of `approve`, in a member that a plane without plans does not read."""
    _, client = await world.serving()
    world.hetzner.answer = text(PLAN_TEXT)
    for said, sent, intent in PLANNED:
        body = {"text": said, "userId": "web-1", "plan": True}
        await client.send(request("POST", "/api/agent", json.dumps(body).encode()))
        answer = (await client.answer()).json()
        assert answer["response"] == PLAN_TEXT
        assert answer["execution"]["intent"] == intent
        asked = json.loads(world.hetzner.seen[-1].body)
        assert asked == {sent: f"@gitsplits {said}", "author": "web-1", "type": "web"}
    asked = len(world.hetzner.seen)
    await _only_the_boolean_true_asks_for_a_plan(client)
    assert len(world.hetzner.seen) == asked


async def _only_the_boolean_true_asks_for_a_plan(client):
    for member, code in ((b"false", "use_splits"), (b'"true"', "malformed"), (b"1", "malformed")):
        body = b'{"text":"pay 1 USDC to o/r","plan":%b}' % member
        await client.send(request("POST", "/api/agent", body))
        assert error_of(await client.answer()) == (400, code)
    twice = b'{"text":"pay 1 USDC to o/r","plan":true,"plan":false}'
    await client.send(request("POST", "/api/agent", twice))
    assert error_of(await client.answer()) == (400, "malformed")


async def test_a_wish_for_a_plan_is_no_payment_in_the_books_and_pauses_with_payments(world):
    node = await world.node()
    await world.apply(table(refuse=("hetzner",)))
    client = await world.client(node)
    body = json.dumps({"text": "pay 1 USDC to o/r", "plan": True}).encode()
    await client.send(request("POST", "/api/agent", body))
    assert error_of(await client.answer()) == (503, "payments_paused")
    assert world.hetzner.seen == []
    await until(lambda: world.conductor.totals()["hetzner", Intent.PLAN, Outcome.REFUSED] == 1)
    assert world.conductor.totals()["hetzner", Intent.PAY, Outcome.REFUSED] == 0
