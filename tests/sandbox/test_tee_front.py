"""Somebody on the way to a plane with a key of his own: who checks the key tells him nothing."""

import asyncio
import hashlib
import ssl
from contextlib import asynccontextmanager

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sandbox.tee import keys, tls
from sandbox.tee.front import Front
from sandbox.tee.machine import Machine

MACHINE = Machine(b"front tests", nonce="0")
KEY = MACHINE.next_tls_key()
TOKEN = "front token"
PIN = hashlib.sha256(keys.spki(KEY)).digest()


def plane_tls(folder):
    wanted = tls.Wanted("plane.test", 1_514_764_800, 4_102_444_800, ("plane.test",))
    chain = tls.certificate_chain(MACHINE.kms, MACHINE.boot.app_id_bytes, KEY, wanted)
    path = folder / "plane.pem"
    path.write_text(tls.key_pem(KEY) + "".join(chain))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    return context


async def echo(reader, writer):
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()


@pytest.fixture
async def front(tmp_path):
    """A front before a plane that says every line back."""
    plane = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=plane_tls(tmp_path))
    async with plane:
        upstream = plane.sockets[0].getsockname()
        async with Front(upstream, TOKEN, name="plane.test").running() as found:
            yield found


@asynccontextmanager
async def connected(front):
    """Connect and say nothing; yield the streams and the hash of the key that was shown."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(
        front.host, front.port, ssl=context, server_hostname="plane.test"
    )
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    try:
        yield reader, writer, _pin(der)
    finally:
        writer.transport.abort()


def _pin(der):
    key = x509.load_der_x509_certificate(der).public_key()
    return hashlib.sha256(
        key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ).digest()


async def control(front, method, body=None, token=TOKEN):
    async with httpx.AsyncClient(trust_env=False) as http:
        headers = {"authorization": f"Bearer {token}"}
        return await http.request(method, f"{front.control}/mode", json=body, headers=headers)


async def said_back(reader, writer, line=b"hello\n"):
    writer.write(line)
    return await asyncio.wait_for(reader.readline(), 5)


async def test_what_passes_ends_in_the_plane_under_its_own_key(front):
    async with connected(front) as (reader, writer, pin):
        assert pin == PIN
        assert await said_back(reader, writer) == b"hello\n"
    assert front.state()["counts"]["bytes_read"] == 0


async def test_a_swapped_key_is_another_one_and_reads_only_what_it_is_told(front):
    assert (await control(front, "PUT", {"mode": "swap"})).json()["mode"] == "swap"
    async with connected(front) as (reader, writer, pin):
        assert pin != PIN
        assert front.state()["counts"]["bytes_read"] == 0
        assert await said_back(reader, writer) == b"hello\n"
        counts = (await control(front, "GET")).json()["counts"]
        assert (counts["connections"], counts["bytes_read"]) == (1, 6)


async def test_a_change_cuts_what_is_open(front):
    async with connected(front) as (reader, writer, _):
        assert await said_back(reader, writer) == b"hello\n"
        await control(front, "PUT", {"mode": "swap"})
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), 5)


async def test_dropped_connections_get_no_handshake(front):
    await control(front, "PUT", {"mode": "drop"})
    with pytest.raises(OSError, match=r"\w"):
        async with connected(front):
            pass
    await control(front, "PUT", {"mode": "pass"})
    async with connected(front) as (_, _, pin):
        assert pin == PIN


async def test_a_plane_that_is_down_ends_the_connection(front):
    front.upstream = ("127.0.0.1", 1)
    with pytest.raises((OSError, ssl.SSLError)):
        async with connected(front):
            pass
    assert front.counts["upstream_failed"] == 1


@pytest.mark.parametrize(
    ("method", "body", "token", "status"),
    [
        ("GET", None, "wrong", 401),
        ("PUT", {"mode": "lie"}, TOKEN, 422),
        ("POST", {}, TOKEN, 404),
    ],
)
async def test_the_control_endpoint_refuses_what_it_must(front, method, body, token, status):
    assert (await control(front, method, body, token)).status_code == status
    assert front.mode == "pass"
