import base64
import functools
import json
from collections.abc import AsyncIterator

import httpx
import pytest

from sandbox.credentials import Credentials
from sandbox.near import genesis
from sandbox.near.payer import Payer
from sandbox.world import Options, World


@functools.cache
def _credentials() -> Credentials:
    return Credentials.generate()


class Client:
    """A caller of one world: JSON-RPC, the control endpoint, and payers on its chain."""

    def __init__(self, world: World, http: httpx.AsyncClient) -> None:
        self.world = world
        self.http = http
        self.urls = world.urls
        self.credentials = world.credentials

    def payer(self, plane="phala") -> Payer:
        return Payer(self.world.chain, genesis.AGENT, self.credentials.near.planes[plane])

    async def rpc(self, method, params, *, base=None):
        body = {"jsonrpc": "2.0", "id": "x", "method": method, "params": params}
        return await self.http.post(base or self.urls["near"], json=body)

    async def send(self, raw: bytes, wait_until="FINAL", **kwargs):
        params = {"signed_tx_base64": base64.b64encode(raw).decode(), "wait_until": wait_until}
        return (await self.rpc("send_tx", params, **kwargs)).json()

    async def view(self, contract, method, args, finality="optimistic"):
        params = {
            "request_type": "call_function",
            "finality": finality,
            "account_id": contract,
            "method_name": method,
            "args_base64": base64.b64encode(json.dumps(args).encode()).decode(),
        }
        result = (await self.rpc("query", params)).json()["result"]
        return json.loads(bytes(result["result"])) if "result" in result else result

    async def usdc_of(self, account) -> int:
        return int(await self.view(genesis.USDC, "ft_balance_of", {"account_id": account}))

    async def control(self, method, path, body=None, *, token=None):
        headers = {"authorization": f"Bearer {token or self.credentials.control_token}"}
        url = self.urls["control"] + path
        return await self.http.request(method, url, json=body, headers=headers)

    async def fault(self, **rule):
        answer = await self.control("PUT", "/faults", [rule])
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A running world on free ports whose chain makes fifty blocks a second."""
    options = Options(block_seconds=0.02, rpc_wait_seconds=0.4)
    async with (
        World(options, _credentials()).running() as world,
        httpx.AsyncClient(timeout=5, trust_env=False) as http,
    ):
        yield Client(world, http)


@pytest.fixture
def chain_and_payers():
    """A chain that makes blocks only when told to, and a payer for each plane's key."""
    keys = _credentials().near
    chain = genesis.begin(keys)
    return chain, {n: Payer(chain, genesis.AGENT, key) for n, key in keys.planes.items()}
