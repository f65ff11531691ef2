"""Whether a plane's name leads to it, and its certificate is its own and lasts.

The system's authorities vouch for a certificate; for an attested plane its quote does. Either way
it must name the host and outlive the time for which the plane is needed.
"""

import asyncio
import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from cryptography import x509

from cutover.attestation.certificates import UNREADABLE
from cutover.conductor.preconditions.asked import DEADLINE_MS
from cutover.conductor.preconditions.finding import Finding, believed, fails, holds
from cutover.pinned import PinnedContext

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a certificate must show.

    Attributes:
        plane: whose it is.
        host, port: where it is presented.
        from_ms, until_ms: wall clock between which it must be valid, milliseconds.
        spki: SHA-256 (hex) of the attested key; empty where the system's authorities vouch.
        rehearsal: whether an attested certificate may name another host.
    """

    plane: str
    host: str
    port: int
    from_ms: int
    until_ms: int
    spki: str
    rehearsal: bool


async def resolved(plane: str, host: str) -> Finding:
    """Whether a name leads anywhere."""
    try:
        async with asyncio.timeout(DEADLINE_MS / 1000):
            found = await asyncio.get_running_loop().getaddrinfo(host, None)
    except (OSError, ValueError, TimeoutError) as error:  # ValueError: a name that no DNS can hold
        text = f"{plane}: {host[:100]} does not resolve ({type(error).__name__})"
        return fails(f"{text}: let its DNS name lead to the plane")
    addresses = sorted({str(one[4][0]) for one in found})
    return holds(f"{plane}: {host} is at {', '.join(addresses[:4])}")


async def presented(wanted: Wanted) -> bytes | Finding:
    """The certificate (DER) that is presented to who accepts no other; or why there is none."""
    context = PinnedContext(wanted.spki) if wanted.spki else ssl.create_default_context()
    try:
        async with asyncio.timeout(DEADLINE_MS / 1000):
            _, writer = await asyncio.open_connection(wanted.host, wanted.port, ssl=context)
    except (OSError, ValueError) as error:
        said = str(error) or type(error).__name__
        return fails(f"{wanted.plane}: TLS to {wanted.host}:{wanted.port} fails: {said[:200]}")
    held: ssl.SSLObject = writer.get_extra_info("ssl_object")
    der = held.getpeercert(binary_form=True)
    writer.close()
    return der or b""


def judge_certificate(der: bytes, wanted: Wanted) -> list[Finding]:
    """Whether a certificate names its host, is valid and lasts."""
    try:
        found = x509.load_der_x509_certificate(der)
        names = _names(found)
    except UNREADABLE as error:
        text = f"{wanted.plane}: its certificate cannot be read ({type(error).__name__})"
        return [fails(text)]
    begins, ends = found.not_valid_before_utc, found.not_valid_after_utc
    vouched = _vouched(wanted)
    valid = f"{wanted.plane}: certificate{vouched} is valid until {ends:%Y-%m-%d %H:%M} UTC"
    if begins.timestamp() * 1000 > wanted.from_ms:
        lasting = fails(f"{wanted.plane}: certificate{vouched} is not valid before {begins}")
    elif ends.timestamp() * 1000 <= wanted.until_ms:
        lasting = fails(f"{valid}, which is before the fallback window ends: renew it first")
    else:
        lasting = holds(valid)
    return [lasting, _fits(names, wanted)]


def judge_plain(plane: str, host: str, *, rehearsal: bool) -> Finding:
    """Whether an address may be without TLS: on loopback only programs of this host reach it."""
    text = f"{plane} is reached without TLS at {host}"
    if host not in LOOPBACK:
        return fails(f"{text}: whoever is on the way hears all, expected https")
    return believed(f"{text}, which only this host can reach", rehearsal=rehearsal)


def _vouched(wanted: Wanted) -> str:
    """By what a certificate is believed, as it is said in a finding."""
    if wanted.spki:
        return f" under the attested key {wanted.spki[:16]}…"
    paths = ssl.get_default_verify_paths()  # with SSL_CERT_FILE, where an operator has set it
    return f" by an authority of {paths.cafile or paths.capath or 'the system'}"


def _names(certificate: x509.Certificate) -> list[str]:
    """DNS names and addresses that a certificate is for; a common name counts for none."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    addresses = [str(one) for one in names.get_values_for_type(x509.IPAddress)]
    return [*names.get_values_for_type(x509.DNSName), *addresses]


def _fits(names: list[str], wanted: Wanted) -> Finding:
    if any(names_host(name, wanted.host) for name in names):
        return holds(f"{wanted.plane}: certificate names {wanted.host}")
    shown = ", ".join(names[:5])[:200] or "nobody"
    text = f"{wanted.plane}: certificate names {shown}, expected {wanted.host}"
    if wanted.spki and wanted.rehearsal:
        return believed(text, rehearsal=True)
    return fails(text)


def names_host(name: str, host: str) -> bool:
    """Whether a name in a certificate is that of a host; `*` stands for one label in front."""
    try:
        return ip_address(name) == ip_address(host)
    except ValueError:
        pass  # one of them is a name
    name, host = name.lower().rstrip("."), host.lower().rstrip(".")
    if not name.startswith("*."):
        return name == host
    first, _, rest = host.partition(".")
    return bool(first) and "." in rest and rest == name[2:]
