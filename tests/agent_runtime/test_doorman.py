"""Connections of those who mean no good, over real sockets."""

import asyncio
import contextlib
import json

import pytest
import pytest_asyncio

from agent_runtime.http import doorman

pytestmark = pytest.mark.asyncio(loop_scope="module")

GET = b"GET /health HTTP/1.1\r\nhost: a\r\n"


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    for name in ("HEAD", "LINGER", "TAKE"):
        monkeypatch.setattr(doorman, f"{name}_SECONDS", 0.15)


class Peer:
    """A client without manners."""

    def __init__(self, streams):
        self.reader, self.writer = streams

    async def send(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def rest(self):
        """All that comes until the plane ends the connection."""
        async with asyncio.timeout(5):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""

    async def trickle(self, data):
        """Send some bytes now and then until the plane ends the connection."""
        rest = asyncio.ensure_future(self.rest())
        while not rest.done():
            self.writer.write(data)
            await asyncio.wait({rest}, timeout=0.05)
        return await rest


@pytest_asyncio.fixture(loop_scope="module")
async def meet(bare):
    """The way to connect; who is left over is closed."""
    met, base = [], bare.client.base_url

    async def one():
        met.append(Peer(await asyncio.open_connection(base.host, base.port)))
        return met[-1]

    yield one
    for peer in met:
        peer.writer.close()
        with contextlib.suppress(ConnectionError):
            await peer.writer.wait_closed()


def fault(answer, status, code):
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d" % status), answer
    assert b"content-type: application/json" in head
    told = json.loads(body)
    assert set(told) == {"error", "code"}
    assert told["code"] == code
    return True


@pytest.mark.parametrize("begin", [b"", b"\r\n", b"G", GET, b"POST / HTTP/1.1\r\nhost: a\r\nx-a: "])
async def test_who_is_silent_before_the_head_is_whole_is_left(meet, begin):
    peer = await meet()
    await peer.send(begin)
    assert await peer.rest() == b""


async def test_a_head_that_comes_byte_by_byte_is_not_waited_for(meet):
    peer = await meet()
    await peer.send(GET + b"x-a: ")
    assert await peer.trickle(b"a") == b""


async def test_between_two_requests_nobody_may_be_silent_for_long(meet):
    peer = await meet()
    await peer.send(GET + b"\r\n")
    assert b"200 OK" in await peer.reader.readuntil(b"\r\n")
    await peer.trickle(b"\r\n")


async def test_an_endless_head_is_refused(meet):
    peer = await meet()
    await peer.send(GET)
    await peer.send(b"x-a: " + b"a" * doorman.HEAD_BYTES_MAX)
    assert fault(await peer.rest(), 431, "head_too_large")


@pytest.mark.parametrize("way", ["one", "many", "address"])
async def test_a_head_that_is_too_large_is_refused_in_one_piece_too(meet, way):
    lines = {"one": b"x-a: " + b"a" * 40_000, "many": b"x-a: b\r\n" * 200 + b"x: y"}
    head = GET + lines.get(way, b"x: y")
    if way == "address":
        head = head.replace(b"/health", b"/health?" + b"a" * 40_000)
    peer = await meet()
    peer.writer.write(head + b"\r\n\r\n")
    answer = await peer.rest()
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431"))
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] in {
        "invalid_http",
        "head_too_large",
    }


@pytest.mark.parametrize(
    "sent",
    [
        b"hello\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nx-a : b\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nx-a: b\nx-c: d\r\n\r\n",
        b"CONNECT a:443 HTTP/1.1\r\nhost: a\r\n\r\n",
        b"POST /process HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        (
            b"POST /process HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n"
            b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        b"POST /process HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, identity\r\n\r\n{}",
        b"POST /process HTTP/1.1\r\nhost: a\r\ncontent-length: -2\r\n\r\n{}",
    ],
    ids=lambda sent: repr(sent[:40]),
)
async def test_what_two_readers_could_read_in_two_ways_is_no_request(meet, sent):
    peer = await meet()
    await peer.send(sent)
    assert fault(await peer.rest(), 400, "invalid_http")


async def test_a_body_that_was_refused_is_not_taken_for_ever(meet):
    peer = await meet()
    await peer.send(b"POST /process HTTP/1.1\r\nhost: a\r\ncontent-length: 60000\r\n\r\n")
    assert b"HTTP/1.1 401" in await peer.reader.readuntil(b"\r\n")
    await peer.trickle(b"a")


async def test_requests_in_one_piece_are_answered_in_their_order(meet):
    peer = await meet()
    last = GET.replace(b"health", b"nothing") + b"connection: close\r\n\r\n"
    await peer.send((GET + b"\r\n") * 2 + last)
    answer = await peer.rest()
    assert [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]] == [b"200", b"200", b"404"]


async def test_who_does_not_take_the_answers_is_left(meet, bare):
    peer = await meet()
    peer.writer.transport.pause_reading()
    ask = b"GET /openapi.json HTTP/1.1\r\nhost: a\r\n\r\n"
    sending = asyncio.ensure_future(peer.send(ask * 2_000))
    connections = bare.server.server_state.connections
    async with asyncio.timeout(10):
        while not any(one.flow.write_paused for one in connections):  # noqa: ASYNC110 - nor for this
            await asyncio.sleep(0.01)
        while any(one.flow.write_paused for one in connections):  # noqa: ASYNC110 - nor for this
            await asyncio.sleep(0.01)
    peer.writer.transport.abort()
    await asyncio.wait({sending})
    assert isinstance(sending.exception(), (ConnectionError, type(None)))
    async with asyncio.timeout(5):
        while bare.server.server_state.tasks:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.01)


async def test_silent_connections_keep_nobody_out(meet, bare, monkeypatch):
    monkeypatch.setattr(doorman, "HEAD_SECONDS", 5)
    others = len(bare.server.server_state.connections)
    monkeypatch.setattr(doorman, "CONNECTIONS_MAX", others + 3)
    silent = [await meet() for _ in range(3)]
    for peer in silent:
        await peer.send(b"GET")
    await asyncio.sleep(0)
    late = await meet()
    await late.send(GET + b"connection: close\r\n\r\n")
    assert (await late.rest()).startswith(b"HTTP/1.1 200")
