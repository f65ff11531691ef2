"""One world: every stand-in on a port of its own, one control endpoint, one file that tells all."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sandbox import people
from sandbox.control import Control
from sandbox.credentials import APP_ID, BOT_FID, NETWORK, PLANES, Credentials, address_env
from sandbox.faults import Faults
from sandbox.files import write_json_atomically
from sandbox.near import genesis
from sandbox.near.payer import Payer
from sandbox.near.rpc import NearRpc
from sandbox.rails import webhooks
from sandbox.rails.eigenai import EigenAI
from sandbox.rails.github import GitHub
from sandbox.rails.hot import Hot
from sandbox.rails.neynar import Neynar
from sandbox.rails.ping import Ping
from sandbox.rails.webhooks import Webhooks
from sandbox.standin import Service, StandIn
from sandbox.web import Server

SERVICES: Final = ("github", "near", "ping", "hot", "eigenai", "neynar")


@dataclass(frozen=True, slots=True)
class Options:
    """How a world is made; ports that are not given are chosen by the system.

    Attributes:
        host: the address to listen on.
        ports: port by service name, `control` included.
        block_seconds: pace of the chain; 0 makes blocks only when the control endpoint says so.
        finality_lag: how many blocks the final one is behind.
        rpc_wait_seconds: how long a NEAR call may wait for a transaction.
    """

    host: str = "127.0.0.1"
    ports: Mapping[str, int] = field(default_factory=dict)
    block_seconds: float = 0.1
    finality_lag: int = 2
    rpc_wait_seconds: float = 10.0


class World:
    """Everything outside the product, made of one set of (by default fresh) credentials."""

    def __init__(self, options: Options, credentials: Credentials | None = None) -> None:
        self.credentials = credentials or Credentials.generate()
        near_keys = self.credentials.near
        self.faults = Faults({plane: key.public for plane, key in near_keys.planes.items()})
        self.chain = genesis.begin(near_keys, finality_lag=options.finality_lag)
        self.calls: Counter[str] = Counter()
        self._options = options
        secret = self.credentials
        self.neynar = Neynar(secret.neynar_key, secret.neynar_signer, BOT_FID)
        sponsor = Payer(self.chain, genesis.SPONSOR, near_keys.sponsor)
        decimals = {genesis.USDC: 6, genesis.WRAP: 24}
        self.hot = Hot(secret.hot_jwt, genesis.AGENT, sponsor, decimals)
        treasury = Payer(self.chain, genesis.TREASURY, secret.near.treasury)
        tokens = {"USDC": genesis.USDC, "NEAR": genesis.WRAP}
        self.ping = Ping(secret.ping_key, treasury, tokens)
        applications = {
            name: StandIn(service, self.faults, self.calls)
            for name, service in self._services().items()
        }
        self._servers = {
            name: Server(app, host=options.host, port=options.ports.get(name, 0))
            for name, app in applications.items()
        }
        control = Control(
            self.credentials.control_token,
            self.faults,
            self.chain,
            self._senders(),
            self.neynar.casts,
            self.calls,
            {"/hot/pay": self.hot.pay},
        )
        port = options.ports.get("control", 0)
        self._servers["control"] = Server(control, host=options.host, port=port)

    def _services(self) -> dict[str, Service]:
        secret = self.credentials
        return {
            "github": GitHub(
                app_id=APP_ID,
                app_public_pem=secret.app_public_pem,
                personal_token=secret.github_token,
            ),
            "near": NearRpc(self.chain, NETWORK, self._options.rpc_wait_seconds),
            "ping": self.ping,
            "hot": self.hot,
            "eigenai": EigenAI(secret.operator, secret.wallet.address),
            "neynar": self.neynar,
        }

    def _senders(self) -> dict[str, Webhooks]:
        secret = self.credentials
        return {
            "ping": Webhooks(secret.ping_webhook_secret, webhooks.ping),
            "github": Webhooks(secret.github_webhook_secret, webhooks.github),
            "neynar": Webhooks(secret.farcaster_webhook_secret, webhooks.neynar),
            "hot": Webhooks("", self.hot.delivery),
        }

    @property
    def urls(self) -> dict[str, str]:
        """Base URL by service, `control` included; known once running."""
        return {name: server.url for name, server in self._servers.items()}

    @asynccontextmanager
    async def running(self) -> AsyncIterator["World"]:
        """Listen on every port and keep the chain going; stop everything at the end."""
        blocks: asyncio.Task[None] | None = None
        try:
            for server in self._servers.values():
                await server.start()
            if self._options.block_seconds > 0:
                blocks = asyncio.create_task(self.chain.run(self._options.block_seconds))
            yield self
        finally:
            if blocks is not None:
                blocks.cancel()
                await asyncio.wait([blocks])
            await asyncio.gather(*(server.stop() for server in self._servers.values()))

    def describe(self) -> dict[str, Any]:
        """Return what `world.json` says. It holds secrets."""
        urls = self.urls
        env = self.credentials.common_env(urls)
        return {
            "version": 1,
            "pid": os.getpid(),
            "services": {name: urls[name] for name in SERVICES},
            "control": urls["control"],
            "control_token": self.credentials.control_token,
            "env": env,
            "planes": {plane: self._plane(plane, env) for plane in PLANES},
            "near": {
                "network": env["NEAR_NETWORK_ID"],
                "account": genesis.AGENT,
                "contract": genesis.SPLITS,
                "usdc": genesis.USDC,
                "wrap": genesis.WRAP,
            },
            "eigenai_operator": self.credentials.operator.address.lower(),
            "payable": list(people.WITH_SPLIT),
        }

    def _plane(self, plane: str, env: Mapping[str, str]) -> dict[str, Any]:
        """Return one plane's variables, and its marked addresses (see `standin`)."""
        key = self.credentials.near.planes[plane]
        own = {"NEAR_PRIVATE_KEY": key.secret}
        marked = {name: f"{self.urls[name]}/~{plane}" for name in SERVICES}
        return {
            "near_public_key": key.public,
            "env": {**env, **own},
            "marked_env": {**env, **own, **address_env(marked)},
        }

    def write(self, state_dir: Path) -> Path:
        """Write `world.json` (mode 0600) and return its path; raises OSError."""
        path = state_dir / "world.json"
        write_json_atomically(path, self.describe())
        return path
