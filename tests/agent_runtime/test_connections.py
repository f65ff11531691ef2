"""Outgoing connections against a peer that says exactly what a test wants, over real sockets."""

import contextlib

import pytest

from agent_runtime import wire
from agent_runtime.connections import Connections, NoAnswer
from agent_runtime.errors import RailUnknown
from listening import Listening

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nX-One: 1\r\n\r\n"

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@contextlib.asynccontextmanager
async def peer(*answers, close=False):
    """Give each request the next of these answers; yields the address and what it has seen."""
    seen, left = [], list(answers)

    async def serve(reader, writer):
        seen.append("connection")
        while left:
            seen.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(left.pop(0))
            await writer.drain()
            if close:
                break

    async with Listening(serve) as server:
        yield server.url + "/base", seen


@pytest.fixture
async def client():
    connections = Connections(1_000)
    yield connections
    await connections.aclose()


async def test_a_connection_serves_one_request_after_the_other(client):
    async with peer(OK + b"ab", OK + b"cd", OK + b"ef") as (url, seen):
        for body in (b"ab", b"cd", b"ef"):
            reply = await client.request("GET", url + "/x?y=1", {"a": "b"}, b"")
            assert (reply.status, reply.body, reply.headers["x-one"]) == (200, body, "1")
    assert seen.count("connection") == 1
    host = url.removeprefix("http://").removesuffix("/base")
    assert seen[1] == f"GET /base/x?y=1 HTTP/1.1\r\nhost: {host}\r\na: b\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("said", "body"),
    [
        (CHUNKED + b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", b"abc"),
        (b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK + b"ab", b"ab"),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", b"until the end"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    ],
    ids=["chunked", "announced", "ended by closing", "empty"],
)
async def test_every_way_to_end_an_answer_is_understood(client, said, body):
    async with peer(said, close=True) as (url, _):
        assert (await client.request("GET", url, {}, b"")).body == body


@pytest.mark.parametrize(
    "said",
    [
        b"",
        OK + b"a",
        CHUNKED + b"5\r\nab",
        b"SSH-2.0 hello\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n" + b"x" * 100_000,
    ],
    ids=["nothing", "cut", "chunk cut", "not http", "too large"],
)
async def test_half_an_answer_is_no_answer(client, said):
    async with peer(said, close=True) as (url, _):
        with pytest.raises(NoAnswer):
            await client.request("POST", url, {}, b"{}")


@pytest.mark.parametrize("said", [OK + b"ab" + OK + b"no", OK + b"abc"])
async def test_after_bytes_that_nobody_asked_for_the_connection_is_not_used_again(client, said):
    async with peer(said, OK + b"cd") as (url, seen):
        assert (await client.request("GET", url, {}, b"")).body == b"ab"
        assert (await client.request("GET", url, {}, b"")).body == b"cd"
        assert seen.count("connection") == 2


async def test_a_connection_that_talks_while_nobody_asks_is_not_used_again(client):
    async with peer(OK + b"ab", OK + b"cd") as (url, seen):
        await client.request("GET", url, {}, b"")
        (kept,) = next(iter(client._idle.values()))
        kept.data_received(b"surplus")
        assert (await client.request("GET", url, {}, b"")).body == b"cd"
        assert seen.count("connection") == 2


async def test_a_deadline_ends_the_connection_so_that_a_late_answer_is_nobodys(client):
    async with peer(b"", OK + b"ab") as (url, seen):
        with pytest.raises(RailUnknown, match=r"timed out after 0\.05 s"):
            await wire.ask(client, "near", "GET", url, deadline_seconds=0.05)
        assert (await wire.ask(client, "near", "GET", url, deadline_seconds=5)).body == b"ab"
        assert seen.count("connection") == 2


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("ftp://127.0.0.1/", {}),
        ("http://user@127.0.0.1/", {}),
        ("http://127.0.0.1/a b", {}),
        ("http://127.0.0.1/", {"a": "b\r\nc: d"}),
        ("http://127.0.0.1/", {"a": "bé"}),
    ],
)
async def test_what_could_break_a_request_apart_is_never_sent(client, url, headers):
    with pytest.raises(ValueError, match="address"):
        await client.request("GET", url, headers, b"")


async def test_nobody_there_is_a_network_failure(client):
    with pytest.raises(RailUnknown, match="network failure"):
        await wire.ask(client, "near", "GET", "http://127.0.0.1:1/", deadline_seconds=5)
