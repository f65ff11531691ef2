"""The world around a gateway under test: a plane that can misbehave, a conductor, a raw client."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import msgspec

from cutover.evidence.wire import Grant, NodeReport
from cutover.gateway.config import GatewayConfig, Limits, PlaneEndpoint, to_json
from cutover.routing.table import Route, RoutingTable
from cutover.runbook.intent import Intent
from listening import Listening

CLIENT_KEY = "client-key"
TOKEN = "gateway-token"
PLANE_KEYS = {"hetzner": "key-of-hetzner", "phala": "key-of-phala"}
NEAR_HASH = "9xPdQtoMHFSHyzd1RUpBbYvpzZ4bFxXuT1bTqHnA4xEr"
PAID = f"✅ Distributed 1 USDC to 1 contributors!\n🔗 Transaction: {NEAR_HASH}"


async def until(condition, seconds=30.0, what="condition"):
    """Wait until a condition holds; polls, because it lies in other processes."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} did not come about in {seconds} s"
        await asyncio.sleep(0.005)


@dataclass
class Seen:
    """One request as a plane saw it."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes
    at: float
    nth: int  # of its connection, from 1

    def header(self, name):
        return [value for key, value in self.headers if key == name]


async def read_message(reader):
    """Read one HTTP message, chunked bodies included; None at a clean end."""
    head = await reader.readuntil(b"\r\n\r\n")
    line, *rest = head.decode("latin-1").split("\r\n")[:-2]
    headers = [(n.strip().lower(), v.strip()) for n, _, v in (h.partition(":") for h in rest)]
    found = dict(headers)
    if found.get("transfer-encoding", "").lower() == "chunked":
        body = b""
        while size := int((await reader.readline()).split(b";")[0], 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readuntil(b"\r\n")
    else:
        body = await reader.readexactly(int(found.get("content-length", 0)))
    return line, headers, body


def whole(body, status="200 OK", extra=""):
    return (
        f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{extra}"
        f"content-length: {len(body)}\r\n\r\n"
    ).encode() + body


def text(said):
    return whole(json.dumps({"response": said}).encode())


class Plane:
    """A plane on loopback; `misbehave(seen, writer)` returns True when it dealt with a request."""

    def __init__(self, tls=None):
        self.tls = tls
        self.seen = []
        self.answer = text("📊 Analysis for github.com/o/r")
        self.misbehave = None
        self.writers = set()
        self.server = None
        self.port = 0

    async def start(self):
        self.server = await Listening(self._serve, self.tls).start(self.port)
        self.port = self.server.port
        return self

    @property
    def url(self):
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    async def stop(self):
        await self.server.stop()

    async def restart(self):
        await self.stop()
        await self.start()

    async def _serve(self, reader, writer):
        self.writers.add(writer)
        nth = 0
        try:
            while True:
                line, headers, body = await read_message(reader)
                nth += 1
                seen = Seen(line, headers, body, time.monotonic(), nth)
                self.seen.append(seen)
                if self.misbehave is not None and await self.misbehave(seen, writer):
                    return
                answer = self.answer(seen) if callable(self.answer) else self.answer
                writer.write(answer)
                await writer.drain()
        finally:
            self.writers.discard(writer)


class Conductor:
    """A conductor on loopback: one table to offer, all reports kept."""

    def __init__(self):
        self.table = None
        self.offer_always = False  # a conductor that does not look at what the node has
        self.reports = []
        self.refuse_reports = 0
        self.money_ms = 60_000
        self.grant = None  # what it answers to reports instead of a grant, bytes
        self.server = None
        self.port = 0
        self.changed = asyncio.Event()
        self.asked = []

    async def start(self):
        self.server = await Listening(self._serve).start(self.port)
        self.port = self.server.port
        return self

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    async def stop(self):
        await self.server.stop()

    def offer(self, table, *, always=False):
        self.table, self.offer_always = table, always
        self.changed.set()

    def last(self):
        return self.reports[-1][1] if self.reports else None

    def totals(self):
        """Cumulative counts by (plane, intent, outcome), over generations; one boot only."""
        cells = {}
        for _, report in self.reports:
            for c in report.counts:
                cells[report.boot, c.generation, c.intent, c.plane, c.outcome] = c.n
        total = Counter()
        for (_, _, intent, plane, outcome), n in cells.items():
            total[plane, intent, outcome] += n
        return total

    async def _serve(self, reader, writer):
        while True:
            line, headers, body = await read_message(reader)
            assert ("authorization", f"Bearer {TOKEN}") in headers
            if line.startswith("POST /v1/report"):
                writer.write(self._take(body))
            else:
                writer.write(await self._table(line))
            await writer.drain()

    def _take(self, body):
        if self.refuse_reports:
            self.refuse_reports -= 1
            return b"HTTP/1.1 500 no\r\ncontent-length: 0\r\n\r\n"
        self.reports.append((time.monotonic(), msgspec.json.decode(body, type=NodeReport)))
        if self.grant is not None:
            return whole(self.grant)
        table = self.table
        granted = Grant(table.run if table else "", table.term if table else 1, self.money_ms)
        return whole(msgspec.json.encode(granted))

    async def _table(self, line):
        query = dict(pair.split("=") for pair in line.split()[1].partition("?")[2].split("&"))
        self.asked.append(query | {"at": time.monotonic()})
        has = (int(query["term"]), int(query["generation"]))
        run = query["run"]
        wait = min(int(query["wait_ms"]) / 1000, 5)
        end = time.monotonic() + wait
        while time.monotonic() < end:
            table = self.table
            newer = table and (table.run != run or (table.term, table.generation) > has)
            if newer or (table and self.offer_always):
                return whole(msgspec.json.encode(table))
            self.changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.changed.wait(), max(0.001, end - time.monotonic()))
        return b"HTTP/1.1 204 No Content\r\n\r\n"


def table(
    generation=1, *, share=0, term=1, run="run-1", active="hetzner", pay=0, refuse=(), leased=True,
    spki=None,
):  # fmt: skip
    routes = {intent: Route(share) for intent in Intent}
    for intent in (Intent.PAY, Intent.PLAN, Intent.UNKNOWN):
        routes[intent] = Route(pay, tuple(refuse), "payments are paused" if refuse else "")
    return RoutingTable(
        generation=generation, term=term, run=run, salt="salt", fallback="hetzner",
        candidate="phala", active=active, stage="test", routes=routes, leased=leased,
        candidate_spki=spki,
    )  # fmt: skip


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    closed: bool = False

    def json(self):
        return json.loads(self.body)


class Raw:
    """One client connection that can send anything."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, url):
        host, _, port = url.removeprefix("http://").partition(":")
        return cls(*await asyncio.open_connection(host, int(port)))

    async def send(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, seconds=10):
        async with asyncio.timeout(seconds):
            line, headers, body = await read_message(self.reader)
        return Answer(int(line.split()[1]), dict(headers), body)

    async def ended(self, seconds=5):
        async with asyncio.timeout(seconds):
            try:
                return await self.reader.read(1) == b""
            except ConnectionError:
                return True

    async def ask(self, said="analyze o/r", author="u1", **extra):
        await self.send(process(said, author, **extra))
        return await self.answer()

    def close(self):
        self.writer.close()

    async def wait_closed(self):
        self.writer.transport.abort()
        with contextlib.suppress(OSError):  # the node may have ended it in its own way
            await self.writer.wait_closed()


def request(method, path, body=b"", headers=(), key=CLIENT_KEY):
    lines = [f"{method} {path} HTTP/1.1", "host: gateway"]
    if key:
        lines.append(f"x-agent-api-key: {key}")
    lines += [f"{name}: {value}" for name, value in headers]
    if method != "GET" and not any(n.lower() == "transfer-encoding" for n, _ in headers):
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def process(said="analyze o/r", author="u1", *, headers=(), key=CLIENT_KEY, **more):
    body = json.dumps({"text": said, "author": author, "type": "web", **more}).encode()
    return request("POST", "/process", body, headers, key)


@dataclass
class Node:
    """A gateway node under test."""

    config: GatewayConfig
    environment: dict[str, str]
    process: subprocess.Popen | None = None
    said: str = ""  # what it wrote to standard error, once it has stopped

    async def start(self):
        self.process = subprocess.Popen(  # noqa: ASYNC220 (it has started when this returns)
            [sys.executable, str(Path(__file__).with_name("launch.py"))],
            stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | self.environment,
        )  # fmt: skip
        self.process.stdin.write(to_json(self.config))
        self.process.stdin.close()
        await until(self._is_up, what="the node's address")
        return self

    def _is_up(self):
        if self.process.poll() is not None:
            raise AssertionError(self.process.stderr.read().decode())
        path = self.config.state_dir / "node.json"
        return path.exists() and json.loads(path.read_bytes())["pid"] == self.process.pid

    @property
    def url(self):
        return json.loads((self.config.state_dir / "node.json").read_bytes())["url"]

    @property
    def port(self):
        return int(self.url.rpartition(":")[2])

    def workers(self):
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    async def stop(self):
        self.process.send_signal(signal.SIGTERM)
        await until(lambda: self.process.poll() is not None, 20, "the node's end")
        self.said = self.process.stderr.read().decode()
        self.process.stderr.close()
        return self.process.returncode

    def kill(self):
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stderr.close()


def config(tmp_path, planes, conductor_url, /, **changes):
    defaults = {
        "node": "node-1", "host": "127.0.0.1", "port": 0, "workers": 1,
        "client_keys": (CLIENT_KEY,),
        "planes": {n: PlaneEndpoint(p.url, PLANE_KEYS[n]) for n, p in planes.items()},
        "conductor_url": conductor_url, "gateway_token": TOKEN,
        "state_dir": tmp_path / "node", "limits": Limits(read_seconds=1.0, drain_seconds=5.0),
        "report_every_ms": 100,
    }  # fmt: skip
    return GatewayConfig(**(defaults | changes))
