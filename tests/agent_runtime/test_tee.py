"""The claim to run in a TEE lives exactly as long as a guest agent answers."""

import asyncio
import contextlib
import json
import sys

import httpx
import pytest

from agent_runtime import tee
from agent_runtime.settings import Settings
from agent_runtime.wiring import build
from listening import Listening


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


async def test_the_claim_comes_and_goes_with_the_guest_agent(tmp_path, monkeypatch):
    monkeypatch.setattr(tee, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(tee, "DEADLINE_SECONDS", 0.3)
    async with guest_agent(tmp_path) as (socket, gone, _):
        environ = {
            "DSTACK_ENDPOINT": str(socket),
            "PAYMENTS_DB": str(tmp_path / "p.db"),
            "AGENT_LOG_DIR": str(tmp_path),
        }
        service = build(Settings.from_environ(environ))
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


async def test_the_guest_agent_is_asked_at_most_once_in_ten_seconds(monkeypatch):
    asked = []

    async def ask(self):
        asked.append(1)
        return tee.Guest("a", "i")

    monkeypatch.setattr(tee.TeeWatch, "_ask", ask)
    watch = tee.TeeWatch("http://127.0.0.1:9")
    await asyncio.gather(*(watch.guest() for _ in range(20)))
    assert len(asked) == 1
    await watch.aclose()


async def test_a_mnemonic_claims_nothing(tmp_path):
    environ = {"MNEMONIC": "twelve words", "PAYMENTS_DB": str(tmp_path / "p.db")}
    environ |= {"AGENT_LOG_DIR": str(tmp_path), "DSTACK_ENDPOINT": str(tmp_path / "no.sock")}
    service = build(Settings.from_environ(environ))
    assert (await service.health.services())["teeWallet"] == "mock"
    await service.aclose()


@pytest.mark.parametrize("answer", [[], {}, {"app_id": "a"}, {"app_id": "", "instance_id": "i"}])
async def test_an_answer_without_an_identity_is_no_guest(answer):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        body = json.dumps(answer).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()

    async with Listening(serve) as server:
        watch = tee.TeeWatch(server.url)
        assert await watch.guest() is None
        await watch.aclose()


async def test_the_stand_in_says_who_it_is_and_makes_quotes(tmp_path):
    async with guest_agent(tmp_path) as (_, _, client):
        info = (await client.post("/Info", json={})).json()
        assert len(info["app_id"]) == len(info["instance_id"]) == 40
        assert (await client.post("/Version")).json()["version"].endswith("-sandbox")
        found = (await client.post("/GetQuote", json={"report_data": "a7" * 64})).json()
        assert bytes.fromhex(found["quote"])[568:632] == b"\xa7" * 64


async def test_an_agent_that_hangs_delays_nobody_while_its_last_answer_is_young(monkeypatch):
    watch = tee.TeeWatch("http://127.0.0.1:1")
    answers = [tee.Guest("app", "one"), None]
    hanging = asyncio.Event()

    async def ask():
        if len(answers) == 1:
            await hanging.wait()
        return answers.pop(0)

    monkeypatch.setattr(watch, "_ask", ask)
    assert (await watch.guest()).app_id == "app"
    watch._asked_at -= tee.FRESH_SECONDS * 0.6
    assert (await watch.guest()).app_id == "app"  # renewing has begun, nobody waits for it
    hanging.set()
    async with asyncio.timeout(5):
        while await watch.guest():  # noqa: ASYNC110 - the watch has no event for it
            await asyncio.sleep(0)
    assert answers == []
    await watch.aclose()
