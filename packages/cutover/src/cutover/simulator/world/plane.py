"""A plane: the HTTP contract as the service answers it, with faults that can be set.

One that is not ready says why, and its key with it: what planes say must not be kept as it is. What
it executed is durable, as its own ledger would be: a repeated idempotency key gets the first
answer again, also from the process that replaced the one that crashed.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Callable
from random import Random  # noqa: TID251 - the type alone; the seed is passed in
from typing import Final, NamedTuple

import msgspec

from cutover.routing.classify import classify
from cutover.runbook.intent import Intent
from cutover.simulator.kernel.host import Host
from cutover.simulator.kernel.loop import SimulationLoop
from cutover.simulator.world import texts
from cutover.simulator.world.chain import SimulatedChain
from cutover.simulator.world.http import Answered, Headers, Server

PORT: Final = 80
WEBHOOK_SECONDS: Final = 300
WORK_MS: Final = (2.0, 12.0)
"""Least and most that an intent takes."""


class Secrets(NamedTuple):
    """What a plane shares with others: its `x-agent-api-key`, and a webhook secret."""

    key: str
    webhook: str


class Plane:
    """One deployment.

    Args:
        loop: of the simulation.
        name: of the plane, and of its host.
        secrets: that it shares with the gateway and with a payment service.
        chain: where it pays.
        chance: of the simulation.
        wall_ms: the wall clock, for the age of webhooks.

    Attributes:
        host: its process; None while it is down.
        ready: what `/ready` says; None to answer 503.
        failing: checks of the canary that fail.
        pays: whether payments succeed.
        hang: answers take for ever.
        instance: counts its starts.
        compose: what is deployed.
        tls_key: number of the key that it answers under.
        told: hears of every text that it was asked to execute, with its key.
    """

    def __init__(
        self, loop: SimulationLoop, name: str, secrets: Secrets, chain: SimulatedChain,
        chance: Random, wall_ms: Callable[[], int],
    ) -> None:  # fmt: skip
        self.name = name
        self.host: Host | None = None
        self.ready: bool | None = True
        self.failing: dict[str, str] = {}
        self.pays = True
        self.hang = False
        self.instance = 0
        self.compose = "compose-1"
        self.tls_key = 1
        self.told: Callable[[str, str], None] = lambda key, text: None  # noqa: ARG005 - nobody yet
        self.buried: list[Host] = []
        self._loop = loop
        self._key, self._secret = secrets
        self._wall_ms = wall_ms
        self._events: dict[str, None] = {}
        self._chain = chain
        self._chance = chance
        self._done: dict[str, str] = {}
        self._splits = 0
        self._never = asyncio.Event()  # holds on to whoever waits for it

    def identity(self) -> str:
        """What a quote of the running process is about."""
        return f"{self.compose}|instance-{self.instance}|key-{self.tls_key}"

    def spki(self) -> str:
        """SHA-256 of the TLS key that it answers under; a process that is replaced leaves it."""
        return hashlib.sha256(f"{self.name}, TLS key {self.tls_key}".encode()).hexdigest()

    def start(self) -> None:
        """Start its process."""
        self.instance += 1
        self.host = Host(self.name, self.instance)
        self.host.start(self._serve(), "serve")

    def crash(self) -> None:
        """End its process without a word."""
        if self.host is not None:
            self.host.kill()
            self.buried.append(self.host)
            self.host = None

    def bury(self) -> None:
        """At the end of a simulation."""
        self.crash()
        for host in self.buried:
            host.bury()

    async def _serve(self) -> None:
        await self._loop.create_server(lambda: Server(self.answer), self.name, PORT)

    async def respond(self) -> None:
        """Go on, unless it hangs: then never."""
        if self.hang:
            await self._never.wait()

    async def answer(self, method: str, path: str, headers: Headers, body: bytes) -> Answered:
        """Answer one request."""
        await self.respond()
        match method, path:
            case "GET", "/ready":
                fine = self.ready is True
                reasons = [] if fine else [f"the rail refuses {self._key}"]
                said = {"ready": bool(self.ready), "reasons": reasons}
                return (503 if self.ready is None else 200), _json(said)
            case "GET", "/health":
                return 200, _json(self._health())
            case "POST", "/canary/run":
                return 200, _json(self._canary())
            case "POST", "/process":
                return await self._process(headers, body)
            case "POST", "/webhook/pingpay":
                return self._webhook(headers, body)
            case _:
                return 404, _json({"error": "Not Found"})

    def _health(self) -> dict[str, object]:
        return {
            "status": "healthy",
            "version": "2.0.0",
            "services": {"teeWallet": "tee"},
            "compute": "Secure TEE (Phala dstack)",
            "readiness": {"ready": self.ready is True, "reasons": []},
            "instance": str(self.instance),
        }

    def _canary(self) -> dict[str, object]:
        checks: dict[str, object] = {
            name: {"ok": name not in self.failing, "details": self.failing.get(name, said)}
            for name, said in texts.CHECKS.items()
        }
        return {"ok": not self.failing, "checks": checks}

    async def _process(self, headers: Headers, body: bytes) -> Answered:
        if headers.get("x-agent-api-key") != self._key:
            return 401, _json({"error": "Unauthorized"})
        text = msgspec.json.decode(body)["text"]
        self.told(headers.get("idempotency-key", ""), text)
        await asyncio.sleep(self._chance.uniform(*WORK_MS) / 1000)
        said = self.execute(text, headers.get("idempotency-key", ""))
        await asyncio.sleep(self._chance.uniform(*WORK_MS) / 1000)
        return 200, _json({"response": said, "plane": self.name})

    def _webhook(self, headers: Headers, body: bytes) -> Answered:
        """Take a delivery that is signed, fresh and new."""
        at, event = headers.get("x-ping-timestamp", "0"), headers.get("x-ping-event-id", "")
        signed = f"{at}.".encode() + body
        good = hmac.new(self._secret.encode(), signed, hashlib.sha256).hexdigest()
        fits = hmac.compare_digest(good, headers.get("x-ping-signature", ""))
        fresh = abs(int(at) - self._wall_ms() // 1000) <= WEBHOOK_SECONDS
        if not fits or not fresh or event in self._events:
            return 401, _json({"error": "Invalid signature"})
        self._events[event] = None
        return 200, _json({"ok": True})

    def execute(self, text: str, key: str) -> str:
        """Do what a text asks for, once a key."""
        if key in self._done:
            return self._done[key]
        said = self._respond(classify(text), key)
        if key:
            self._done[key] = said
        return said

    def _respond(self, intent: Intent, key: str) -> str:
        match intent:
            case Intent.ANALYZE:
                return texts.analysis(len(self._done))
            case Intent.CREATE:
                self._splits += 1
                return texts.split(self._splits)
            case Intent.PAY if self.pays:
                return texts.payment(self._chain.pay(self.name, key))
            case Intent.PAY:
                return texts.FAILED
            case _:
                return texts.GUIDE


def _json(value: object) -> bytes:
    return msgspec.json.encode(value)
