"""What becomes of a POST when the plane misbehaves: it gets there once, and the client is told."""

import asyncio
import os
import resource
import signal
import ssl
import time
from pathlib import Path

import pytest

from cutover.evidence.outcome import Outcome
from cutover.gateway.config import Limits
from cutover.gateway.pool import MONEY_IDLE_SECONDS
from cutover.gateway.serving import SWEEP_SECONDS
from cutover.runbook.intent import Intent
from gateway.doubles import process, request, table, text, until, whole
from gateway.identity import self_signed

PAY = "pay 1 USDC to o/r"
LONG = MONEY_IDLE_SECONDS + 4 * SWEEP_SECONDS


async def close_unanswered(seen, writer):
    return True


async def reset(seen, writer):
    writer.transport.abort()
    return True


async def half_answer(seen, writer):
    writer.write(text("📊 Analysis")[:-10])
    await writer.drain()
    return True


async def half_head(seen, writer):
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-le")
    await writer.drain()
    return True


async def garbage(seen, writer):
    writer.write(b"SSH-2.0-x\r\n\r\n")
    await writer.drain()
    return True


async def upgrade(seen, writer):
    writer.write(b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n")
    await writer.drain()
    await asyncio.sleep(3)
    return True


async def too_large(seen, writer):
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    for _ in range(40):
        writer.write(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")
    await writer.drain()
    return True


async def cut_chunks(seen, writer):
    writer.write(b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{"res')
    await writer.drain()
    return True


BAD = [close_unanswered, reset, half_answer, half_head, garbage, upgrade, too_large, cut_chunks]


@pytest.mark.parametrize("nth", [1, 2])
async def test_a_post_that_got_no_whole_answer_was_sent_once_and_its_client_is_told(world, nth):
    """On the first and on the second request of a kept-alive client and plane connection."""
    node, _ = await world.serving()
    for fault in BAD:
        world.hetzner.seen.clear()
        world.hetzner.misbehave = None
        client = await world.client(node)
        if nth == 2:
            assert (await client.ask("analyze o/r")).status == 200
        world.hetzner.misbehave = fault
        answer = await client.ask(PAY)
        assert (answer.status, answer.json()["code"]) == (502, "outcome_unknown"), fault
        assert "do not repeat" in answer.json()["error"]
        assert [s.nth for s in world.hetzner.seen] == list(range(1, nth + 1)), fault
    assert world.phala.seen == []
    failed = ("hetzner", Intent.PAY, Outcome.UNKNOWN)
    await until(lambda: world.conductor.totals()[failed] == len(BAD))


async def test_a_plane_that_hangs_is_given_up_at_the_deadline_and_not_asked_again(world):
    _, client = await world.serving(deadlines_ms={Intent.PAY: 300, Intent.ANALYZE: 300})

    async def hang(seen, writer):
        await asyncio.sleep(3)

    world.hetzner.misbehave = hang
    answer = await client.ask(PAY)
    assert (answer.status, answer.json()["code"]) == (504, "timeout")
    assert "outcome unknown: the request was sent to hetzner" in answer.json()["error"]
    await until(
        lambda: world.conductor.totals()["hetzner", Intent.PAY, Outcome.TIMEOUT_UNKNOWN] == 1
    )
    assert len(world.hetzner.seen) == 1


async def test_a_plane_that_refuses_connections_is_told_apart_as_not_sent(world):
    _, client = await world.serving()
    await world.hetzner.stop()
    answer = await client.ask(PAY)
    assert (answer.status, answer.json()["code"]) == (502, "not_sent")
    assert "may be repeated" in answer.json()["error"]
    assert world.phala.seen == []
    await until(lambda: world.conductor.totals()["hetzner", Intent.PAY, Outcome.NOT_SENT] == 1)
    await client.send(b"")


async def test_a_plane_that_was_restarted_while_connections_were_idle_is_simply_used_again(world):
    node, client = await world.serving()
    await asyncio.gather(*[(await world.client(node)).ask(author=f"u{n}") for n in range(5)])
    before = len(world.hetzner.seen)
    await world.hetzner.restart()
    await until(lambda: not world.hetzner.writers, what="old connections closed")
    assert (await client.ask(PAY)).status == 200
    assert len(world.hetzner.seen) == before + 1


async def test_a_payment_never_goes_out_on_a_connection_that_has_been_idle_for_long(world):
    _, client = await world.serving()
    await client.ask()
    await client.ask()
    assert [s.nth for s in world.hetzner.seen] == [1, 2]
    used = world.hetzner.seen[-1].at
    await until(lambda: time.monotonic() - used > LONG, what="idle for long")
    await client.ask(PAY)
    assert world.hetzner.seen[-1].nth == 1
    await client.ask(PAY)
    assert world.hetzner.seen[-1].nth == 2


async def test_a_plane_connection_idle_beyond_its_limit_is_not_used_again(world):
    _, client = await world.serving(limits=Limits(idle_seconds=0.3))
    await client.ask()
    await until(lambda: not world.hetzner.writers, what="the idle connection closed")
    await client.ask()
    assert [s.nth for s in world.hetzner.seen] == [1, 1]


CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
EARLY = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"


async def test_every_legal_framing_of_an_answer_is_understood(world):
    _, client = await world.serving()
    for raw, body in (
        (EARLY + text("a"), "a"),
        (CHUNKED + b'c;x=y\r\n{"response":\r\n4\r\n"b"}\r\n0\r\nx-trailer: 1\r\n\r\n', "b"),
        (whole(b'{"response":"c"}', extra="content-encoding: identity\r\n"), "c"),
        (whole(b'{"response":"d"}', extra="connection: close\r\n"), "d"),
    ):
        world.hetzner.answer = raw
        world.hetzner.seen.clear()
        for _ in range(2):
            answer = await client.ask()
            assert (answer.status, answer.json()["response"]) == (200, body)
        assert len(world.hetzner.seen) == 2


async def test_an_answer_delimited_by_the_end_of_the_connection_is_passed_on_whole(world):
    _, client = await world.serving()

    async def until_close(seen, writer):
        writer.write(b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{"response":')
        await writer.drain()
        writer.write(b'"e"}')
        await writer.drain()
        return True

    world.hetzner.misbehave = until_close
    assert (await client.ask()).json() == {"response": "e"}
    await until(lambda: world.conductor.totals()["hetzner", Intent.ANALYZE, Outcome.OK] == 1)


async def test_an_answer_without_a_body_ends_at_its_head_and_is_never_ok(world):
    _, client = await world.serving()
    for status in ("204 No Content", "304 Not Modified"):
        world.hetzner.answer = f"HTTP/1.1 {status}\r\n\r\n".encode()
        assert (await client.ask()).status == int(status[:3])
    world.hetzner.answer = text("a")
    assert (await client.ask()).status == 200
    await until(lambda: world.conductor.totals()["hetzner", Intent.ANALYZE, Outcome.UNKNOWN] == 2)


async def test_bytes_behind_an_answer_condemn_the_connection_but_not_the_answer(world):
    _, client = await world.serving()
    world.hetzner.answer = text("a") + text("smuggled")
    for _ in range(2):
        assert (await client.ask()).json() == {"response": "a"}
    assert [s.nth for s in world.hetzner.seen] == [1, 1]


async def test_a_client_that_hangs_up_does_not_cut_off_its_payment(world):
    """The plane finishes, and what it did is counted."""
    node, client = await world.serving()
    arrived, release = asyncio.Event(), asyncio.Event()

    async def slow(seen, writer):
        arrived.set()
        await release.wait()

    world.hetzner.misbehave = slow
    await client.send(process(PAY))
    await arrived.wait()
    client.writer.transport.abort()
    later = await world.client(node)
    await later.send(request("GET", "/ready"))
    await later.answer()  # the worker has come to what happened after the end
    world.hetzner.answer = text("❌ Payment failed: no funds")
    release.set()
    await until(
        lambda: world.conductor.totals()["hetzner", Intent.PAY, Outcome.BUSINESS_FAILED] == 1
    )
    assert len(world.hetzner.seen) == 1


@pytest.mark.parametrize("trusted", [True, False])
async def test_an_https_plane_is_used_only_if_its_certificate_can_be_verified(
    world, trusted, tmp_path
):
    certificate = self_signed(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    world.hetzner.tls = context
    await world.hetzner.restart()
    environment = {"SSL_CERT_FILE": str(certificate)} if trusted else {}
    _, client = await world.serving(environment=environment)
    answer = await client.ask(PAY)
    if trusted:
        assert (answer.status, len(world.hetzner.seen)) == (200, 1)
    else:
        assert (answer.status, answer.json()["code"]) == (502, "not_sent")
        assert "certificate" in answer.json()["error"]
        assert world.hetzner.seen == []


async def test_money_in_the_candidates_hand_is_reported_until_its_outcome_is(world):
    """Not the fallback's, not what moves none; over connections fresh and used, however it ends."""
    node, client = await world.serving(deadlines_ms={Intent.PAY: 1500, Intent.ANALYZE: 1500})
    await world.apply(table(2, pay=10_000, share=10_000))
    release = asyncio.Event()

    async def slow(seen, writer):
        await release.wait()

    for _ in range(2):  # the second time over a connection that is there
        release.clear()
        world.phala.misbehave = slow
        other = await world.client(node)
        await client.send(process(PAY))
        await other.send(process("analyze o/r"))
        await until(lambda: in_hand(world) == (2, 1), what="one of two that may move money")
        release.set()
        await client.answer()
        await until(lambda: in_hand(world) == (0, 0), what="none any more")
    world.phala.misbehave = reset
    assert (await client.ask(PAY)).status == 502
    world.phala.misbehave = hang
    await client.send(process(PAY))
    await until(lambda: in_hand(world) == (1, 1), what="one that will never be answered")
    client.close()
    await until(lambda: in_hand(world) == (0, 0), what="its deadline")
    total = world.conductor.totals()
    assert total["phala", Intent.PAY, Outcome.TIMEOUT_UNKNOWN] == 1
    world.hetzner.misbehave = hang
    await world.apply(table(3))
    await other.send(process(PAY))
    await until(lambda: in_hand(world) == (1, 0), what="a payment in the fallback's hand")


async def hang(seen, writer):
    await asyncio.sleep(3)


def in_hand(world):
    last = world.conductor.last()
    return last.in_flight, last.money_in_flight


async def test_money_in_a_dead_workers_hand_is_of_unknown_end_and_not_in_flight_for_ever(world):
    node, client = await world.serving()
    await world.apply(table(2, pay=10_000))
    world.phala.misbehave = hang
    await client.send(process(PAY))
    await until(lambda: in_hand(world) == (1, 1))
    (worker,) = node.workers()
    os.kill(worker, signal.SIGKILL)
    await until(lambda: in_hand(world) == (0, 0))
    assert world.conductor.totals() == {("phala", Intent.PAY, Outcome.UNKNOWN): 1}
    assert world.conductor.last().lost == 0


def last_descriptor(pid):
    return max(int(fd.name) for fd in Path(f"/proc/{pid}/fd").iterdir())


async def test_a_lack_of_descriptors_is_never_held_against_the_plane(world):
    node, client = await world.serving()
    (worker,) = node.workers()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert resource.prlimit(worker, resource.RLIMIT_NOFILE)[0] == hard, "raised at the start"
    await client.send(request("GET", "/ready"))
    assert (await client.answer()).status == 200, "it has been let in"
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (last_descriptor(worker) + 1, hard))
    answer = await client.ask(PAY)
    assert (answer.status, answer.json()["code"]) == (503, "overloaded")
    assert "file descriptors" in answer.json()["error"]
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (hard, hard))
    assert (await client.ask(PAY)).status == 200
    total = world.conductor.totals
    await until(lambda: total()["hetzner", Intent.PAY, Outcome.SHED] == 1)
    assert total()["hetzner", Intent.PAY, Outcome.NOT_SENT] == 0
