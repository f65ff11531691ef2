"""Peers of a conductor on real sockets, and the parts it is made of, for tests."""

import asyncio
import inspect
import json
from pathlib import Path

import msgspec

from cutover.clock import ObservedClock
from cutover.conductor.engine import Engine
from cutover.decision.fact import Entry
from cutover.decision.run import Run
from cutover.errors import JournalError
from cutover.evidence.observation import (
    Attestation,
    CanaryRound,
    CanaryVerdict,
    GatewayReport,
    Readiness,
    Verdict,
)
from cutover.evidence.planes import Answer
from cutover.runbook.gate import Evidence
from cutover.runbook.load import load_text
from listening import Listening

RUNBOOKS = Path(__file__).parents[2] / "runbooks"
DEMO_TEXT = (RUNBOOKS / "demo.toml").read_text("utf-8")
DEMO = load_text(DEMO_TEXT, "demo.toml")
PHASED = load_text((RUNBOOKS / "phased.toml").read_text("utf-8"), "phased.toml")


class Ticks:
    """A clock that a test moves."""

    def __init__(self, ms=0):
        self.ms, self.wall = ms, 1_800_000_000_000

    def monotonic_ms(self):
        return self.ms

    def wall_ms(self):
        return self.wall + self.ms


class Memory:
    """A journal in memory that can refuse, or number what it keeps as somebody else would."""

    def __init__(self):
        self.entries, self.snapshots = [], {}
        self.fails = False
        self.shift = 0

    def append(self, facts, at_ms, wall_ms):
        if self.fails:
            raise JournalError("the disk is full")
        first = len(self.entries) + 1 + self.shift
        new = [Entry(first + n, at_ms, wall_ms, fact) for n, fact in enumerate(facts)]
        self.entries += new
        return new

    def save_snapshot(self, upto, data):
        self.snapshots[upto] = data
        return f"digest-of-{upto}"

    def kinds(self):
        return [type(entry.fact).__name__ for entry in self.entries]


def engine(memory=None, clock=None, runbook=DEMO, run=None):
    memory = Memory() if memory is None else memory
    ticks = Ticks() if clock is None else clock
    observed = ObservedClock(ticks)
    return Engine(runbook, run or Run(id="run-1"), memory, observed), memory, ticks


def ready(plane="phala", status=200):
    fine = status == 200
    return Readiness(plane, status, fine, fine, "ready" if fine else f"{status} no")


def canary(ok=True):
    failed = () if ok else ("near",)
    verdicts = tuple(CanaryVerdict(p, ok, failed, "said so") for p in ("hetzner", "phala"))
    return CanaryRound(True, verdicts)


def verdict(kind=Verdict.VERIFIED):
    return Attestation(
        "phala", kind, Evidence.VERIFIED, "build-1", ("said so",), tls_spki="ab" * 32
    )


def report(node="node-1", boot="b1", term=1, generation=1, **more):
    values = {
        "refused_generation": 0, "refused": "", "in_flight": 0, "lost": 0, "counts": (),
        "conversations": (), "keys_match": True,
    }  # fmt: skip
    return GatewayReport(node, boot, term, generation, **{**values, **more})


class Scripted:
    """A plane client that answers as told and remembers what was asked, and when."""

    def __init__(self, name):
        self.name, self.asked = name, []
        self.answers = {}

    async def _say(self, what):
        self.asked.append((asyncio.get_running_loop().time(), what))
        seconds, answer = self.answers.get(what, (0, Answer(200, {})))
        if seconds:
            await asyncio.sleep(seconds)
        return answer

    async def get(self, path, deadline_ms):
        return await self._say(path)

    async def canary(self, deadline_ms):
        return await self._say("canary")

    async def process(self, text, deadline_ms, *, idempotency_key=""):
        self.asked.append((idempotency_key, text))
        return await self._say("process")


class Asked(msgspec.Struct):
    """One request, as a peer saw it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self):
        return json.loads(self.body)


class Peer:
    """A server on a port of the system's choice.

    `routes` maps "METHOD /path" to (status, body), to raw bytes that end the connection, or to a
    function of the request that gives either; what is not there is 404.
    """

    def __init__(self, routes=None, tls=None):
        self.routes = routes or {}
        self.seen = []
        self._tls = tls

    async def __aenter__(self):
        self._listening = await Listening(self._serve, self._tls).start()
        self.url, self.port = self._listening.url, self._listening.port
        return self

    async def __aexit__(self, *_):
        await self._listening.stop()

    async def _serve(self, reader, writer):
        while True:
            asked = await _request(reader)
            self.seen.append(asked)
            answer = self.routes.get(f"{asked.method} {asked.path}", (404, {"error": "no"}))
            if callable(answer):
                answer = answer(asked)
            if inspect.isawaitable(answer):
                answer = await answer
            if answer == "reset":
                writer.transport.abort()
                return
            whole = isinstance(answer, bytes)
            writer.write(answer if whole else http(*answer))
            await writer.drain()
            if whole:
                return


async def _request(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *rest = head.split("\r\n")
    method, path, _ = line.split(" ")
    headers = dict(part.split(": ", 1) for part in rest if part)
    headers = {name.lower(): value for name, value in headers.items()}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Asked(method, path, headers, body)


def http(status, body, extra=""):
    """A whole answer as bytes."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return f"HTTP/1.1 {status} X\r\n{extra}content-length: {len(raw)}\r\n\r\n".encode() + raw


def refused_url():
    """An address where nobody listens."""
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{one.getsockname()[1]}"
