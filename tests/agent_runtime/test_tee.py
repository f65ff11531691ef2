"""The claim to run in a TEE lives as long as the guest agent gives quotes that we asked for."""

import asyncio
import contextlib
import sys

import httpx
import pytest

from agent_runtime import tee
from agent_runtime.dstack import GuestAgent
from agent_runtime.settings import Settings
from agent_runtime.wiring import build
from sandbox.faults import Rule
from sandbox.tee.machine import Machine
from sandbox.tee.serve import ServedMachine, Where


async def answers(client):
    """The socket's file is there a moment before anybody listens on it."""
    try:
        return (await client.get("/Version")).status_code == 200
    except httpx.ConnectError:
        return False


@contextlib.asynccontextmanager
async def guest_agent(tmp_path):
    """The sandbox's guest agent on a Unix socket of its own."""
    socket, gone = tmp_path / "dstack.sock", tmp_path / "gone"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sandbox.tee", "--uds", str(socket), "--gone-file", str(gone)
    )
    try:
        transport = httpx.AsyncHTTPTransport(uds=str(socket))
        async with httpx.AsyncClient(transport=transport, base_url="http://tee") as client:
            async with asyncio.timeout(20):
                while not await answers(client):
                    assert process.returncode is None
                    await asyncio.sleep(0.02)
            yield socket, gone, client
    finally:
        process.kill()
        await process.wait()


def environ(tmp_path, socket):
    return {
        "DSTACK_ENDPOINT": str(socket),
        "PAYMENTS_DB": str(tmp_path / "p.db"),
        "AGENT_LOG_DIR": str(tmp_path),
    }


async def test_the_claim_comes_and_goes_with_the_guest_agent(tmp_path, monkeypatch):
    monkeypatch.setattr(tee, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(tee, "DEADLINE_SECONDS", 0.3)
    async with guest_agent(tmp_path) as (socket, gone, _):
        service = build(Settings.from_environ(environ(tmp_path, socket)))
        health = await service.health.health()
        assert health["services"]["teeWallet"] == "tee"
        assert health["compute"] == "Secure TEE (Phala dstack)"
        gone.touch()
        health = await service.health.health()
        assert health["services"]["teeWallet"] == "mock"
        assert health["compute"] == "Standard (Local)"
        gone.unlink()
        assert (await service.health.services())["teeWallet"] == "tee"
        await service.aclose()


@contextlib.asynccontextmanager
async def watching(tmp_path):
    """A watch on a machine of the sandbox, which can be told to misbehave."""
    machine = Machine(b"watched", nonce="n")
    where = Where("t", uds=tmp_path / "dstack.sock")
    async with ServedMachine(machine, where).running() as served:
        agent = GuestAgent(served.url)
        yield tee.TeeWatch(agent), served
        await agent.aclose()


@pytest.mark.parametrize("style", ["0.5", "0.6", "0.6-v2"])
async def test_a_quote_over_our_own_bytes_is_the_claim_whatever_the_agent_s_age(tmp_path, style):
    async with watching(tmp_path) as (watch, served):
        served.machine.restart({"style": style})
        facts = served.machine.facts()
        assert await watch.guest() == tee.Guest(facts["app_id"], facts["instance_id"])
        assert served.calls["guest.GetQuote"] == 1


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "wrong", "variant": "replayed"},
        {"kind": "wrong", "variant": "other_app"},
        {"kind": "wrong", "variant": "other_instance"},
        {"kind": "wrong", "variant": "unasked_report_data"},
        {"kind": "wrong", "variant": "no_quote"},
        {"kind": "wrong", "variant": "oversized"},
        {"kind": "wrong", "variant": "empty_log"},
        {"kind": "wrong", "variant": "html"},
        {"kind": "latency_ms", "latency_ms": 400},
        {"kind": "hang"},
        {"kind": "half"},
        {"kind": "status"},
    ],
    ids=lambda rule: rule.get("variant", rule["kind"]),
)
async def test_whatever_is_no_answer_of_ours_in_time_is_no_claim(tmp_path, monkeypatch, rule):
    monkeypatch.setattr(tee, "DEADLINE_SECONDS", 0.2)
    async with watching(tmp_path) as (watch, served):
        assert await watch.guest()  # and a replayed quote has something to repeat
        served.faults.replace([Rule(service="guest", operation="GetQuote", **rule)])
        watch._asked_at -= tee.FRESH_SECONDS
        assert await watch.guest() is None


async def test_a_quote_that_takes_its_time_is_a_claim_when_it_comes(tmp_path, monkeypatch):
    """Whoever asks meanwhile is told `mock` after a moment, and not kept."""
    monkeypatch.setattr(tee, "PATIENCE_SECONDS", 0.05)
    async with watching(tmp_path) as (watch, served):
        slow = Rule(service="guest", operation="GetQuote", kind="latency_ms", latency_ms=300)
        served.faults.replace([slow])
        assert await watch.guest() is None
        async with asyncio.timeout(5):
            while await watch.guest() is None:
                pass
        assert served.calls["guest.GetQuote"] == 1


async def test_an_old_claim_is_gone_although_the_agent_still_thinks(tmp_path, monkeypatch):
    monkeypatch.setattr(tee, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(tee, "DEADLINE_SECONDS", 0.5)
    async with watching(tmp_path) as (watch, served):
        assert await watch.guest()
        served.faults.replace([Rule(service="guest", kind="hang")])
        watch._asked_at -= tee.FRESH_SECONDS
        assert await watch.guest() is None
        await watch._asking.share("guest", watch._refresh)


async def test_the_guest_agent_is_asked_at_most_once_in_ten_seconds(tmp_path):
    async with watching(tmp_path) as (watch, served):
        await asyncio.gather(*(watch.guest() for _ in range(20)))
        await watch.guest()
        assert served.calls["guest.GetQuote"] == 1


async def test_a_mnemonic_claims_nothing(tmp_path):
    told = {"MNEMONIC": "twelve words", **environ(tmp_path, tmp_path / "no.sock")}
    service = build(Settings.from_environ(told))
    assert (await service.health.services())["teeWallet"] == "mock"
    await service.aclose()


async def test_no_guest_agent_is_no_claim():
    assert await tee.TeeWatch(None).guest() is None


async def test_the_stand_in_says_who_it_is_and_makes_quotes(tmp_path):
    async with guest_agent(tmp_path) as (_, _, client):
        info = (await client.post("/Info", json={})).json()
        assert len(info["app_id"]) == len(info["instance_id"]) == 40
        assert (await client.post("/Version")).json()["version"].endswith("-sandbox")
        found = (await client.post("/GetQuote", json={"report_data": "a7" * 64})).json()
        assert bytes.fromhex(found["quote"])[568:632] == b"\xa7" * 64


async def test_an_agent_that_hangs_delays_nobody_while_its_last_answer_is_young(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(tee, "DEADLINE_SECONDS", 0.2)
    async with watching(tmp_path) as (watch, served):
        assert await watch.guest()
        served.faults.replace([Rule(service="guest", kind="hang")])
        watch._asked_at -= tee.FRESH_SECONDS * 0.6
        begun = asyncio.get_running_loop().time()
        assert await watch.guest()  # renewing has begun, nobody waits for it
        assert asyncio.get_running_loop().time() - begun < 0.1
        async with asyncio.timeout(5):
            while await watch.guest():  # noqa: ASYNC110 - the watch has no event for it
                await asyncio.sleep(0.01)
