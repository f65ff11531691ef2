"""Asks a plane for its evidence and remembers whose key the connection had.

The certificate is not checked against any authority: the key counts because the quote names it
(attestation §15), and the pipeline compares the two. Until then nothing of the answer is believed.
"""

import asyncio
import hashlib
import ssl
from dataclasses import dataclass
from typing import Final

import httpx
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cutover.attestation.bundle import PATH
from cutover.attestation.certificates import UNREADABLE
from cutover.attestation.limits import REPLY_BYTES_MAX
from cutover.attestation.strict import shown
from cutover.errors import CutoverError

_NOT_THERE: Final = frozenset({404, 405, 410, 501})


class NoAnswerError(CutoverError):
    """The plane gave no usable answer in time; that says nothing about what it is."""


class NoEvidenceError(CutoverError):
    """The plane answered that it has no such evidence."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer and its connection.

    Attributes:
        raw: the body.
        peer_spki: SHA-256 of the key of the other end; None without TLS.
        peer_ends: Unix seconds at which its certificate ends.
    """

    raw: bytes
    peer_spki: bytes | None
    peer_ends: int | None


async def fetch_evidence(url: str, nonce: bytes, deadline_ms: int) -> Fetched:
    """Ask once, on a connection of its own, within a size and a deadline.

    Args:
        url: the plane's base address, or the full address of its evidence.
        nonce: 32 bytes.
        deadline_ms: for connection and whole answer.

    Raises:
        NoEvidenceError: the plane says that it has none.
        NoAnswerError: anything else that is no answer.
    """
    base = url.rstrip("/").removesuffix(PATH)
    try:
        async with (
            asyncio.timeout(deadline_ms / 1000),
            httpx.AsyncClient(
                verify=_unjudged(), trust_env=False, timeout=deadline_ms / 1000
            ) as client,
            client.stream(
                "GET",
                base + PATH,
                params={"nonce": nonce.hex()},
                headers={"accept-encoding": "identity"},
            ) as response,
        ):
            if response.status_code in _NOT_THERE:
                raise NoEvidenceError(f"{base}: {response.status_code}, no attestation there")
            if response.status_code != 200:
                raise NoAnswerError(f"{base}: {response.status_code}, expected 200 and evidence")
            raw = await read_bounded(response, REPLY_BYTES_MAX)
            return Fetched(raw, *_peer(response))
    except TimeoutError as error:
        raise NoAnswerError(f"{base}: no whole answer within {deadline_ms} ms") from error
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError) as error:
        what = shown(str(error)) or type(error).__name__
        raise NoAnswerError(f"{base}: {what}") from error


def _unjudged() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the quote vouches for the key, not an authority
    return context


async def read_bounded(response: httpx.Response, limit: int) -> bytes:
    """The body as it came over the wire.

    Raises:
        NoAnswerError: as soon as it is longer than `limit`.
    """
    parts, size = [], 0
    async for part in response.aiter_raw():
        size += len(part)
        if size > limit:
            raise NoAnswerError(f"{response.url.host}: more than {limit} bytes")
        parts.append(part)
    return b"".join(parts)


def _peer(response: httpx.Response) -> tuple[bytes | None, int | None]:
    stream = response.extensions["network_stream"]
    tls: ssl.SSLObject | None = stream.get_extra_info("ssl_object")
    der = tls.getpeercert(binary_form=True) if tls is not None else None
    if not der:
        return None, None
    try:
        certificate = x509.load_der_x509_certificate(der)
        spki = certificate.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
        ends = int(certificate.not_valid_after_utc.timestamp())
    except UNREADABLE as error:
        raise NoAnswerError(f"{response.url.host}: an unreadable certificate") from error
    return hashlib.sha256(spki).digest(), ends
