"""A plane over HTTP: whatever it sends, the caller gets an answer in time and no exception."""

import asyncio
import gzip
import time

import httpx
import pytest

from conductor.doubles import Peer, http, refused_url
from cutover.conductor.plane_client import ANSWER_BYTES_MAX, HttpPlane
from cutover.conductor.reference import HttpReference
from listening import Listening

KEY = "key-of-phala-123"


@pytest.fixture
async def client():
    async with httpx.AsyncClient(trust_env=False) as made:
        yield made


async def ask(client, answer, deadline_ms=3_000):
    async with Peer({"GET /ready": answer}) as peer:
        return await HttpPlane("phala", peer.url, KEY, client).get("/ready", deadline_ms)


async def test_a_good_answer_is_read(client):
    """Status, JSON and the first words."""
    answer = await ask(client, (200, {"ready": True}))
    assert (answer.status, answer.field("ready"), answer.text) == (200, True, '{"ready": true}')


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b'{"ready": tr',
        b'{"ready": "\xff"}',
        b"[" * 50_000,
        b'{"a": 1e999}',
        b"\x00",
    ],
)
async def test_what_is_no_json_is_an_answer_without_a_body(client, body):
    """HTML, half JSON, broken letters and bottomless nesting are answers, not exceptions."""
    answer = await ask(client, (200, body))
    assert (answer.status, answer.body) == (200, None)
    assert answer.field("ready") is None


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        "reset",
        b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{",
        b"HTTP/1.1 200 OK\r\ncontent-len",
        b"SSH-2.0-OpenSSH_9.0\r\n\r\n",
        b"HTTP/1.1 twohundred OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"\xff\xfe\x00" * 100,
    ],
)
async def test_a_broken_answer_says_how_it_broke(client, answer):
    """No status, no body, and a word about the cause."""
    got = await ask(client, answer)
    assert (got.status, got.body) == (None, None)
    assert got.error
    assert len(got.error) <= 200


async def test_nobody_there_is_an_answer(client):
    """A refused connection is what it is."""
    answer = await HttpPlane("phala", refused_url(), KEY, client).get("/ready", 3_000)
    assert answer.status is None
    assert "ConnectError" in answer.error


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:99999", "http://[::1", "http://a..b", "http://exa mple", "http://\xe4"],
)
async def test_an_address_that_is_none_is_an_answer(client, url):
    """Not even a wrong address is an exception."""
    answer = await HttpPlane("phala", url, KEY, client).get("/ready", 2_000)
    assert answer.status is None
    assert answer.error


async def test_a_key_that_no_header_can_carry_is_an_answer(client):
    """Settings refuse such keys; if one came through, the conductor would go on."""
    answer = await HttpPlane("phala", refused_url(), "schl\xfcssel\n", client).canary(1_000)
    assert answer.status is None


async def test_silence_ends_with_the_deadline(client):
    """A plane that accepts and says nothing costs no more than its deadline."""
    began = time.monotonic()
    answer = await ask(client, lambda _: asyncio.sleep(30, (200, {})), 150)
    assert time.monotonic() - began < 5
    assert answer.error == "no whole answer within 150 ms"


async def test_a_trickle_ends_with_the_deadline(client):
    """Bytes that keep coming slowly do not extend the deadline."""

    async def drip(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await asyncio.sleep(0.01)

    async with Listening(drip) as server:
        answer = await HttpPlane("phala", server.url, KEY, client).get("/ready", 200)
    assert answer.error == "no whole answer within 200 ms"


async def test_an_answer_over_the_limit_is_cut_off(client):
    """Neither a declared nor an endless length is read to its end."""
    big = b"x" * (ANSWER_BYTES_MAX + 1)
    answer = await ask(client, (200, big))
    assert answer.status is None
    assert "more than" in answer.error
    at_the_limit = b'"' + b"x" * (ANSWER_BYTES_MAX - 2) + b'"'
    assert (await ask(client, (200, at_the_limit))).status == 200


async def test_a_compressed_answer_is_refused(client):
    """Nobody asked for it, and a few bytes may unpack to any size."""
    bomb = gzip.compress(b"0" * 50_000_000)
    raw = http(200, bomb, "content-encoding: gzip\r\n")
    answer = await ask(client, raw)
    assert answer.status is None
    assert "gzip" in answer.error


async def test_a_redirect_is_not_followed(client):
    """The plane that was asked is the one that answers."""
    raw = b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"
    assert (await ask(client, raw)).status == 302


async def test_the_key_goes_where_it_must_and_nowhere_else(client):
    """`/ready` and `/health` are asked without a key, `/canary/run` and `/process` with it."""
    async with Peer() as peer:
        plane = HttpPlane("phala", peer.url + "/", KEY, client)
        await plane.get("/ready", 2_000)
        await plane.get("/health", 2_000)
        await plane.canary(2_000)
        await plane.process("analyze a/b", 2_000, idempotency_key="live-1")
        await plane.knock(None, 2_000)
        await plane.knock("wrong", 2_000)
    keys = [(a.method, a.path, a.headers.get("x-agent-api-key")) for a in peer.seen]
    assert keys == [
        ("GET", "/ready", None),
        ("GET", "/health", None),
        ("POST", "/canary/run", KEY),
        ("POST", "/process", KEY),
        ("POST", "/process", None),
        ("POST", "/process", "wrong"),
    ]
    assert peer.seen[3].headers["idempotency-key"] == "live-1"
    assert peer.seen[3].json() == {"text": "analyze a/b", "author": "cutover-live", "type": "web"}


@pytest.mark.parametrize(
    ("answer", "online"), [((200, {}), True), ((404, {}), True), ((500, {}), False), (b"", False)]
)
async def test_the_reference_vouches_below_500(client, answer, online):
    """Any answer that is not a server's failure says that we are online."""
    async with Peer({"GET /": answer}) as peer:
        assert (await HttpReference(peer.url + "/", client).reachable(2_000))[0] is online


async def test_an_unreachable_reference_says_why(client):
    """The detail is for the operator who is called."""
    ok, detail = await HttpReference(refused_url(), client).reachable(2_000)
    assert not ok
    assert "ConnectError" in detail
