"""An attested plane on a TLS socket of the loopback, and a collateral service beside it."""

import asyncio
import contextlib
import hashlib
import json
import ssl
from urllib.parse import parse_qs, urlsplit

from attestation.world import NOW, Plane
from sandbox.tee import keys, tls
from sandbox.tee.pccs import Pccs
from sandbox.tee.serve import ServedPccs, Where
from sandbox.tee.settings import Collateral as Settings


class Clock:
    """Wall time that a test moves."""

    def __init__(self, now=NOW):
        self.now = now

    def wall_ms(self):
        return self.now * 1000

    def monotonic_ms(self):
        return self.now * 1000


HEALTH = {"version": "2.0.0", "services": {"teeWallet": "tee"}, "compute": "Intel TDX (dstack)"}


class Served:
    """Answers `/.well-known/attestation` with what `plane` says at that moment, and `/health`.

    `status`, `body` and `silent` bend the next evidence, `health` is what the plane says of itself;
    `key` is the TLS key of new connections.
    """

    def __init__(self, folder, clock):
        self.plane, self.clock = Plane(), clock
        self.folder = folder
        self.status, self.body, self.silent = 200, None, False
        self.asked = []
        self.health, self.asked_health = (200, HEALTH), 0
        self.bind(self.plane.machine.next_tls_key())

    def bind(self, key, *, stated=True):
        """Use a TLS key, and say so in the statement unless told not to."""
        machine = self.plane.machine
        wanted = tls.Wanted("plane", self.clock.now - 60, self.clock.now + 30 * 86_400)
        chain = tls.certificate_chain(machine.kms, machine.boot.app_id_bytes, key, wanted)
        (self.folder / "chain.pem").write_text("".join(chain))
        (self.folder / "key.pem").write_text(tls.key_pem(key))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.folder / "chain.pem", self.folder / "key.pem")
        if stated:
            self.plane.tls_spki = hashlib.sha256(keys.spki(key)).digest()

    @contextlib.asynccontextmanager
    async def running(self, *, secure=True):
        """Listen until the end of the block."""
        context = self.context if secure else None
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        self.url = f"http{'s' if secure else ''}://127.0.0.1:{port}"
        try:
            yield self
        finally:
            server.close()
            await server.wait_closed()

    async def _serve(self, reader, writer):
        with contextlib.suppress(ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"GET /health "):
                self.asked_health += 1
                await self._say(writer, self.health[0], json.dumps(self.health[1]).encode())
                return
            query = urlsplit(head.split()[1].decode()).query
            self.asked.append(parse_qs(query)["nonce"][0])
            if self.silent:
                await reader.read()
            await self._say(writer, self.status, self._body())
            return
        writer.close()

    async def _say(self, writer, status, body):
        first = f"HTTP/1.1 {status} x\r\ncontent-length: {len(body)}\r\n"
        writer.write(first.encode() + b"connection: close\r\n\r\n" + body)
        await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()

    def _body(self):
        if self.body is not None:
            return self.body
        self.plane.nonce = bytes.fromhex(self.asked[-1])
        self.plane.expires = self.clock.now + 300
        return json.dumps(self.plane.answer()).encode()


@contextlib.asynccontextmanager
async def pccs(clock, **settings):
    """A collateral service for the usual machine."""
    platform = Plane().machine.platform
    service = Pccs(platform, Settings.model_validate(settings), lambda: clock.now)
    async with ServedPccs(service, Where(token="t")).running() as served:
        yield served
