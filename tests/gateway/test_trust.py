"""The candidate proves its TLS key or gets nothing: not a byte of a request goes to another key."""

import asyncio
import socket
import threading

import pytest

from cutover.evidence.outcome import Outcome
from cutover.gateway.config import Limits
from cutover.runbook.intent import Intent
from gateway.doubles import Plane, process, request, table, text, until, whole
from gateway.identity import presenting, self_signed, spki_of
from gateway.test_faults import BAD, PAY, in_hand
from listening import Listening

OTHER = "0" * 64
WEBHOOK = request("POST", "/webhook/pingpay", b"delivery")
STATUS = request("GET", "/api/agent")
LOOPS = pytest.mark.parametrize("loop", ["uvloop", "asyncio"])


class Gate(Listening):
    """Counts who comes, and lets nobody's handshake begin while it is shut."""

    def __init__(self, serve, tls=None):
        super().__init__(serve, tls)
        self.came = 0
        self.opened = asyncio.Event()
        self.opened.set()

    async def _talk(self, connection):
        self.came += 1
        await self.opened.wait()
        await super()._talk(connection)


class GatedPlane(Plane):
    """A plane behind a gate, with a key that may be replaced while connections last."""

    def __init__(self, path):
        super().__init__(presenting(path))

    async def start(self):
        self.server = await Gate(self._serve, self.tls).start(self.port)
        self.port = self.server.port
        return self

    def present(self, path):
        """Present another key from now on; what is open stays as it is."""
        self.tls.load_cert_chain(path)


def all_there(generation=1, *, spki):
    """Everything goes to the candidate."""
    return table(generation, share=10_000, pay=10_000, active="phala", spki=spki)


@pytest.fixture
async def attested(world, tmp_path):
    """The world with a candidate over TLS; its first key's file is `world.key`."""
    world.key = self_signed(tmp_path, "first")
    await world.phala.stop()
    world.phala = await GatedPlane(world.key).start()
    return world


async def client_of(world, first, **changes):
    """A client of a node that has this table in force."""
    node = await world.node(**changes)
    await world.apply(first)
    return await world.client(node)


def not_sent(answer):
    """The plane's part of a clear answer that nothing was sent."""
    said = answer.json()
    assert (answer.status, said["code"]) == (502, "not_sent")
    return said["error"].removeprefix("not sent: phala was not reached (").partition(")")[0]


@LOOPS
async def test_all_that_goes_to_the_plane_goes_to_the_attested_key(attested, loop):
    """No authority knows its certificate; messages are large, and one connection carries all."""
    world = attested
    client = await client_of(world, all_there(spki=spki_of(world.key)), loop=loop)
    large = text("x" * 900_000)
    world.phala.answer = large
    for said in ("analyze o/r", PAY, "analyze o/r"):
        answer = await client.ask(said, walletAddress="w" * 60_000)
        assert (answer.status, large.endswith(answer.body)) == (200, True)
        assert len(answer.body) > 900_000
    world.phala.answer = whole(b'{"ready":true}')
    for raw in (WEBHOOK, STATUS):
        await client.send(raw)
        assert (await client.answer()).status == 200
    assert [seen.nth for seen in world.phala.seen] == [1, 2, 3, 4, 5]
    assert world.phala.server.came == 1
    assert {len(seen.body) > 60_000 for seen in world.phala.seen[:3]} == {True}


@LOOPS
async def test_another_key_gets_no_byte_of_anything(attested, tmp_path, loop):
    """There is no second try with it; it is logged once, and the client learns no digest."""
    world = attested
    pin, impostor = spki_of(world.key), self_signed(tmp_path, "impostor")
    heard = bytearray()

    async def listen(reader, writer):
        heard.extend(await reader.read(100_000))

    await world.phala.stop()
    world.phala.server = await Gate(listen, presenting(impostor)).start(world.phala.port)
    client = await client_of(world, all_there(spki=pin), loop=loop)
    for raw in (process(), process(PAY), WEBHOOK):
        await client.send(raw)
        assert not_sent(await client.answer()) == "it did not present the attested TLS key"
    await client.send(STATUS)
    assert b"not_sent" in (answer := await client.answer()).body
    assert answer.status == 503
    await until(lambda: world.conductor.totals()["phala", Intent.PAY, Outcome.NOT_SENT] == 1)
    assert (world.phala.server.came, heard) == (4, b"")
    (node,) = world.nodes
    await node.stop()
    assert node.said.count("phala gets nothing") == 1
    assert f"TLS key {spki_of(impostor)[:16]}…, expected {pin[:16]}…" in node.said


async def test_while_no_key_is_attested_nobody_even_connects(world):
    client = await client_of(world, all_there(spki=""))
    await world.phala.stop()
    with socket.create_server(("127.0.0.1", world.phala.port)) as listener:
        listener.setblocking(False)
        for raw in (process(), process(PAY), WEBHOOK):
            await client.send(raw)
            assert not_sent(await client.answer()) == "no TLS key of it is attested"
        await client.send(STATUS)
        assert "no TLS key of it is attested" in (await client.answer()).body.decode()
        with pytest.raises(BlockingIOError):
            listener.accept()


async def test_an_address_without_tls_gets_nothing_while_the_fallback_is_served(world):
    client = await client_of(world, table(spki=OTHER))
    assert (await client.ask()).status == 200
    await world.apply(all_there(2, spki=OTHER))
    detail = f"no TLS at {world.phala.url}, the table names a key"
    assert not_sent(await client.ask(PAY)) == detail
    assert not_sent(await client.ask()) == detail
    assert (len(world.hetzner.seen), world.phala.seen) == (1, [])
    await world.nodes[0].stop()
    assert world.nodes[0].said.count("no TLS at") == 1


async def test_idle_connections_end_with_the_key_that_they_were_made_under(attested, tmp_path):
    """What the plane said of itself before is not repeated either."""
    world, second = attested, self_signed(tmp_path, "second")
    world.phala.answer = whole(b'{"ready":true}')
    client = await client_of(world, all_there(spki=spki_of(world.key)))
    await client.ask()
    await client.ask()
    world.phala.present(second)
    await world.apply(all_there(2, spki=spki_of(second)))
    await until(lambda: not world.phala.writers, 2, "the end of the idle connection")
    assert (await client.ask(PAY)).status == 200
    assert [seen.nth for seen in world.phala.seen] == [1, 2, 1]
    await client.send(STATUS)
    assert (await client.answer()).status == 200
    await world.apply(all_there(3, spki=""))
    await until(lambda: not world.phala.writers, 2, "the end of the idle connection")
    assert not_sent(await client.ask()) == "no TLS key of it is attested"
    await client.send(STATUS)
    assert (await client.answer()).status == 503
    await world.apply(all_there(4, spki=spki_of(world.key)))
    assert not_sent(await client.ask()) == "it did not present the attested TLS key"


@pytest.mark.parametrize("before", [0, 1], ids=["strange head", "known head"])
async def test_what_is_in_hand_when_the_key_changes_gets_its_answer(attested, before):
    """Its connection carries nothing after it."""
    world, release = attested, asyncio.Event()
    client = await client_of(world, all_there(spki=spki_of(world.key)))
    for _ in range(before):
        await client.ask(PAY)

    async def wait(seen, writer):
        await release.wait()

    world.phala.misbehave = wait
    await client.send(process(PAY))
    await until(lambda: in_hand(world) == (1, 1))
    await world.apply(all_there(2, spki=""))
    release.set()
    assert (await client.answer()).status == 200
    await until(lambda: not world.phala.writers, 2, "the end of its connection")
    assert not_sent(await client.ask(PAY)) == "no TLS key of it is attested"
    assert [seen.nth for seen in world.phala.seen] == list(range(1, before + 2))


@pytest.mark.parametrize(
    ("presented", "required", "detail"),
    [
        ("first", "", "no TLS key of it is attested"),
        ("first", "second", "it did not present the attested TLS key"),
        ("second", "second", None),
    ],
)
async def test_a_connection_being_opened_when_the_key_changes_is_not_used(
    attested, tmp_path, presented, required, detail
):
    """The exchange gets one under the new key, if there is such a plane, or is told."""
    world = attested
    keys = {"first": world.key, "second": self_signed(tmp_path, "second")}
    client = await client_of(world, all_there(spki=spki_of(world.key)))
    world.phala.server.opened.clear()
    await client.send(process(PAY))
    await until(lambda: world.phala.server.came == 1)
    await world.apply(all_there(2, spki=required and spki_of(keys[required])))
    world.phala.present(keys[presented])
    world.phala.server.opened.set()
    answer = await client.answer()
    if detail:
        assert (not_sent(answer), world.phala.seen) == (detail, [])
    else:
        assert (answer.status, [seen.nth for seen in world.phala.seen]) == (200, [1])
    assert world.phala.server.came == (2 if required else 1)


async def test_over_tls_a_post_that_got_no_whole_answer_is_of_unknown_outcome_too(attested):
    world = attested
    client = await client_of(world, all_there(spki=spki_of(world.key)))
    for fault in BAD:
        world.phala.seen.clear()
        world.phala.misbehave = None
        assert (await client.ask("analyze o/r")).status == 200
        world.phala.misbehave = fault
        answer = await client.ask(PAY)
        assert (answer.status, answer.json()["code"]) == (502, "outcome_unknown"), fault
        assert len(world.phala.seen) == 2, fault


@LOOPS
async def test_over_tls_only_the_planes_own_word_ends_an_answer_without_a_length(attested, loop):
    """Anybody on the way can end the connection itself, and would cut the answer short."""
    world = attested
    client = await client_of(world, all_there(spki=spki_of(world.key)), loop=loop)
    unframed = 'HTTP/1.1 200 OK\r\n\r\n{"response":"📊"}'.encode()

    async def end(seen, writer):
        writer.write(unframed)
        await writer.drain()
        return True

    async def cut(seen, writer):
        await end(seen, writer)
        writer.transport.abort()
        return True

    world.phala.misbehave = end
    assert (await client.ask()).json() == {"response": "📊"}
    world.phala.misbehave = cut
    assert (await client.ask()).json()["code"] == "outcome_unknown"


async def test_a_plane_that_does_not_hear_our_goodbye_keeps_no_place_in_the_pool(attested):
    world = attested
    await world.phala.stop()
    with Deaf(world.key, world.phala.port):
        limits = Limits(pool=1, drain_seconds=0.1)
        client = await client_of(world, all_there(spki=spki_of(world.key)), limits=limits)
        assert (await client.ask()).status == 200
        async with asyncio.timeout(8):
            # ASYNC110: the worker's pool has no event to await
            while (answer := await client.ask()).status == 503:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert answer.status == 200


class Deaf:
    """Answers each connection's first request and then neither reads nor closes."""

    def __init__(self, path, port):
        self._tls = presenting(path)
        self._listener = socket.create_server(("127.0.0.1", port))
        self._answered = []
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self):
        self._thread.start()

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)  # ends the wait in accept
        self._thread.join()
        for connection in (self._listener, *self._answered):
            connection.close()

    def _serve(self):
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            connection = self._tls.wrap_socket(accepted, server_side=True)
            self._answered.append(connection)
            connection.recv(65_536)
            connection.sendall(whole(b'{"response":"hi"}', extra="connection: close\r\n"))
