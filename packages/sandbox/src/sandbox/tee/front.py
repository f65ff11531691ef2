"""The way to a plane that speaks TLS itself, and somebody on it who has a key of his own.

    pass  bytes go through untouched: the caller's TLS ends in the plane, as with a passthrough name
    swap  TLS ends here, under a key and a certificate that the plane never had; what comes out of
          it goes on to the plane. A caller that checks the key hangs up before it says anything,
          so `bytes_read` stays 0.
    drop  connections are closed at once

A change of mode cuts every open connection. Control (bearer token, a port of its own):
`GET|PUT /mode {"mode": ...}`; the answer also counts connections and the bytes that were read.
"""

import asyncio
import contextlib
import secrets
import ssl
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, get_args

from sandbox.access import is_authorized
from sandbox.tee import keys, tls
from sandbox.tee.kms import Kms
from sandbox.web import (
    Answer,
    BodyTooLargeError,
    Receive,
    Scope,
    Send,
    Server,
    json_answer,
    read_request,
    send_answer,
)

Mode = Literal["pass", "swap", "drop"]
_CHUNK: Final = 1 << 16
_STOP_SECONDS_MAX: Final = 2.0
_LONG_AGO, _FAR_AWAY = 1_514_764_800, 4_102_444_800


@dataclass(slots=True)
class Front:
    """A listening port before an upstream that speaks TLS.

    Attributes:
        upstream: host and port.
        token: of the control endpoint.
        name: that the swapped certificate is made out to.
    """

    upstream: tuple[str, int]
    token: str = field(repr=False)
    name: str = "localhost"
    host: str = "127.0.0.1"
    port: int = 0
    control_port: int = 0
    mode: Mode = "pass"
    counts: Counter[str] = field(default_factory=Counter)
    control: str = ""
    _inner: tuple[str, int] = ("", 0)
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _handlers: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        """Where it listens, known once running."""
        return f"https://{self.host}:{self.port}"

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Front"]:
        """Listen until the end of the block; raises OSError when an address is taken."""
        inner = await asyncio.start_server(self._swapped, "127.0.0.1", 0, ssl=_impostor(self.name))
        outer = await asyncio.start_server(self._taken, self.host, self.port)
        desk = Server(self._desk, host=self.host, port=self.control_port)
        try:
            self._inner = inner.sockets[0].getsockname()[:2]
            self.port = outer.sockets[0].getsockname()[1]
            await desk.start()
            self.control = desk.url
            yield self
        finally:
            for server in (outer, inner):
                server.close()
            self._cut()
            if self._handlers:
                await asyncio.wait(self._handlers, timeout=_STOP_SECONDS_MAX)
            await asyncio.gather(outer.wait_closed(), inner.wait_closed(), desk.stop())

    def switch(self, mode: Mode) -> None:
        """Change the mode and cut what is open."""
        self.mode = mode
        self._cut()

    def state(self) -> dict[str, Any]:
        """Return mode and counts."""
        known = {"connections": 0, "bytes_read": 0}
        return {"mode": self.mode, "counts": {**known, **self.counts}}

    def _cut(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    def _remember_handler(self) -> None:
        """The end waits for this connection's task, so that none is left behind."""
        task = asyncio.current_task()
        if task is not None:
            self._handlers.add(task)
            task.add_done_callback(self._handlers.discard)

    async def _taken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry a connection on to the plane or to the impostor, without looking into it."""
        self._remember_handler()
        self.counts["connections"] += 1
        if self.mode == "drop":
            writer.transport.abort()
            return
        target = self._inner if self.mode == "swap" else self.upstream
        await self._join(reader, writer, target, None)

    async def _swapped(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read what a caller says to the wrong key, and carry it on."""
        self._remember_handler()
        believes_all = ssl.create_default_context()
        believes_all.check_hostname = False
        believes_all.verify_mode = ssl.CERT_NONE
        await self._join(reader, writer, self.upstream, believes_all)

    async def _join(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        target: tuple[str, int],
        context: ssl.SSLContext | None,
    ) -> None:
        self._open.add(writer)
        try:
            there = await asyncio.open_connection(*target, ssl=context)
        except OSError:
            self.counts["upstream_failed"] += 1
            self._close(writer)
            return
        self._open.add(there[1])
        counter = "bytes_read" if context is not None else "bytes_passed"
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pump(reader, there[1], counter))
                tasks.create_task(self._pump(there[0], writer, "bytes_answered"))
        finally:
            self._close(writer)
            self._close(there[1])

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counter: str
    ) -> None:
        # Either end may break off at any byte: that ends the connection, which is the news.
        with contextlib.suppress(OSError, ssl.SSLError):
            while chunk := await reader.read(_CHUNK):
                self.counts[counter] += len(chunk)
                writer.write(chunk)
                await writer.drain()
        self._close(writer)

    def _close(self, writer: asyncio.StreamWriter) -> None:
        self._open.discard(writer)
        writer.close()

    async def _desk(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            request = await read_request(scope, receive)
        except BodyTooLargeError:
            await send_answer(send, json_answer({"error": "body too large"}, 413))
            return
        if not is_authorized(request, self.token):
            answer = json_answer({"error": "the control token is required"}, 401)
        elif request.path != "/mode" or request.method not in {"GET", "PUT"}:
            answer = json_answer({"error": "GET or PUT /mode is expected"}, 404)
        else:
            answer = self._moded(request.method, request.json_object().get("mode"))
        await send_answer(send, answer)

    def _moded(self, method: str, wanted: object) -> Answer:
        if method == "PUT":
            mode: Mode | None = next((m for m in get_args(Mode) if m == wanted), None)
            if mode is None:
                known = ", ".join(get_args(Mode))
                return json_answer({"error": f"mode: one of {known} is expected"}, 422)
            self.switch(mode)
        return json_answer(self.state())


def _impostor(name: str) -> ssl.SSLContext:
    """Return TLS under a fresh key, with a certificate that says the right name."""
    seed = secrets.token_bytes(32)
    key = keys.p256(seed, "impostor")
    wanted = tls.Wanted(name, _LONG_AGO, _FAR_AWAY, (name,))
    chain = tls.certificate_chain(Kms(seed), bytes(20), key, wanted)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with tempfile.TemporaryDirectory(prefix="sandbox-front-") as folder:
        path = Path(folder, "tls.pem")
        path.write_text(tls.key_pem(key) + "".join(chain[:2]))
        context.load_cert_chain(path)
    return context
