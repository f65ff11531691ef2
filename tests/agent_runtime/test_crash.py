"""The runtime dies by SIGKILL at the worst moments of a payment and comes back: paid at most once.

The program is the real one; only the moment of its death is chosen here, by a few lines that run
before its `main`.
"""

import asyncio
import contextlib
import json
import re
import signal
import sys

import httpx
import pytest

from sandbox.near import genesis

BODY = {"text": "pay 10 USDC to acme/widgets", "author": "a"}
HEADERS = {"x-agent-api-key": "test-key", "idempotency-key": "k1"}
NAMES = ("ada", "grace", "linus", "margaret")

DYING = """
import os, signal
from agent_runtime.main import main
from agent_runtime.near import endings, ledger, resolver
def die():
    os.kill(os.getpid(), signal.SIGKILL)
def after(owner, name, when=lambda *_: True):
    real = getattr(owner, name)
    def wrapped(*given, **named):
        found = real(*given, **named)
        if when(*given):
            die()
        return found
    setattr(owner, name, wrapped)
def before(owner, name):
    setattr(owner, name, lambda *_, **__: die())
{moment}
main()
"""

STORED = "after(ledger.TransactionLedger, 'store')"
MARKED = "after(ledger.TransactionLedger, 'mark', lambda _, __, state, *___: state == 'sent')"
SENT = "before(resolver.outcome, 'judge')"
PROVEN = "after(ledger.TransactionLedger, 'finish')"
FINAL = "before(endings.Endings, '_final')"


@contextlib.asynccontextmanager
async def program(environ, code):
    """Run the program with a choice of when it dies; yields it and a client of it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, env=environ, stderr=asyncio.subprocess.PIPE
    )
    try:
        said = {}
        async with asyncio.timeout(20):
            while said.get("event") != "serving":
                line = await process.stderr.readline()
                assert line, said
                said = json.loads(line)
        base = f"http://127.0.0.1:{said['port']}"
        async with httpx.AsyncClient(base_url=base, timeout=20, trust_env=False) as client:
            yield process, client
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.parametrize(
    ("moment", "paid"),
    [(STORED, False), (MARKED, True), (SENT, True), (FINAL, True), (PROVEN, True)],
    ids=["stored", "about to send", "sent", "final but not recorded", "recorded"],
)
async def test_killed_in_the_middle_of_a_payment_it_pays_once_or_says_that_nothing_was_sent(
    rails, moment, paid
):
    async with program(rails.environ, DYING.format(moment=moment)) as (process, client):
        with pytest.raises(httpx.HTTPError):
            await client.post("/process", json=BODY, headers=HEADERS)
        assert await process.wait() == -signal.SIGKILL
    async with program(rails.environ, DYING.format(moment="")) as (_, client):
        texts = [
            (await client.post("/process", json=BODY, headers=HEADERS)).json()["response"]
            for _ in range(2)
        ]
    assert texts[0] == texts[1]
    found = rails.transactions(genesis.USDC)
    moved = sum(rails.usdc(f"{name}.people.near") for name in NAMES)
    if not paid:
        assert texts[0].startswith("❌ Payment failed: stopped before it was sent"), texts[0]
        assert (found, moved) == ([], 0)
        return
    assert texts[0].startswith("✅ Distributed 10 USDC"), texts[0]
    assert [t["hash"] for t in found] == re.findall(r"Transaction: (\S+)", texts[0])
    assert moved == 10_000_000
