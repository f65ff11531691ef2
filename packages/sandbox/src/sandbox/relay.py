"""A link between two programs that can be cut, slowed or falsified while both go on running.

Between a gateway and the conductor it passes whole HTTP messages, long polls included. Modes:

    pass     everything goes through
    drop     a partition: no answer to anything, open polls are cut
    delay    every request waits `delay_ms` first
    corrupt  a routing table in an answer to `GET /v1/table*` gets a share of 20000 basis points

Control (bearer token of the state file, on a port of its own): `GET` or `PUT /mode`
`{"mode": ..., "delay_ms": ...}`; the answer also counts what was forwarded, dropped, corrupted.
"""

import argparse
import asyncio
import json
import os
import secrets
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, get_args
from urllib.parse import urlsplit

import httpx

from sandbox.access import is_authorized
from sandbox.files import write_json_atomically
from sandbox.processes import stop_event
from sandbox.web import (
    Answer,
    BodyTooLargeError,
    Receive,
    Request,
    Scope,
    Send,
    Server,
    cut,
    json_answer,
    read_request,
    send_answer,
)

Mode = Literal["pass", "drop", "delay", "corrupt"]
CORRUPT_BP: Final = 20_000
POLL_SECONDS_MAX: Final = 35.0
_MODES: Final = get_args(Mode)
_DELAY_MS_MAX: Final = 600_000
_HOP: Final = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "host"}
    | {"content-length", "proxy-authenticate", "proxy-authorization", "content-encoding"}
    | {"accept-encoding"}
)


def corrupt_table(value: Any) -> bool:
    """Set the first `candidate_bp` found in a JSON value to 20000; say whether one was found."""
    if isinstance(value, dict):
        if "candidate_bp" in value:
            value["candidate_bp"] = CORRUPT_BP
            return True
        return any(corrupt_table(part) for part in value.values())
    return isinstance(value, list) and any(corrupt_table(part) for part in value)


@dataclass(slots=True)
class Link:
    """The state of the link."""

    mode: Mode = "pass"
    delay_ms: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def switch(self, mode: Mode, delay_ms: int) -> None:
        """Change the mode; whoever waits for a partition learns of it at once."""
        self.mode, self.delay_ms = mode, delay_ms
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def wait_dropped(self) -> None:
        """Return when the link is cut."""
        while self.mode != "drop":
            await self._changed.wait()

    def state(self) -> dict[str, Any]:
        """Return mode and counts."""
        return {"mode": self.mode, "delay_ms": self.delay_ms, "counts": dict(self.counts)}


@dataclass(frozen=True, slots=True)
class Relay:
    """The forwarding application."""

    link: Link
    client: httpx.AsyncClient

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward one request, unless the link is (or gets) cut."""
        try:
            request = await read_request(scope, receive)
        except BodyTooLargeError:
            await send_answer(send, json_answer({"error": "body too large"}, 413))
            return
        answer = await self._unless_dropped(request, scope["query_string"].decode("latin-1"))
        if answer is None:
            self.link.counts["dropped"] += 1
            cut(scope, hard=True)
            await receive()
            return
        await send_answer(send, answer)

    async def _unless_dropped(self, request: Request, query: str) -> Answer | None:
        forward = asyncio.create_task(self._forward(request, query))
        dropped = asyncio.create_task(self.link.wait_dropped())
        try:
            await asyncio.wait({forward, dropped}, return_when=asyncio.FIRST_COMPLETED)
            return None if self.link.mode == "drop" else await forward
        finally:
            for task in (forward, dropped):
                task.cancel()

    async def _forward(self, request: Request, query: str) -> Answer:
        if self.link.mode == "drop":
            await asyncio.Event().wait()  # never sent; the partition ends this task
        if self.link.mode == "delay":
            await asyncio.sleep(self.link.delay_ms / 1000)
        headers = {n: v for n, v in request.headers.items() if n not in _HOP}
        target = request.path + (f"?{query}" if query else "")
        try:
            answer = await self.client.request(
                request.method, target, content=request.body, headers=headers
            )
        except httpx.HTTPError as error:
            self.link.counts["upstream_failed"] += 1
            reason = f"upstream: {type(error).__name__}"
            return json_answer({"error": reason, "code": "upstream_unreachable"}, 502)
        self.link.counts["forwarded"] += 1
        kept = {n: v for n, v in answer.headers.items() if n.lower() not in _HOP}
        return Answer(answer.status_code, self._maybe_corrupted(request, answer.content), kept)

    def _maybe_corrupted(self, request: Request, body: bytes) -> bytes:
        is_table = request.method == "GET" and request.path.startswith("/v1/table")
        if self.link.mode != "corrupt" or not is_table:
            return body
        try:
            value = json.loads(body)
        except ValueError:
            return body
        if not corrupt_table(value):
            return body
        self.link.counts["corrupted"] += 1
        return json.dumps(value).encode()


@dataclass(frozen=True, slots=True)
class RelayControl:
    """The control endpoint of a link."""

    link: Link
    token: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        try:
            answer = self._answer(await read_request(scope, receive))
        except BodyTooLargeError:
            answer = json_answer({"error": "body too large"}, 413)
        await send_answer(send, answer)

    def _answer(self, request: Request) -> Answer:
        if not is_authorized(request, self.token):
            return json_answer({"error": "the control token is required"}, 401)
        if request.path != "/mode" or request.method not in {"GET", "PUT"}:
            return json_answer({"error": "GET or PUT /mode is expected"}, 404)
        if request.method == "PUT":
            body = request.json_object()
            mode: Mode | None = next((m for m in _MODES if m == body.get("mode")), None)
            delay_ms = body.get("delay_ms", 0)
            if mode is None or not isinstance(delay_ms, int):
                known = ", ".join(_MODES)
                return json_answer({"error": f"mode: one of {known} is expected"}, 422)
            self.link.switch(mode, min(max(0, delay_ms), _DELAY_MS_MAX))
        return json_answer(self.link.state())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--listen", type=_address, default=("127.0.0.1", 0), metavar="HOST:PORT")
    parser.add_argument("--upstream", type=_http_url, required=True, help="http://host:port")
    parser.add_argument("--state-file", type=Path, required=True, help="gets url, control, token")


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise argparse.ArgumentTypeError(f"HOST:PORT is expected, not {text!r}")
    return host, int(port)


def _http_url(text: str) -> str:
    if urlsplit(text).scheme not in {"http", "https"}:
        raise argparse.ArgumentTypeError(f"an http URL is expected, not {text!r}")
    return text


def run(arguments: argparse.Namespace) -> int:
    """Relay until SIGTERM."""
    return asyncio.run(_run(arguments))


async def _run(arguments: argparse.Namespace) -> int:
    stop = stop_event()
    link, token = Link(), secrets.token_hex(32)
    host, port = arguments.listen
    timeout = httpx.Timeout(POLL_SECONDS_MAX + 5, connect=5)
    limits = httpx.Limits(max_connections=256, max_keepalive_connections=64)
    async with httpx.AsyncClient(
        base_url=arguments.upstream, timeout=timeout, limits=limits, trust_env=False
    ) as client:
        servers = [
            Server(Relay(link, client), host=host, port=port),
            Server(RelayControl(link, token), host=host),
        ]
        try:
            for server in servers:
                await server.start()
            urls = {"url": servers[0].url, "control": servers[1].url, "control_token": token}
            write_json_atomically(arguments.state_file, {"pid": os.getpid(), **urls})
            sys.stdout.write(f"relaying {servers[0].url} to {arguments.upstream}\n")
            sys.stdout.flush()
            await stop.wait()
        finally:
            for server in servers:
                await server.stop()
    return 0
