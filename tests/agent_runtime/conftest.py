"""A world of stand-ins and planes of the runtime in it, over real sockets."""

import asyncio
import contextlib
import ssl
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest
import pytest_asyncio

from agent_runtime.main import Server
from agent_runtime.settings import Settings
from agent_runtime.wiring import Service, build
from sandbox.credentials import Credentials
from sandbox.faults import Rule
from sandbox.near import ledger
from sandbox.world import Options, World

API_KEY = "test-key"


@dataclass
class Plane:
    """One running runtime and a client of it."""

    service: Service
    server: Server
    client: httpx.AsyncClient
    tasks: list[Any] = field(default_factory=list)
    author: str = "tester"

    async def process(self, text, *, key=None, headers=None, **members):
        sent = {"x-agent-api-key": API_KEY, **(headers or {})}
        if key:
            sent["idempotency-key"] = key
        body = {"text": text, "author": self.author, "type": "web", **members}
        return await self.client.post("/process", json=body, headers=sent)

    async def say(self, text, **more):
        answer = await self.process(text, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()["response"]

    async def canary(self):
        return await self.client.post("/canary/run", headers={"x-agent-api-key": API_KEY})


def anybody():
    """TLS that believes every key: which one it was, a test looks up itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@contextlib.asynccontextmanager
async def running(environ):
    """Serve one plane on a port that the system chooses."""
    service = build(Settings.from_environ(environ))
    server = Server(service)
    task = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(10):
            while not server.started:
                assert not task.done()
                await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        base = f"http{'s' if service.attestor else ''}://127.0.0.1:{port}"
        async with httpx.AsyncClient(
            base_url=base, timeout=40, trust_env=False, verify=anybody()
        ) as client:
            yield Plane(service, server, client)
    finally:
        server.should_exit = True
        await task


def environ(tmp_path, **more):
    """A plane that is told nothing but where to listen and to write."""
    return {
        "HOST": "127.0.0.1",
        "PORT": "0",
        "PLANE_ID": "phala",
        "BUILD_REVISION": "r1",
        "AGENT_SERVER_API_KEY": API_KEY,
        "AGENT_CANARY_MONITOR": "false",  # nothing is asked that a test does not ask for
        "AGENT_KEYLESS_PAY": "execute",  # plans have tests of their own
        **_files(tmp_path),
        **more,
    }


def _files(tmp_path):
    return {
        "PAYMENTS_DB": str(tmp_path / "payments.db"),
        "AGENT_LOG_DIR": str(tmp_path / "logs"),
        "DSTACK_ENDPOINT": str(tmp_path / "no.sock"),
    }


@dataclass
class Rails:
    """The stand-ins, with switches and books."""

    world: World
    environ: dict[str, str]

    def fault(self, *rules):
        self.world.faults.replace([Rule(**rule) for rule in rules])

    def heal(self):
        self.world.faults.clear()

    @property
    def books(self):
        return ledger.dump(self.world.chain)

    def usdc(self, account):
        tokens = self.books["tokens"]
        return int(tokens[self.world.describe()["near"]["usdc"]]["balances"].get(account, 0))

    def transactions(self, receiver=None):
        found = self.books["transactions"]
        return [t for t in found if receiver is None or t["receiver"] == receiver]


@pytest.fixture(scope="session")
def credentials():
    """Making an RSA key takes longer than a test; all worlds of a session share one set."""
    return Credentials.generate()


@pytest.fixture
async def rails(tmp_path, credentials, monkeypatch):
    monkeypatch.setattr(Credentials, "generate", classmethod(lambda _: credentials))
    async with World(Options(block_seconds=0.01, rpc_wait_seconds=2.0)).running() as world:
        env = world.describe()["planes"]["phala"]["env"]
        yield Rails(world, environ(tmp_path, **env))


@pytest.fixture
async def plane(rails):
    async with running(rails.environ) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rails_of_module(tmp_path_factory, credentials):
    """Stand-ins that the tests of a module share: each asks as somebody else."""
    options = Options(block_seconds=0.01, rpc_wait_seconds=2.0)
    async with World(options, credentials).running() as world:
        env = world.describe()["planes"]["phala"]["env"]
        yield Rails(world, environ(tmp_path_factory.mktemp("shared"), **env))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plane_of_module(rails_of_module):
    """A plane among them."""
    async with running(rails_of_module.environ) as found:
        yield found


@pytest.fixture
def rails_shared(rails_of_module, tmp_path):
    """The shared stand-ins, well again after each test; a plane of its own has its own files."""
    yield replace(rails_of_module, environ={**rails_of_module.environ, **_files(tmp_path)})
    rails_of_module.heal()


@pytest.fixture
def plane_shared(plane_of_module, request):
    """The shared plane, asked by somebody of the test's own."""
    return replace(plane_of_module, author=request.node.name)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bare(tmp_path_factory):
    """A plane without any rail; the tests of a module share it."""
    told = environ(tmp_path_factory.mktemp("bare"), PING_PAY_WEBHOOK_SECRET="hook")
    async with running(told) as found:
        yield found


@pytest.fixture
def run_plane():
    """The way to start a plane with an environment of one's own."""
    return running


@pytest.fixture(scope="module")
def run_plane_of_module():
    """The same, for what the tests of a module share."""
    return running


@pytest.fixture(scope="session")
def told():
    """The least that a plane is told, and more of one's own."""
    return environ
