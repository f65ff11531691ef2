"""Who has not the attested key is told nothing, and before there is one nothing that matters."""

import asyncio
import datetime as dt
import hashlib
import ssl

import pytest

from conductor.doubles import DEMO, Peer
from conductor.test_preconditions import DAY_MS, guarded, routes
from cutover.conductor import attested_plane
from cutover.conductor.attested_compose import AttestedCompose
from cutover.conductor.attested_plane import AttestedConnections, AttestedPlane, health_under
from cutover.conductor.config import PlaneAccess
from cutover.conductor.pin import Pin
from cutover.conductor.plane_client import HttpPlane, connections
from cutover.conductor.preconditions import Preconditions
from cutover.conductor.preconditions.finding import amounts_to
from cutover.conductor.preconditions.look import Attested
from cutover.conductor.preconditions.tls import Wanted, judge_certificate, presented
from cutover.conductor.probes import Probes
from cutover.evidence.observation import CanaryRound
from cutover.runbook.gate import Check
from sandbox.tee import keys, tls
from sandbox.tee.front import Front
from sandbox.tee.machine import Machine

KEY = "key-of-phala-SECRET"
NOW_MS = int(dt.datetime.now(dt.UTC).timestamp() * 1000)
MACHINE = Machine(b"attested plane tests", nonce="0")


def sealed(folder, days=30):
    """A server's TLS under a key of the machine, and the SHA-256 of that key."""
    key = MACHINE.next_tls_key()
    now = NOW_MS // 1000
    wanted = tls.Wanted("plane.test", now - 60, now + days * 86_400)
    chain = tls.certificate_chain(MACHINE.kms, MACHINE.boot.app_id_bytes, key, wanted)
    path = folder / "plane.pem"
    path.write_text(tls.key_pem(key) + "".join(chain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context, hashlib.sha256(keys.spki(key)).hexdigest()


class World:
    """A plane under TLS behind a front, and the conductor's client for it."""

    def __init__(self, peer, front, spki):
        self.peer, self.front, self.spki = peer, front, spki
        self.connections = AttestedConnections(Pin())
        self.pin = self.connections.pin
        self.plane = AttestedPlane("phala", front.url, KEY, self.connections)

    def said(self):
        return [(asked.method, asked.path) for asked in self.peer.seen]


@pytest.fixture
async def world(tmp_path):
    context, spki = sealed(tmp_path)
    answers = routes() | {"POST /process": lambda asked: (200, {"response": asked.json()["text"]})}
    async with Peer(answers, context) as peer:
        where = ("127.0.0.1", int(peer.url.rpartition(":")[2]))
        async with Front(where, "t").running() as front:
            made = World(peer, front, spki)
            yield made
            await made.connections.aclose()


SECRETS = {
    "canary": lambda plane, ms: plane.canary(ms),
    "process": lambda plane, ms: plane.process("pay 1", ms, idempotency_key="k"),
    "knock": lambda plane, ms: plane.knock("wrong", ms),
}


@pytest.mark.parametrize("name", SECRETS)
async def test_under_the_attested_key_everything_is_said(world, name):
    """The plane's key, the order and the idempotency key reach who proved itself."""
    world.pin.hold(world.spki)
    answer = await SECRETS[name](world.plane, 3_000)
    assert answer.status == 200
    headers = world.peer.seen[0].headers
    assert headers.get("x-agent-api-key") == ("wrong" if name == "knock" else KEY)


@pytest.mark.parametrize("name", SECRETS)
async def test_an_impostor_gets_no_byte(world, name):
    """TLS ends in the handshake: neither a path nor a key nor an order is heard."""
    world.pin.hold(world.spki)
    world.front.switch("swap")
    answer = await SECRETS[name](world.plane, 3_000)
    assert answer.status is None
    assert answer.asked
    assert "as attested" in answer.error
    state = world.front.state()
    assert (state["counts"]["connections"], state["counts"]["bytes_read"]) == (1, 0)
    assert world.peer.seen == []


@pytest.mark.parametrize("name", SECRETS)
async def test_without_an_attested_key_nothing_is_sent(world, name):
    """Not even a connection; the answer says why, and that the plane was not asked."""
    answer = await SECRETS[name](world.plane, 100)
    assert (answer.status, answer.asked) == (None, False)
    assert "nothing was sent: phala has proved no TLS key within 50 ms" in answer.error
    assert world.front.state()["counts"]["connections"] == 0


async def test_a_call_waits_for_the_key_within_its_deadline(world):
    """Who asks before the first verdict is served as soon as it is there."""
    asked = asyncio.create_task(world.plane.canary(6_000))
    await asyncio.sleep(0)
    assert not asked.done()
    world.pin.hold(world.spki)
    assert (await asked).status == 200


async def test_a_key_that_was_taken_away_is_waited_for_again(world):
    """As at the start: who is refuted and proves itself anew is asked then."""
    world.pin.hold(world.spki)
    world.pin.hold("")
    asked = asyncio.create_task(world.plane.canary(6_000))
    await asyncio.sleep(0)
    assert not asked.done()
    world.pin.hold(world.spki)
    assert (await asked).status == 200


@pytest.mark.parametrize("mode", ["pass", "swap"])
async def test_what_is_no_secret_is_asked_before_there_is_a_key(world, mode):
    """`/ready` and `/health`, without the plane's key: whoever is there is seen."""
    world.front.switch(mode)
    for path in ("/ready", "/health"):
        assert (await world.plane.get(path, 3_000)).status == 200
    assert all("x-agent-api-key" not in asked.headers for asked in world.peer.seen)


async def test_where_a_key_is_known_nothing_is_asked_of_another(world):
    """Who answers for the plane that proved itself must be that plane."""
    world.pin.hold(world.spki)
    world.front.switch("swap")
    assert "as attested" in (await world.plane.get("/ready", 3_000)).error
    assert world.peer.seen == []


async def test_a_new_key_ends_what_was_open_under_the_old_one(world, tmp_path):
    """The next call, whichever it is, goes out under the key that counts now."""
    world.pin.hold(world.spki)
    await world.plane.get("/ready", 3_000)
    old = await world.connections.pinned()
    world.pin.hold("0" * 64)
    assert "as attested" in (await world.plane.get("/ready", 3_000)).error
    assert old.is_closed
    assert world.said() == [("GET", "/ready")]
    world.pin.hold("")
    assert (await world.plane.canary(100)).asked is False
    world.pin.hold(world.spki)
    assert (await world.plane.canary(3_000)).status == 200


async def test_a_connection_that_will_not_close_fails_no_call(world, monkeypatch):
    """It is said, and the call goes on under the new key."""
    said = []
    monkeypatch.setattr(attested_plane, "say", lambda event, **_: said.append(event))
    world.pin.hold("0" * 64)
    old = await world.connections.pinned()

    async def stuck():
        raise OSError("no")

    monkeypatch.setattr(old, "aclose", stuck)
    world.pin.hold(world.spki)
    assert (await world.plane.get("/ready", 3_000)).status == 200
    assert said == ["connections_not_closed"]


async def test_connections_are_kept_while_the_key_stays(world):
    """One connection serves one call after the other."""
    world.pin.hold(world.spki)
    for _ in range(3):
        world.pin.hold(world.spki)
        assert (await world.plane.canary(3_000)).status == 200
    assert world.front.state()["counts"]["connections"] == 1


async def test_health_is_asked_of_one_key_alone(world):
    """For an attester, on a connection of its own."""
    assert (await health_under(world.front.url + "/", world.spki, 3_000)).status == 200
    other = await health_under(world.front.url, "0" * 64, 3_000)
    assert "as attested" in other.error


async def test_a_canary_that_was_not_sent_is_no_verdict(world):
    """It neither fails nor passes; one that was sent and got no answer fails."""
    facts = []

    async def submit(fact):
        facts.append(fact)

    probes = Probes(DEMO, [world.plane], None, None, submit)
    await probes._round([("phala", "", asyncio.ensure_future(world.plane.canary(20)))])
    assert facts == []
    world.pin.hold(world.spki)
    world.front.switch("drop")
    await probes._round([("phala", "", asyncio.ensure_future(world.plane.canary(2_000)))])
    (seen,) = facts
    assert isinstance(seen, CanaryRound)
    assert seen.verdicts[0].ok is False


class TestPreconditions:
    """The candidate's TLS is judged by its attested key, the fallback's as ever."""

    async def look(self, world, check, runbook=DEMO):
        async with Peer(routes()) as fallback, connections() as client:
            planes = [HttpPlane("hetzner", fallback.url, "right", client), world.plane]
            own = {"hetzner": "right", "phala": KEY}
            access = {plane.name: PlaneAccess(plane.url, own[plane.name]) for plane in planes}
            compose = AttestedCompose()
            compose.hold(world.spki, MACHINE.boot.compose.encode())
            before = Preconditions(
                runbook, planes, access, lambda: "0" * 64, Attested(world.pin, compose),
                patience_ms=50,
            )  # fmt: skip
            return await before.look(check, NOW_MS)

    @pytest.mark.parametrize(("days", "ok"), [(30, True), (8, False)])
    async def test_an_attested_certificate_must_outlive_the_run(self, tmp_path, days, ok):
        """No authority certifies it, the quote does; nine days are nine days."""
        context, spki = sealed(tmp_path, days)
        async with Peer(tls=context) as peer:
            until = NOW_MS + 9 * DAY_MS
            wanted = Wanted("phala", "127.0.0.1", peer.port, NOW_MS, until, spki, rehearsal=True)
            found = judge_certificate(await presented(wanted), wanted)
        assert amounts_to(found) is ok
        assert f"under the attested key {spki[:16]}" in found[0].text

    async def test_every_check_is_asked_under_the_key(self, world):
        """Endpoints, services, images and TLS of the very plane that proved itself."""
        world.pin.hold(world.spki)
        for check in (Check.TLS_AND_DOMAIN, Check.ENDPOINTS_REACHABLE, Check.IDENTICAL_IMAGE):
            seen = await self.look(world, check)
            assert seen.ok is True, seen.reasons
        world.front.switch("swap")
        for check in Check:
            seen = await self.look(world, check)
            assert seen.ok is False, seen.reasons
        assert world.front.state()["counts"]["bytes_read"] == 0

    async def test_a_key_that_is_enforced_is_seen_under_the_attested_one(self, world):
        """Every knock goes to the attested plane, and only the right key is let in there."""
        world.pin.hold(world.spki)
        world.peer.routes["POST /process"] = guarded(KEY)
        assert (await self.look(world, Check.ENVIRONMENT_PARITY)).ok is True

    @pytest.mark.parametrize("check", Check)
    async def test_before_a_key_has_proved_itself_nothing_can_be_judged(self, world, check):
        """Unknown, never true: and it is looked at again."""
        seen = await self.look(world, check)
        assert seen.ok is None
        assert "phala has proved no TLS key" in seen.reasons[0]
        assert world.peer.seen == []
