"""A secret stays where it was put: no log line, file, answer, metric or span repeats one.

Every secret setting gets a value that occurs nowhere else; the program is then made to succeed, to
fail, to be refused and to crash inside, and everything that it let out or wrote down is searched.
"""

import asyncio
import base64
import json
import sqlite3
import sys
from dataclasses import fields
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from agent_runtime.settings import Settings
from agent_runtime.variables import variable_of

PROGRAM = Path(sys.executable).with_name("agent-runtime")
SERVER_KEY = "planted-server-key-7f3a"
PLANTED = {
    "AGENT_SERVER_API_KEY": SERVER_KEY,
    "PARITY_KEY": "planted-parity-key-19bd",
    "PING_PAY_WEBHOOK_SECRET": "planted-webhook-secret-55e1",
    "GITHUB_TOKEN": "planted-github-token-0c2e",
    "OTEL_EXPORTER_OTLP_HEADERS": "x-token=planted-collector-token-61aa",
}
HEADERS = {"NEAR_RPC_HEADERS": ": ", "OTEL_EXPORTER_OTLP_HEADERS": "="}
NONCE = "5e" * 32


def secrets_of(environ):
    """What to look for, by variable: the value, and each form that it may take on its way."""
    secret = [variable_of(item).name for item in fields(Settings) if variable_of(item).secret]
    assert set(PLANTED) <= set(secret)
    found = {}
    for name in secret:
        text = environ.get(name, "")
        assert text, f"{name} is secret; plant a value for it here"
        bare = text.rpartition(HEADERS[name])[2] if name in HEADERS else text
        bare = bare.removeprefix("ed25519:").removeprefix("0x")
        if "PRIVATE KEY-----" in bare:
            bare = max(bare.replace("\\n", "\n").splitlines(), key=len)
        found[name] = {bare, base64.b64encode(bare.encode()).decode(), bare.encode().hex()}
    return found


async def exercise(client, rails):
    """All that the program does, well and badly; what it answered."""
    answers, key = [], {"x-agent-api-key": SERVER_KEY}

    async def ask(method, path, **more):
        more.setdefault("headers", key)
        answer = await client.request(method, path, **more)
        answers.append(f"{answer.status_code} {answer.headers} {answer.text}")
        return answer

    async def say(text, **headers):
        return await ask("POST", "/process", json={"text": text}, headers={**key, **headers})

    for rule in (
        [],
        [
            *({"service": name, "kind": "status", "status": 401} for name in ("near", "hot")),
            *({"service": name, "kind": "half"} for name in ("github", "ping", "eigenai")),
        ],
    ):
        rails.fault(*rule)
        number = str(len(answers))
        await ask("POST", "/canary/run")
        for text in ("analyze acme/widgets", "create acme/no-app", "verify @ada"):
            await say(text)
        paid = await say("pay 1 USDC to acme/widgets", **{"idempotency-key": f"key-{number}"})
        await ask("GET", f"/payments/{paid.json().get('paymentId', 'none')}")
        await ask("GET", "/eigenai/grant")
        asked = await ask("POST", "/fundings", json={"amount": "1", "token": "USDC"})
        await ask("GET", f"/fundings/{asked.json()['id']}")
        await ask("POST", "/webhook/hotpay", json={"memo": asked.json()["id"]})
    rails.heal()
    for path in ("/", "/health", "/ready", "/canary", "/metrics", "/openapi.json", "/app"):
        await ask("GET", path)
    await ask("GET", f"/identity?nonce={NONCE}")
    await ask("POST", "/parity", json={"nonce": NONCE})
    await ask("POST", "/process", content=b"{", headers={"x-agent-api-key": "wrong"})
    for signature in ("", "00" * 32):
        stamped = {"x-ping-signature": signature, "x-ping-timestamp": "1"}
        await ask("POST", "/webhook/pingpay", content=b"{}", headers=stamped)
    return answers


async def run(environ, rails):
    """Start the program, exercise it, stop it; what it answered and what it said on stderr."""
    process = await asyncio.create_subprocess_exec(
        PROGRAM, env=environ, stderr=asyncio.subprocess.PIPE
    )
    try:
        said = []
        async with asyncio.timeout(20):
            while not (said and json.loads(said[-1]).get("event") == "serving"):
                said.append((await process.stderr.readline()).decode())
                assert said[-1], await process.wait()
        reading = asyncio.create_task(process.stderr.read())
        base = f"http://127.0.0.1:{json.loads(said[-1])['port']}"
        async with httpx.AsyncClient(base_url=base, timeout=40, trust_env=False) as client:
            answers = await exercise(client, rails)
        process.terminate()
        said.append((await reading).decode())
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return answers, "".join(said)


def stored(path):
    """Every cell of every table, as text."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        assert {"payments", "transactions", "requests"} <= set(tables)
        cells = [
            cell
            for table in tables
            for row in db.execute(f"SELECT * FROM {table}")  # noqa: S608 - names from the file
            for cell in row
        ]
    return "\n".join(c.hex() if isinstance(c, bytes) else str(c) for c in cells)


async def test_no_secret_is_repeated_anywhere(rails, tmp_path):
    """The collector of spans is away meanwhile, which may cost no answer either."""
    environ = {**rails.environ, **PLANTED, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    host = urlsplit(environ["NEAR_NODE_URL"].partition(",")[0]).netloc
    environ["NEAR_RPC_HEADERS"] = f"{host}=x-key: planted-rpc-key-88c4"
    answers, said = await run(environ, rails)
    everything = {"answers": "\n".join(answers), "log": said}
    for path in (tmp_path / "logs").iterdir():
        everything[path.name] = path.read_text("utf-8")
    assert {"canary.ndjson", "agent-events.ndjson"} <= set(everything)
    everything["store"] = stored(tmp_path / "payments.db")
    raw = [path.read_bytes() for path in tmp_path.glob("payments.db*")]
    everything["files"] = b"".join(raw).decode("latin-1")
    assert sum(answer.startswith("200") for answer in answers) > 15
    leaks = [
        (name, where)
        for name, forms in secrets_of(environ).items()
        for where, text in everything.items()
        if any(form in text for form in forms)
    ]
    assert not leaks
