"""The TLS ends: their form by our own reading, and by Caddy itself where the system has it.

Once it is really run, in front of a runtime, over a Unix socket and under an authority of its own.
"""

import asyncio
import hashlib
import hmac
import json
import re
import shutil
import ssl
import subprocess
import time
from contextlib import asynccontextmanager

import httpx
import pytest

from agent_runtime.http.webhooks import GITHUB_MAX_BYTES
from agent_runtime.main import Server
from agent_runtime.settings import Settings
from agent_runtime.wiring import build
from cutover.gateway.config import DEADLINES_MS, Limits
from deploy.deployment import DEPLOY, ROOT

FILES = {path.parent.name: path for path in sorted(DEPLOY.rglob("Caddyfile"))}
UPSTREAMS = {"hetzner": "agent:3000", "gateway": "127.0.0.1:8080"}
SITES = {"hetzner": "{$AGENT_DOMAIN}", "gateway": "agents.example"}
KEY, HOOK = "k" * 24, "g" * 24
WAIT_SECONDS = 20


def words(path):
    """A Caddyfile as directives within directives: name, then what it says and what is in it."""
    top, stack = {}, []
    stack.append(top)
    for line in path.read_text().splitlines():
        text = re.sub(r"(^|\s)#.*", "", line).strip()
        if text == "}":
            stack.pop()
        elif text.endswith("{") and not text.endswith("\\{"):
            name, _, rest = text[:-1].strip().partition(" ")
            inner = {"": rest}
            stack[-1][name] = inner
            stack.append(inner)
        elif text:
            name, _, rest = text.partition(" ")
            assert name not in stack[-1], f"{path}: {name} twice"
            stack[-1][name] = rest
    assert len(stack) == 1, f"{path}: braces do not close"
    return top


def seconds(text):
    return int(re.fullmatch(r"(\d+)(s|m)", text)[1]) * (60 if text.endswith("m") else 1)


def test_every_tls_end_is_known_here():
    """A file that is added is looked at, too."""
    assert FILES.keys() == UPSTREAMS.keys()


@pytest.mark.parametrize("name", FILES)
def test_one_site_one_upstream_and_no_administration_from_a_network(name):
    """Nothing is retried at a second one, and the caller's limits fit what is behind."""
    told = words(FILES[name])
    assert list(told) == ["", SITES[name]]
    assert told[""]["admin"] in ("off", "unix//var/lib/caddy/admin.sock")
    assert told[""]["servers"]["protocols"] == "h1 h2"
    site = told[SITES[name]]
    assert site.keys() <= {"", "header", "request_body", "reverse_proxy"}
    proxy = site["reverse_proxy"]
    assert proxy[""] == UPSTREAMS[name]
    assert not proxy.keys() & {"lb_retries", "lb_try_duration", "lb_retry_match", "to"}
    most, transport = site["request_body"]["max_size"], proxy["transport"]
    patience = seconds(transport["response_header_timeout"])
    assert patience * 1000 >= max(DEADLINES_MS.values()) + 5_000
    if name == "hetzner":
        assert (most, GITHUB_MAX_BYTES) == ("8MiB", 2**20)
        assert seconds(transport["keepalive"]) < 5  # after which the runtime closes
        port = re.search(r"PORT=(\d+)", (DEPLOY / "Dockerfile").read_text())
        assert proxy[""].endswith(f":{port[1]}")
    else:
        assert (most, Limits().body_bytes) == ("1MiB", 64 * 1024)
        assert seconds(transport["keepalive"]) < Limits().client_idle_seconds
        assert proxy["health_uri"] == "/ready"


def caddy(folder, *rest, **more):
    """Caddy with folders of its own."""
    if shutil.which("caddy") is None:
        pytest.skip("no caddy is on this system, so it did not judge deploy/*/Caddyfile")
    env = {name: str(folder) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
    env["AGENT_DOMAIN"] = "agent.example"
    return subprocess.Popen(
        [shutil.which("caddy"), *rest], env=env, cwd=ROOT, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **more,
    )  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_caddy_itself_accepts_it(name, tmp_path):
    """`caddy validate`, as an operator asks before a start."""
    words = ("validate", "--config", FILES[name], "--adapter", "caddyfile")
    with caddy(tmp_path, *words) as asked:
        said = asked.stderr.read()
    assert (asked.returncode, "warn" in said) == (0, False), said


def fronted(folder, port):
    """The fallback's file, on a socket, under an authority of its own, in front of `port`."""
    text = FILES["hetzner"].read_text()
    for old, new in (
        ("\tadmin off\n", "\tadmin off\n\tskip_install_trust\n\tauto_https disable_redirects\n"),
        ("{$AGENT_DOMAIN} {", f"{{$AGENT_DOMAIN}} {{\n\tbind unix/{folder}/c\n\ttls internal\n"),
        ("agent:3000", f"127.0.0.1:{port}"),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (folder / "Caddyfile").write_text(text)
    return folder / "Caddyfile"


async def served(folder):
    """A runtime in this process; its server, and the task that ends with it."""
    env = {
        "AGENT_MODE": "development", "HOST": "127.0.0.1", "PORT": "0", "PLANE_ID": "hetzner",
        "AGENT_SERVER_API_KEY": KEY, "GITHUB_WEBHOOK_SECRET": HOOK,
        "PAYMENTS_DB": str(folder / "p.db"), "AGENT_LOG_DIR": str(folder / "logs"),
    }  # fmt: skip
    server = Server(build(Settings.from_environ(env)))
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(WAIT_SECONDS):
        while not server.started:
            assert not task.done()
            await asyncio.sleep(0.01)
    return server, task


@asynccontextmanager
async def trusted(folder, child):
    """A client that trusts the authority, as soon as there is one."""
    root = folder / "caddy/pki/authorities/local/root.crt"
    end = time.monotonic() + WAIT_SECONDS
    while not (root.exists() and (folder / "c").is_socket()):
        assert child.poll() is None, child.stderr.read()
        assert time.monotonic() < end, "no certificate"
        await asyncio.sleep(0.02)
    context = ssl.create_default_context(cafile=root)
    way = httpx.AsyncHTTPTransport(uds=str(folder / "c"), verify=context)
    async with httpx.AsyncClient(
        transport=way, base_url="https://agent.example", timeout=10
    ) as client:
        while not await answers(client):  # it listens before its certificate is made
            assert time.monotonic() < end, "no handshake"
            await asyncio.sleep(0.02)
        yield client


async def answers(client):
    try:
        await client.get("/health")
    except httpx.ConnectError:
        return False
    return True


def delivery(size):
    """A webhook of GitHub's with a body of that size, blanks and other letters in it."""
    body = b'{"zen": "\xc3\xa9 '.ljust(size - 2, b"x") + b'"}'
    assert len(body) == size
    signed = hmac.new(HOOK.encode(), body, hashlib.sha256).hexdigest()
    headers = {
        "x-github-event": "ping", "x-github-delivery": f"delivery-{size}",
        "x-hub-signature-256": f"sha256={signed}", "content-type": "application/json",
    }  # fmt: skip
    return {"content": body, "headers": headers}


async def test_requests_webhooks_limits_and_headers_pass_through_caddy(tmp_path_factory):
    """Keys decide, raw bodies keep their signatures up to the runtime's own limit, no more."""
    folder = tmp_path_factory.mktemp("c")
    server, task = await served(folder)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        words = ("run", "--config", fronted(folder, port), "--adapter", "caddyfile")
        with caddy(folder, *words) as child:
            try:
                async with trusted(folder, child) as client:
                    await asked(client)
            finally:
                child.terminate()
                child.stderr.read()
    finally:
        server.should_exit = True
        await task


async def asked(client):
    health = await client.get("/health")
    assert (health.status_code, health.json()["plane"]) == (200, "hetzner")
    assert health.headers["strict-transport-security"] == "max-age=31536000"
    assert "server" not in health.headers
    help_ = {"text": "help", "author": "a", "type": "web"}
    for key, status in ((None, 401), ("wrong", 401), (KEY, 200)):
        headers = {"x-agent-api-key": key} if key else {}
        answer = await client.post("/process", json=help_, headers=headers)
        assert answer.status_code == status
    for size, status in ((200, 200), (GITHUB_MAX_BYTES, 200), (GITHUB_MAX_BYTES + 1, 413)):
        answer = await client.post("/webhook/github", **delivery(size))
        assert answer.status_code == status, (size, answer.text)
    forged = delivery(201)
    forged["headers"]["x-hub-signature-256"] = "sha256=" + "0" * 64
    assert (await client.post("/webhook/github", **forged)).status_code == 401
    assert json.loads(answer.text)["code"] == "body_too_large"
