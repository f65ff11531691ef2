"""The program itself: how it starts, stops, dies and comes back."""

import asyncio
import contextlib
import json
import re
import signal
import sys
from pathlib import Path

import httpx
import pytest

PROGRAM = Path(sys.executable).with_name("agent-runtime")
KEY = {"x-agent-api-key": "test-key"}


@contextlib.asynccontextmanager
async def program(environ):
    """Run the installed program; yields it, a client, and what it said while starting."""
    process = await asyncio.create_subprocess_exec(
        PROGRAM, env=environ, stderr=asyncio.subprocess.PIPE
    )
    try:
        said = []
        async with asyncio.timeout(20):
            while not (said and said[-1].get("event") == "serving"):
                line = await process.stderr.readline()
                assert line, said
                said.append(json.loads(line))
        base = f"http://127.0.0.1:{said[-1]['port']}"
        async with httpx.AsyncClient(base_url=base, timeout=20, trust_env=False) as client:
            yield process, client, said
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def environ(tmp_path, **more):
    return {
        "HOST": "127.0.0.1",
        "PORT": "0",
        "PAYMENTS_DB": str(tmp_path / "payments.db"),
        "AGENT_LOG_DIR": str(tmp_path / "logs"),
        "AGENT_SERVER_API_KEY": "test-key",
        **more,
    }


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_signal_ends_it_with_zero(tmp_path, number):
    async with program(environ(tmp_path)) as (process, client, _):
        assert (await client.get("/health")).status_code == 200
        process.send_signal(number)
        async with asyncio.timeout(10):
            assert await process.wait() == 0


async def test_a_stop_signal_waits_for_a_payment_that_is_out(rails):
    """Its client gets the end, not a cut connection."""
    slow = {"kind": "latency_ms", "latency_ms": 400, "after": True}
    rails.fault({"service": "near", "operation": "send_tx", **slow})
    headers = {**KEY, "idempotency-key": "k1"}
    body = {"text": "pay 10 USDC to acme/widgets", "author": "a"}
    async with program(rails.environ) as (process, client, _):
        asked = asyncio.create_task(client.post("/process", json=body, headers=headers))
        await until(lambda: rails.transactions(rails.world.describe()["near"]["usdc"]))
        process.send_signal(signal.SIGTERM)
        assert (await asked).json()["response"].startswith("✅ Distributed 10 USDC")
        async with asyncio.timeout(10):
            assert await process.wait() == 0


async def test_bad_settings_end_it_with_two_and_one_clear_message(tmp_path):
    process = await asyncio.create_subprocess_exec(
        PROGRAM,
        env={"AGENT_MODE": "production", "PORT": "many"},
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode == 2
    text = said.decode()
    assert "PORT: not a port" in text
    assert "AGENT_SERVER_API_KEY: unset" in text
    assert "Traceback" not in text


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the stand-in has no event for it
            await asyncio.sleep(0.01)


async def test_killed_while_a_payment_is_out_it_finds_the_payment_before_serving(rails):
    """The bytes have left, the answer never came, the process died: paid once, and known."""
    usdc = rails.world.describe()["near"]["usdc"]
    body = {"text": "pay 10 USDC to acme/widgets", "author": "a"}
    headers = {**KEY, "idempotency-key": "k1"}
    rails.fault({"service": "near", "operation": "send_tx", "kind": "hang", "after": True})
    async with program(rails.environ) as (process, client, _):
        asked = asyncio.create_task(client.post("/process", json=body, headers=headers))
        await until(lambda: rails.transactions(usdc))
        process.kill()
        with pytest.raises(httpx.HTTPError):
            await asked
    rails.heal()
    async with program(rails.environ) as (_, client, said):
        settled = [line for line in said if line["event"] == "transaction_ended"]
        assert [line["state"] for line in settled] == ["landed"]
        answer = (await client.post("/process", json=body, headers=headers)).json()
    assert answer["response"].startswith("✅ Distributed 10 USDC")
    (found,) = rails.transactions(usdc)
    assert re.search(r"Transaction: (\S+)", answer["response"])[1] == found["hash"]


async def test_killed_before_anything_left_it_says_that_nothing_was_sent(rails):
    rails.fault({"service": "near", "operation": "view_access_key", "kind": "hang"})
    body = {"text": "pay 10 USDC to acme/widgets", "author": "a"}
    headers = {**KEY, "idempotency-key": "k1"}
    async with program(rails.environ) as (process, client, _):
        asked = asyncio.create_task(client.post("/process", json=body, headers=headers))
        await until(lambda: rails.world.calls["near.view_access_key"])
        process.kill()
        with pytest.raises(httpx.HTTPError):
            await asked
    rails.heal()
    async with program(rails.environ) as (_, client, _):
        text = (await client.post("/process", json=body, headers=headers)).json()["response"]
    assert text.startswith("❌ Payment failed: stopped before anything was signed")
    assert rails.transactions(rails.world.describe()["near"]["usdc"]) == []
