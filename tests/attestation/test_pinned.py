"""TLS towards one key: whoever presents another one hears nothing."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cutover.pinned import PinError, PinnedContext, spki_sha256

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"


def made(folder: Path) -> tuple[ssl.SSLContext, str]:
    """A server's context with a key of its own, and that key's SHA-256."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody else's name")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    pem = serialization.Encoding.PEM
    file.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(pem)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context, spki_sha256(certificate.public_bytes(serialization.Encoding.DER))


@asynccontextmanager
async def listening(context: ssl.SSLContext, heard: bytearray) -> AsyncIterator[int]:
    """A server that writes down every byte that comes out of its TLS."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.extend(await reader.read(4096))
        writer.write(ANSWER)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def said_over_httpx(port: int, pin: str) -> str:
    """What a request through httpx comes to."""
    async with httpx.AsyncClient(verify=PinnedContext(pin), trust_env=False) as client:
        return (await client.get(f"https://127.0.0.1:{port}/")).text


async def said_over_asyncio(port: int, pin: str) -> str:
    """What a request through a transport of the loop comes to."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=PinnedContext(pin), server_hostname="127.0.0.1"
    )
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer[-2:].decode()


LOOPS = pytest.mark.parametrize("runner", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
CARRIERS = pytest.mark.parametrize("say", [said_over_httpx, said_over_asyncio])


@LOOPS
@CARRIERS
def test_the_pinned_key_is_talked_to_whatever_its_certificate_says(runner, say, tmp_path):
    context, pin = made(tmp_path)

    async def main() -> str:
        async with listening(context, bytearray()) as port:
            return await say(port, pin)

    assert runner(main()) == "ok"


@LOOPS
@CARRIERS
def test_another_key_gets_no_byte(runner, say, tmp_path):
    context, _ = made(tmp_path)
    heard = bytearray()

    async def main() -> None:
        async with listening(context, heard) as port:
            with pytest.raises((httpx.ConnectError, PinError), match="expected 0000000000000000"):
                await say(port, "0" * 64)

    runner(main())
    assert heard == b""


def test_a_blocking_socket_is_pinned_too(tmp_path):
    context, _ = made(tmp_path)
    heard = bytearray()

    async def main() -> None:
        async with listening(context, heard) as port:
            with pytest.raises(httpx.ConnectError, match="as attested"):
                await asyncio.to_thread(
                    httpx.get,
                    f"https://127.0.0.1:{port}/",
                    verify=PinnedContext("0" * 64),
                    trust_env=False,
                )

    asyncio.run(main())
    assert heard == b""


@pytest.mark.parametrize("pin", ["", "0" * 63, "0" * 65, "G" * 64, "A" * 64])
def test_a_pin_that_is_no_digest_is_refused_before_anything_is_connected(pin):
    with pytest.raises(ValueError, match="64 lower-case hex digits"):
        PinnedContext(pin)


def test_a_certificate_that_cannot_be_read_is_no_key():
    with pytest.raises(PinError, match="cannot be read"):
        spki_sha256(b"no certificate")
